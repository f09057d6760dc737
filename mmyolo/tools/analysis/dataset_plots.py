"""Pictures of the statistics of a data set: one bar per class, names at the left."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .dataset_statistics import LARGEST_SIDE, DatasetStatistics
from .plotting import new_figure, shown_names

ROW = 0.23  # inches
WIDTH = 9.0
COLOURS = ('#4477aa', '#ee9944', '#66aa77', '#aa5577')
SHARES = (5, 25, 50, 75, 95)  # per cent of the objects below the marks of a bar


def _figure(statistics: DatasetStatistics, title: str, columns: int, show: bool) -> Sequence:
    num_classes = len(statistics.classes)
    figure = new_figure(WIDTH, 1.6 + ROW * max(num_classes, 4), show)
    figure.suptitle(f'{title}: {statistics.num_images:,} images, {len(statistics.labels):,} objects')
    axes = figure.subplots(1, columns, sharey=True, squeeze=False)[0]
    names = shown_names(statistics.classes)
    axes[0].set_yticks(np.arange(num_classes), names, fontsize=8)
    axes[0].set_ylim(num_classes - 0.4, -0.6)
    for axis in axes:
        axis.grid(axis='x', alpha=0.4)
        axis.set_axisbelow(True)
        axis.spines[['top', 'right']].set_visible(False)
    return figure, axes


def plot_numbers(statistics: DatasetStatistics, show: bool = False) -> Figure:
    """Objects of each class."""
    figure, (axis,) = _figure(statistics, 'Objects per class', 1, show)
    counts = statistics.counts()
    bars = axis.barh(np.arange(len(counts)), counts, color=COLOURS[0])
    axis.bar_label(bars, [f'{count:,}' for count in counts], padding=3, fontsize=8)
    axis.margins(x=0.1)
    axis.set_xlabel('objects')
    return figure


def plot_sizes(statistics: DatasetStatistics, show: bool = False) -> Figure:
    """Widths and heights of the objects of each class."""
    figure, axes = _figure(statistics, 'Width and height', 2, show)
    for axis, quantity, colour in zip(axes, ('width', 'height'), COLOURS):
        _draw_shares(axis, statistics, quantity, colour)
        axis.set_xlim(left=0)
        axis.set_xlabel(f'{quantity} in pixels')
    return figure


def plot_ratios(statistics: DatasetStatistics, show: bool = False) -> Figure:
    """Width over height of the objects of each class."""
    figure, (axis,) = _figure(statistics, 'Width over height', 1, show)
    _draw_shares(axis, statistics, 'ratio', COLOURS[2])
    axis.set_xscale('log', base=2)
    axis.xaxis.set_major_formatter(lambda value, _: f'{value:g}')
    axis.axvline(1, color='grey', linewidth=0.8)
    axis.set_xlabel('width / height')
    return figure


def plot_areas(statistics: DatasetStatistics, sides: Sequence[float], show: bool = False) -> Figure:
    """Objects of each class by area.

    Args:
        statistics: Of the data set.
        sides: See `DatasetStatistics.area_counts`.
        show: See `new_figure`.
    """
    figure, (axis,) = _figure(statistics, 'Objects by area', 1, show)
    counts = statistics.area_counts(sides)
    left = np.zeros(len(counts))
    for column, colour in zip(range(counts.shape[1]), COLOURS):
        low, high = sides[column], sides[column + 1]
        label = f'{low:g}² and more' if high == LARGEST_SIDE else f'{low:g}² to {high:g}² pixels'
        axis.barh(np.arange(len(counts)), counts[:, column], left=left, color=colour, label=label)
        left += counts[:, column]
    axis.set_xlabel('objects')
    figure.legend(loc='outside lower center', ncols=4, fontsize=8, frameon=False)
    return figure


def _draw_shares(axis: Axes, statistics: DatasetStatistics, quantity: str, colour: str) -> None:
    """Draw a thin bar from the 5th to the 95th per cent, a thick one for the middle half, a mark at the median."""
    for row, values in enumerate(statistics.values(quantity)):
        if not len(values):
            continue
        low, quarter, median, three_quarters, high = np.percentile(values, SHARES)
        axis.plot([low, high], [row, row], color=colour, linewidth=1.2)
        axis.plot([quarter, three_quarters], [row, row], color=colour, linewidth=6, solid_capstyle='butt')
        axis.plot(median, row, marker='|', color='black', markersize=7, markeredgewidth=1.5)
    axis.set_title('line: 90 % of objects, bar: half of them, mark: median', fontsize=8)
