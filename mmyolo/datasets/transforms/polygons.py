"""Polygons as flat arrays [x0, y0, x1, y1, ...] in pixels: tracing masks, joining the parts of an instance, resampling,
filling.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from pycocotools import mask as mask_utils


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


def trace_rle(mask: dict) -> list[np.ndarray]:
    """Trace the outlines of a run-length encoded mask.

    They run through the middles of the edges of its outer pixels, so the extent of an outline is the box around its
    pixels, and stairs become slopes. Parts that touch, also at a corner, have one outline; holes are filled.

    Args:
        mask: `size` [h, w] and `counts`, a list of runs or COCO's compressed text.

    Returns:
        One flat array for each part of the mask, none for an empty one.
    """
    if isinstance(mask['counts'], list):
        mask = mask_utils.frPyObjects(mask, *mask['size'])
    left, top, width, height = (int(number) for number in mask_utils.toBbox(mask))
    if not width or not height:
        return []
    pixels = mask_utils.decode(mask)[top : top + height, left : left + width]
    corners = np.zeros((height + 1, width + 1), dtype=np.uint8)  # of pixels
    for down in (0, 1):
        for right in (0, 1):
            corners[down : down + height, right : right + width] |= pixels
    outlines = cv2.findContours(corners, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(left, top))[0]
    return [_along_edges(outline[:, 0]).reshape(-1).astype(np.float32) for outline in outlines]


def _along_edges(corners: np.ndarray) -> np.ndarray:
    """Return the outline through the middles of edges.

    Args:
        corners: (n, 2) corners of pixels in the order of cv2.findContours, one step apart, some diagonally.

    Returns:
        (m, 2), without those that lie on a straight line between their neighbours.
    """
    steps = np.roll(corners, -1, axis=0) - corners  # (n, 2)
    # A diagonal step leaves out a corner of stairs, the one on the inner side of the outline.
    inner = np.where(steps[:, :1] == steps[:, 1:], [[1, 0]], [[0, 1]]) * steps
    is_diagonal = steps.all(axis=1)
    inner[~is_diagonal] = 0
    path = np.stack([corners, corners + inner], axis=1).reshape(-1, 2)
    path = path[np.stack([np.ones_like(is_diagonal), is_diagonal], axis=1).reshape(-1)]
    middles = (path + np.roll(path, -1, axis=0)) / 2
    ahead = np.roll(middles, -1, axis=0) - middles
    return middles[(ahead != np.roll(ahead, 1, axis=0)).any(axis=1)]


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
