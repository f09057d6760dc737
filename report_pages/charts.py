"""Charts as inline SVG: lines with axes, bars, and a heat map of a matrix.

Colours come from variables of the page's style sheet, so that one chart serves the light and the dark scheme; values
are shown by `<title>` when the pointer rests on a mark.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from .text import Text, as_text

NUM_COLOURS = 8
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 12, 40
MAX_HOVER_POINTS = 120


class Series(NamedTuple):
    """One line.

    Args:
        name: in the legend and in the hover text; empty: not in the legend.
        x, y: the points; NaN breaks the line.
        colour: index of the palette; -1: grey.
        style: 'line', 'faint' (raw values under a smoothed line), 'bold' or 'dashed'.
        dots: draw the points.
    """

    name: object
    x: Sequence[float]
    y: Sequence[float]
    colour: int = 0
    style: str = 'line'
    dots: bool = False


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round numbers (1, 2 or 5 times a power of ten) that cover a range.

    Args:
        low: the lower end.
        high: the upper end; where both are equal, the range is half as much wider on either side.
        count: about how many steps.
    """
    if not high > low:
        low, high = (low - abs(low) / 2, low + abs(low) / 2) if low else (0.0, 1.0)
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def number(value: float) -> str:
    """Return a short form: 12,000 / 0.123 / 1.2e-05."""
    if not math.isfinite(value):
        return 'NaN' if value != value else str(value)
    if value == int(value) and abs(value) < 1e9:
        return f'{int(value):,}'
    return f'{value:.3g}' if abs(value) < 1000 else f'{value:,.0f}'


def line_chart(
    label: Text,
    series: Sequence[Series],
    x_name: object = '',
    y_name: object = '',
    y_range: tuple[float, float] | None = None,
    x_range: tuple[float, float] | None = None,
    width: int = 460,
    height: int = 250,
) -> Markup:
    """Draw lines over common axes.

    Args:
        label: what the chart shows, for screen readers.
        series: the lines; points that are not finite are left out.
        x_name: under the horizontal axis.
        y_name: beside the vertical axis.
        y_range: ends of the vertical axis; default: what the data need.
        x_range: ends of the horizontal axis; default: what the data need.
        width: in pixels.
        height: in pixels.
    """
    clean = [(item, *_finite(item)) for item in series]
    every_x = np.concatenate([x for _, x, _ in clean] or [np.zeros(0)])
    every_y = np.concatenate([y for _, _, y in clean] or [np.zeros(0)])
    if not len(every_x):
        return Markup('')
    x_ticks, y_ticks = (
        ticks(*(ends or (float(values.min()), float(values.max()))))
        for ends, values in ((x_range, every_x), (y_range, every_y))
    )
    x_low, x_high = x_range or (float(every_x.min()), float(every_x.max()))
    if x_high == x_low:
        x_low, x_high = x_ticks[0], x_ticks[-1]
    y_low, y_high = y_ticks[0], y_ticks[-1]
    plot_w, plot_h = width - LEFT - RIGHT, height - TOP - BOTTOM

    def px(x: np.ndarray) -> np.ndarray:
        return LEFT + (np.asarray(x) - x_low) / (x_high - x_low) * plot_w

    def py(y: np.ndarray) -> np.ndarray:
        return TOP + plot_h - (np.asarray(y) - y_low) / (y_high - y_low) * plot_h

    parts = [open_svg(label, width, height, 'line-chart')]
    parts += [
        _grid_line(LEFT, py(tick), width - RIGHT, py(tick)) + _label(LEFT - 6, py(tick) + 4, number(tick), 'end')
        for tick in y_ticks
    ]
    parts += [
        _label(px(tick), height - BOTTOM + 16, number(tick), 'middle')
        for tick in x_ticks
        if x_low - 1e-9 <= tick <= x_high + 1e-9
    ]
    parts.append(_axes(width, height))
    parts.append(_axis_name(width, height, x_name))
    if y_name:
        parts.append(_upright(12, TOP + plot_h / 2, y_name))
    for item, x, y in clean:
        colour = 'grey' if item.colour < 0 else f'c{item.colour % NUM_COLOURS}'
        points = ' '.join(f'{a:.1f},{b:.1f}' for a, b in zip(px(x), py(y)))
        parts.append(
            Markup('<polyline class="{} {}" points="{}">{}</polyline>').format(
                colour, item.style, points, as_text(item.name).title()
            )
        )
        if item.style != 'faint' and len(x):
            step = max(math.ceil(len(x) / MAX_HOVER_POINTS), 1)
            radius = 2.5 if item.dots or len(x) == 1 else 0
            for k in range(0, len(x), step):
                parts.append(
                    Markup(
                        '<g class="point"><circle class="{} mark" cx="{:.1f}" cy="{:.1f}" r="{}"/><circle '
                        'class="target" cx="{:.1f}" cy="{:.1f}" r="6">{}</circle></g>'
                    ).format(
                        colour,
                        px(x[k]),
                        py(y[k]),
                        radius,
                        px(x[k]),
                        py(y[k]),
                        _hover('{}: {} ({})', item.name, number(float(y[k])), number(float(x[k]))),
                    )
                )
    return Markup('').join(parts) + Markup('</svg>') + _legend(series)


def bar_chart(
    label: Text,
    edges: Sequence[float],
    layers: Sequence[tuple[object, Sequence[float], int]],
    x_name: object = '',
    width: int = 300,
    height: int = 170,
) -> Markup:
    """Draw a histogram, its layers stacked.

    Args:
        label: what the chart shows, for screen readers.
        edges: (B + 1) ends of the bins.
        layers: name, (B) counts and colour of each layer.
        x_name: under the horizontal axis.
        width: in pixels.
        height: in pixels.
    """
    edges = np.asarray(edges, float)
    counts = np.array([values for _, values, _ in layers], float).reshape(len(layers), -1)
    y_ticks = [tick for tick in ticks(0, max(counts.sum(0).max(initial=0), 1), 4) if tick == int(tick)]
    top = y_ticks[-1] if y_ticks[-1] >= counts.sum(0).max(initial=0) else counts.sum(0).max()
    plot_w, plot_h = width - LEFT - RIGHT, height - TOP - BOTTOM
    bar = plot_w / counts.shape[1]
    parts = [open_svg(label, width, height, 'bar-chart')]
    for tick in y_ticks:
        y = TOP + plot_h * (1 - tick / top)
        parts.append(_grid_line(LEFT, y, width - RIGHT, y) + _label(LEFT - 6, y + 4, number(tick), 'end'))
    for tick in ticks(float(edges[0]), float(edges[-1]), 4):
        if edges[0] - 1e-9 <= tick <= edges[-1] + 1e-9:
            x = LEFT + (tick - edges[0]) / (edges[-1] - edges[0]) * plot_w
            parts.append(_label(x, height - BOTTOM + 16, number(tick), 'middle'))
    below = np.zeros(counts.shape[1])
    for (name, _, colour), values in zip(layers, counts):
        for k in np.flatnonzero(values):
            bar_h = values[k] / top * plot_h
            title = _hover('{} {}–{}: {}', name, number(edges[k]), number(edges[k + 1]), number(values[k]))
            parts.append(
                Markup('<rect class="c{} bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">{}</rect>').format(
                    colour % NUM_COLOURS,
                    LEFT + k * bar + 0.5,
                    TOP + plot_h - below[k] / top * plot_h - bar_h,
                    max(bar - 1, 1),
                    bar_h,
                    title,
                )
            )
        below += values
    parts += [_axes(width, height), _axis_name(width, height, x_name), Markup('</svg>')]
    return Markup('').join(parts)


def heat_map(
    label: Text,
    matrix: np.ndarray,
    rows: Sequence[object],
    columns: Sequence[object],
    row_name: Text,
    column_name: Text,
) -> Markup:
    """Draw a matrix of counts: right ones on the diagonal, but at its end what has no partner.

    Shade is the share of the row, so that rare classes are seen as well.

    Args:
        label: what the matrix shows, for screen readers.
        matrix: (R, C) counts.
        rows: (R) names.
        columns: (C) names.
        row_name: what the rows are.
        column_name: what the columns are.
    """
    num_rows, num_columns = matrix.shape
    cell = 46 if num_rows <= 12 else 24 if num_rows <= 30 else 12
    longest = max((_width_of(as_text(name).en) for name in (*rows, *columns)), default=0)
    margin = min(max(longest * 7 + 16, 60), 190) if cell > 12 else min(max(longest * 6 + 14, 60), 150)
    width, height = margin + 24 + num_columns * cell + 8, margin + 24 + num_rows * cell + 8
    left, top = margin + 24, margin + 24
    small = ' small' if cell == 12 else ''
    darkest = 0.4 if cell > 12 else 0.9  # numbers in the cells stay readable in both schemes
    shown = max(int((margin - 14) / 7), 3) if cell > 12 else max(int((margin - 12) / 5.5), 3)
    parts = [open_svg(label, width, height, 'heat-map' + small)]
    parts.append(_upright(14, top + num_rows * cell / 2, row_name))
    parts.append(
        Markup('<text class="axis-name" text-anchor="middle" x="{}" y="14">{}</text>').format(
            left + num_columns * cell / 2, column_name.svg()
        )
    )
    for k, name in enumerate(rows):
        parts.append(
            Markup('<text class="tick" text-anchor="end" x="{}" y="{}">{}</text>').format(
                left - 6, top + (k + 0.5) * cell + 4, _shortened(name, shown)
            )
        )
    for k, name in enumerate(columns):
        parts.append(
            Markup('<text class="tick" transform="translate({},{}) rotate(-90)">{}</text>').format(
                left + (k + 0.5) * cell + 4, top - 6, _shortened(name, shown)
            )
        )
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    parts.append(
        Markup('<rect class="field" x="{}" y="{}" width="{}" height="{}"/>').format(
            left, top, num_columns * cell, num_rows * cell
        )
    )
    for r, c in np.argwhere(matrix > 0):
        kind = 'right' if r == c else 'wrong'
        x, y = left + c * cell, top + r * cell
        title = _hover('{} → {}: {} ({})', rows[r], columns[c], int(matrix[r, c]), f'{share[r, c]:.0%}')
        parts.append(
            Markup('<g>{}<rect class="cell {}" x="{}" y="{}" width="{}" height="{}" fill-opacity="{:.2f}"/>').format(
                title, kind, x + 0.5, y + 0.5, cell - 1, cell - 1, 0.1 + darkest * share[r, c]
            )
        )
        if cell > 12:
            fits = matrix[r, c] < (100_000 if cell > 30 else 1000)
            text = number(matrix[r, c]) if fits else f'{matrix[r, c] / 1000:,.0f}k'
            parts.append(
                Markup('<text class="count" text-anchor="middle" x="{}" y="{}">{}</text>').format(
                    x + cell / 2, y + cell / 2 + 4, text
                )
            )
        parts.append(Markup('</g>'))
    return Markup('').join(parts) + Markup('</svg>')


def _finite(item: Series) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(item.x, float), np.asarray(item.y, float)
    keep = np.isfinite(x) & np.isfinite(y)
    return x[keep], y[keep]


def open_svg(label: Text, width: float, height: float, kind: str) -> Markup:
    """Return the opening tag of a chart.

    Args:
        label: what it shows, for screen readers.
        width: in pixels.
        height: in pixels.
        kind: class of the style sheet.
    """
    return Markup(
        '<svg class="chart {}" role="img" {} viewBox="0 0 {w:.0f} {h:.0f}" width="{w:.0f}" height="{h:.0f}">'
    ).format(kind, label.attribute('aria-label'), w=width, h=height)


def _grid_line(x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line class="grid" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(x1, y1, x2, y2)


def _label(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text class="tick" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(x, y, anchor, text)


def _axes(width: int, height: int) -> Markup:
    return Markup('<path class="axis" d="M{} {}V{}H{}"/>').format(LEFT, TOP, height - BOTTOM, width - RIGHT)


def _axis_name(width: int, height: int, name: object) -> Markup:
    return Markup('<text class="axis-name" text-anchor="middle" x="{}" y="{}">{}</text>').format(
        (LEFT + width - RIGHT) / 2, height - 6, as_text(name).svg()
    )


def _hover(form: str, *values: object) -> Markup:
    return as_text(form).format(*values).title()


def _upright(x: float, y: float, name: object) -> Markup:
    return Markup(
        '<text class="axis-name" text-anchor="middle" transform="translate({},{}) rotate(-90)">{}</text>'
    ).format(x, y, as_text(name).svg())


def _legend(series: Sequence[Series]) -> Markup:
    named = [item for item in series if item.name and item.style != 'faint']
    if len(named) < 2:
        return Markup('')
    items = Markup('').join(
        Markup('<li><i class="swatch {}{}"></i>{}</li>').format(
            'grey' if item.colour < 0 else f'c{item.colour % NUM_COLOURS}',
            ' dashed' if item.style == 'dashed' else '',
            as_text(item.name),
        )
        for item in named
    )
    return Markup('<ul class="legend">{}</ul>').format(items)


def _width_of(text: str) -> float:
    """Return letters, those beyond Latin counted twice."""
    return sum(2 if ord(letter) > 0x2E7F else 1 for letter in text)


def _shortened(name: object, letters: int) -> Markup:

    def cut(text: str) -> str:
        if _width_of(text) <= letters:
            return text
        kept, room = [], letters - 1
        for letter in text:
            room -= 2 if ord(letter) > 0x2E7F else 1
            if room < 0:
                break
            kept.append(letter)
        return ''.join(kept) + '…'

    text = as_text(name)
    short = Text(cut(text.en), cut(text.zh))
    return short.svg() if short == text else short.svg() + text.title()
