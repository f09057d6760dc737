"""Masks of objects as coco files hold them: polygons, or a run-length code (contract section c.7)."""

from __future__ import annotations

from typing import Any

from .rle import runs_of

POINTS = 3  # of a polygon, at least


class NoMask(ValueError):
    """An object has no mask at all."""


def checked_mask(segmentation: Any, width: int, height: int) -> tuple[Any, float]:
    """Check a mask, which code without checks of its own will read.

    Args:
        segmentation: what the annotation reader gave: polygons, a mapping with ``size`` and ``counts``, or None.
        width: of the image.
        height: of the image.

    Returns:
        The mask, without polygons of fewer than three points, runs as whole numbers; and its area in square pixels.

    Raises:
        NoMask: there is none.
        ValueError: it is invalid; the message says what is wrong.
    """
    if not segmentation:
        raise NoMask
    if isinstance(segmentation, dict):
        size, runs = runs_of(segmentation)
        if size != (height, width):
            raise ValueError(f'its mask is of {size[1]} x {size[0]} pixels, the image of {width} x {height}')
        counts = segmentation['counts']
        mask, area = {'size': [height, width], 'counts': counts if isinstance(counts, str) else runs}, sum(runs[1::2])
        if not area:
            raise ValueError('its mask is empty')
        return mask, area
    polygons = _outlines(segmentation)
    if not polygons:
        raise ValueError(f'its mask has no polygon [x, y, x, y, ...] of {POINTS} points or more')
    area = mask_area(polygons)
    if not area:
        raise ValueError('its mask has no area')
    if not any(_is_seen(polygon, width, height) for polygon in polygons):
        raise ValueError(f'its mask lies outside the image of {width} x {height} pixels')
    return polygons, area


def mask_area(segmentation: Any) -> float:
    """Return the area of a mask in square pixels.

    Args:
        segmentation: polygons, of which those of fewer than three points do not count, or a mapping with ``size`` and
            ``counts``.

    Raises:
        ValueError: it is an invalid run-length code.
    """
    if isinstance(segmentation, dict):
        return sum(runs_of(segmentation)[1][1::2])
    return sum(map(_area, _outlines(segmentation)))


def _outlines(polygons: list[list[float]]) -> list[list[float]]:
    """Return the polygons [x, y, x, y, ...] that have an inside."""
    return [polygon for polygon in polygons if len(polygon) >= 2 * POINTS and len(polygon) % 2 == 0]


def _is_seen(polygon: list[float], width: int, height: int) -> bool:
    """Return whether the box around a polygon reaches into the image."""
    xs, ys = polygon[::2], polygon[1::2]
    return min(xs) < width and max(xs) > 0 and min(ys) < height and max(ys) > 0


def _area(polygon: list[float]) -> float:
    """Return the area of a polygon [x, y, x, y, ...] by the shoelace formula."""
    xs, ys = polygon[::2], polygon[1::2]
    return abs(sum(xs[index - 1] * ys[index] - xs[index] * ys[index - 1] for index in range(len(xs)))) / 2
