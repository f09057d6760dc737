"""Polygons as flat arrays [x0, y0, x1, y1, ...] in pixels: joining the parts of an instance, resampling, filling."""

from collections.abc import Sequence

import cv2
import numpy as np


def merge_polygons(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Join polygons into one outline by a bridge of no width between each pair of neighbours.

    The outline runs around the first part, over the bridges and one side of the parts between, around the last part
    and back along the other sides. A bridge joins the two closest vertices.

    Args:
        parts: At least one polygon, each a flat array of 2 n_i numbers.

    Returns:
        One flat array.
    """
    points = [part.reshape(-1, 2) for part in parts]  # (n_i, 2) each
    links: list[list[int]] = [[] for _ in points]
    for i, (first, second) in enumerate(zip(points, points[1:])):
        distances = np.square(first[:, None] - second[None]).sum(axis=-1)  # (n_i, n_j)
        a, b = np.unravel_index(np.argmin(distances), distances.shape)
        links[i].append(int(a))
        links[i + 1].append(int(b))

    out, back = [], []
    for part, link in zip(points, links):
        if len(link) < 2:  # the first and the last part: all around, ending where it began
            part = np.roll(part, -link[0], axis=0) if link else part
            out.append(np.concatenate((part, part[:1])) if link else part)
            continue
        enter, leave = link
        if enter > leave:
            part, enter, leave = part[::-1], len(part) - 1 - enter, len(part) - 1 - leave
        part = np.roll(part, -enter, axis=0)
        out.append(part[: leave - enter + 1])
        back.append(np.concatenate((part[leave - enter :], part[:1])))
    return np.concatenate(out + back[::-1]).reshape(-1)


def resample_polygon(polygon: np.ndarray, num_points: int) -> np.ndarray:
    """Close a polygon and spread points over it, evenly by vertex number.

    Args:
        polygon: A flat array of 2 n numbers.
        num_points: How many points to give.

    Returns:
        (num_points, 2) float32.
    """
    closed = np.concatenate((polygon, polygon[:2])).reshape(-1, 2)
    index = np.arange(len(closed))
    at = np.linspace(0, len(closed) - 1, num_points)
    return np.stack([np.interp(at, index, closed[:, axis]) for axis in (0, 1)], axis=1).astype(np.float32)


def fill_polygons(instances: Sequence[Sequence[np.ndarray]], height: int, width: int) -> np.ndarray:
    """Draw all polygons, filled, into one mask.

    Args:
        instances: Per instance its polygons, flat arrays.
        height: Of the mask, in pixels.
        width: Of the mask, in pixels.

    Returns:
        (height, width) uint8, 1 inside any polygon.
    """
    mask = np.zeros((height, width), dtype=np.uint8)
    for parts in instances:
        for part in parts:
            cv2.fillPoly(mask, [part.reshape(-1, 1, 2).astype(np.int32)], 1)
    return mask
