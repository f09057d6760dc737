"""Drawing a mosaic whose images need no resizing of their own: copied side by side, then resized as a whole.

cv2.resize takes a third of the time of cv2.warpAffine, but maps edges of whole pixels to edges of whole pixels. A warp
by a scale and a shift is such a resize for a window of the mosaic whose edges the warp moves to edges of pixels. There
is one near every window, up to a small part of a pixel. A mosaic that is turned is warped as a whole, its images once.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from .draw_tiles import Pixel, filled
from .masks import place
from .tiles import Layout

# How far a window may reach beyond what is seen, in pixels of the mosaic or of the result, whichever is less.
REACH = 160
# How far an edge may lie beside the edge of a pixel, in pixels of the result. cv2.warpAffine rounds to 1/32.
TOLERANCE = 1 / 32


def resize_mosaic(
    images: Sequence[np.ndarray], layout: Layout, matrix: np.ndarray, shape: tuple[int, int], fill: Pixel
) -> np.ndarray | None:
    """Draw the images of a mosaic after a warp that scales and shifts it; arguments as of `draw_tiles`.

    Returns:
        (h, w, 3) uint8; None where that is no plain resize: an image needs one of its own, the warp turns, flips or
        shrinks by more than a half, or no window fits.
    """
    if not _have_their_sizes(images, layout):
        return None
    if matrix[0, 1] or matrix[1, 0] or min(matrix[0, 0], matrix[1, 1]) <= 0.5:
        return None
    windows = [_window(matrix[axis, axis], matrix[axis, 2], shape[1 - axis]) for axis in (0, 1)]
    if None in windows:
        return None
    (x, columns), (y, rows) = windows
    canvas = _put_side_by_side(images, layout, x, y, fill)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    resized = cv2.resize(canvas, size, interpolation=cv2.INTER_LINEAR)
    return resized[-rows.start : shape[0] - rows.start, -columns.start : shape[1] - columns.start]


def warp_mosaic(
    images: Sequence[np.ndarray], layout: Layout, matrix: np.ndarray, shape: tuple[int, int], fill: Pixel
) -> np.ndarray | None:
    """Draw the images of a mosaic after any affine warp of it; arguments as of `draw_tiles`.

    Returns:
        (h, w, 3) uint8; None where an image needs a resize of its own, or the warp shrinks by more than a half.
    """
    if not _have_their_sizes(images, layout) or np.linalg.svd(matrix[:2, :2], compute_uv=False).min() <= 0.5:
        return None
    inverse = np.linalg.inv(matrix)
    corners = np.array([[x, y, 1] for x in (-1, shape[1]) for y in (-1, shape[0])]) @ inverse[:2].T  # (4, 2)
    limits = layout.shape[::-1]
    low = np.clip(np.floor(corners.min(axis=0)) - 1, 0, limits).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 2, low, limits).astype(int)
    if not (high > low).all():
        return filled(shape, fill)
    canvas = _put_side_by_side(images, layout, slice(low[0], high[0]), slice(low[1], high[1]), fill)
    moved = matrix[:2].copy()
    moved[:, 2] += matrix[:2, :2] @ low
    return cv2.warpAffine(canvas, moved, shape[::-1], flags=cv2.INTER_LINEAR, borderValue=fill)


def _have_their_sizes(images: Sequence[np.ndarray], layout: Layout) -> bool:
    return all(image.shape[:2] == size for image, size in zip(images, layout.sizes))


def _put_side_by_side(images: Sequence[np.ndarray], layout: Layout, x: slice, y: slice, fill: Pixel) -> np.ndarray:
    """Draw a window of the mosaic, which may reach beyond it."""
    canvas = filled((y.stop - y.start, x.stop - x.start), fill)
    # The part of the window that the mosaic covers: what sticks out of that is cut off.
    left, top = max(x.start, 0), max(y.start, 0)
    inside = canvas[
        top - y.start : max(min(y.stop, layout.shape[0]) - y.start, 0),
        left - x.start : max(min(x.stop, layout.shape[1]) - x.start, 0),
    ]
    for image, corner in zip(images, layout.corners):
        place(inside, image, corner[0] - left, corner[1] - top)
    return canvas


def _window(factor: float, shift: float, length: int) -> tuple[slice, slice] | None:
    """Find a window along one axis.

    Args:
        factor: Of the warp.
        shift: Of the warp, between centres of pixels.
        length: Pixels of the result, which the window covers.

    Returns:
        The window in pixels of the mosaic, and in pixels of the result; None if there is none.
    """
    shift += (1 - factor) / 2  # between edges of pixels
    ends = []
    for edge, direction in ((0, -1), (length, 1)):
        nearest = (edge - shift) / factor
        nearest = np.floor(nearest) if direction < 0 else np.ceil(nearest)
        sources = nearest + direction * np.arange(REACH / max(factor, 1))  # (N,)
        targets = factor * sources + shift
        whole = np.round(targets)
        beside = np.abs(targets - whole)
        beside[(whole - edge) * direction < 0] = 1  # would not cover the last pixel
        fitting = beside <= TOLERANCE
        if not fitting.any():
            return None
        first = fitting.argmax()
        ends.append((int(sources[first]), int(whole[first])))
    (start, target_start), (stop, target_stop) = ends
    return slice(start, stop), slice(target_start, target_stop)
