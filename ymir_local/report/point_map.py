"""A map of points as inline SVG, for thousands of images on two axes that mean nothing of their own."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from report_pages.charts import open_svg

from ..texts import Text


class Cloud(NamedTuple):
    """Points of one kind.

    Args:
        name: in the legend and in the hover text.
        points: (N, 2).
        kind: class of the style sheet.
    """

    name: Text
    points: np.ndarray
    kind: str


class Spot(NamedTuple):
    """A point of its own.

    Args:
        point: x and y.
        title: shows when the pointer rests on it.
        anchor: id of the part of the page that a click goes to.
        kind: class of the style sheet.
    """

    point: Sequence[float]
    title: Text
    anchor: str
    kind: str


def point_map(
    label: Text,
    clouds: Sequence[Cloud],
    spots: Sequence[Spot],
    spot_names: Mapping[str, Text],
    width: int = 1110,
    height: int = 480,
) -> Markup:
    """Draw points whose axes mean nothing; each cloud is one path, so that thousands of points stay small.

    Args:
        label: what the map shows, for screen readers.
        clouds: drawn in turn.
        spots: drawn over them.
        spot_names: kinds of the spots, for the legend.
        width: in pixels.
        height: in pixels.
    """
    every = np.concatenate([*(cloud.points for cloud in clouds), np.array([spot.point for spot in spots])], axis=0)
    low, high = every.min(0), every.max(0)
    edge = 10
    size = np.array([width, height]) - 2 * edge

    def place(points: Sequence[float] | np.ndarray) -> np.ndarray:
        return edge + (np.asarray(points, float) - low) / np.where(high > low, high - low, 1) * size

    parts = [open_svg(label, width, height, 'point-map')]
    parts.append(Markup('<rect class="field" x="0.5" y="0.5" width="{}" height="{}"/>').format(width - 1, height - 1))
    for cloud in clouds:
        spread = np.unique(np.round(place(cloud.points), 1), axis=0)
        path = ''.join(f'M{x:g} {y:g}h0' for x, y in spread)
        parts.append(Markup('<path class="cloud {}" d="{}">{}</path>').format(cloud.kind, path, cloud.name.title()))
    for spot in spots:
        x, y = place(spot.point)
        parts.append(
            Markup('<a href="#{}"><circle class="spot {}" cx="{:.1f}" cy="{:.1f}" r="5">{}</circle></a>').format(
                spot.anchor, spot.kind, x, y, spot.title.title()
            )
        )
    names = [*((spot_names[kind], kind) for kind in spot_names), *((cloud.name, cloud.kind) for cloud in clouds[::-1])]
    items = Markup('').join(
        Markup('<li><i class="swatch square {}"></i>{}</li>').format(kind, name) for name, kind in names
    )
    return Markup('').join(parts) + Markup('</svg><ul class="legend wide">{}</ul>').format(items)
