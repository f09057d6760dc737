"""Drawing images on a canvas straight onto what an affine warp makes of it, each warped once.

Mosaics of the public recipes resize each image, copy it to a canvas of twice the input size, and warp that to the input
size. Here resize, place on the canvas, warp and flip are one matrix per image, and no pixel is computed that is not
seen. Pixels have whole coordinates at their centres, as in cv2's warps.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from .tiles import Layout

Pixel = tuple[int, int, int]

# Bilinear interpolation looks at 2 x 2 pixels, so whatever is shrunk by more than this is averaged first.
MAX_SHRINK = 2


def draw_tiles(
    images: Sequence[np.ndarray], layout: Layout, matrix: np.ndarray, shape: tuple[int, int], fill: Pixel
) -> np.ndarray:
    """Draw the images of a mosaic after an affine warp of the whole.

    Args:
        images: (h, w, 3) uint8 each, of any size: each is stretched over its place in the layout.
        layout: Where the images lie on the mosaic; what sticks out of its canvas is cut off.
        matrix: (3, 3), affine, from pixels of the mosaic to those of the result.
        shape: (h, w) of the result.
        fill: BGR where there is no image.

    Returns:
        (h, w, 3) uint8.
    """
    canvas = filled(shape, fill)
    matrix = np.asarray(matrix, dtype=np.float64)
    draw = _draw_upright if matrix[0, 1] == matrix[1, 0] == 0 else _draw_turned
    for image, size, corner in zip(images, layout.sizes, layout.corners):
        # Edges of what is seen of the image, in pixels of the mosaic: x, then y.
        low = np.maximum(corner, 0) - 0.5
        high = np.minimum((corner[0] + size[1], corner[1] + size[0]), layout.shape[::-1]) - 0.5
        if (high > low).all():
            draw(canvas, image, stretch_matrix(image.shape, size, corner), low, high, matrix)
    return canvas


def filled(shape: tuple[int, int], fill: Pixel) -> np.ndarray:
    """Return a canvas (h, w, 3) uint8 of one colour.

    Args:
        shape: (h, w).
        fill: BGR.
    """
    canvas = np.empty((*shape, 3), dtype=np.uint8)
    canvas[:1] = fill
    canvas[1:] = canvas[:1]  # whole rows are copied faster than three values
    return canvas


def paint_outside(canvas: np.ndarray, shape: tuple[int, int], matrix: np.ndarray, fill: Pixel) -> None:
    """Give one colour to what does not come from an image, in place.

    Args:
        canvas: (h, w, 3) uint8.
        shape: (h, w) of the image.
        matrix: (3, 3), affine, from pixels of the image to those of the canvas.
        fill: BGR.
    """
    low, high = np.array([-0.5, -0.5]), np.array(shape[::-1]) - 0.5
    if matrix[0, 1] == matrix[1, 0] == 0:
        x, y = (
            _span(matrix[axis, axis], matrix[axis, 2], low[axis], high[axis], canvas.shape[1 - axis]) for axis in (0, 1)
        )
        for part in (canvas[: y.start], canvas[y.stop :], canvas[:, : x.start], canvas[:, x.stop :]):
            part[:] = fill
        return
    canvas[~_inside(matrix, low, high, np.zeros(2, int), np.array(canvas.shape[1::-1]))] = fill


def flip_matrix(direction: str | None, shape: tuple[int, int]) -> np.ndarray:
    """Return the matrix that flips an image.

    Args:
        direction: 'horizontal', 'vertical', 'diagonal'; None leaves it as it is.
        shape: (h, w) of the image.

    Returns:
        (3, 3).
    """
    matrix = np.eye(3)
    for axis, directions in enumerate((('horizontal', 'diagonal'), ('vertical', 'diagonal'))):
        if direction in directions:
            matrix[axis, axis], matrix[axis, 2] = -1, shape[1 - axis] - 1
    return matrix


def stretch_matrix(shape: tuple[int, ...], size: tuple[int, int], corner: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Return the matrix that stretches an image: edges lie on edges, as in cv2.resize.

    Args:
        shape: (h, w, ...) of the image.
        size: (h, w) that it gets.
        corner: (x, y) of its upper left pixel then.

    Returns:
        (3, 3).
    """
    factors = size[1] / shape[1], size[0] / shape[0]
    matrix = np.diag([*factors, 1.0])
    matrix[:2, 2] = [start + factor / 2 - 0.5 for start, factor in zip(corner, factors)]
    return matrix


def _draw_upright(
    canvas: np.ndarray, image: np.ndarray, stretch: np.ndarray, low: np.ndarray, high: np.ndarray, matrix: np.ndarray
) -> None:
    """Draw an image that is neither turned nor sheared; its part of the canvas is a rectangle."""
    x, y = (
        _span(matrix[axis, axis], matrix[axis, 2], low[axis], high[axis], canvas.shape[1 - axis]) for axis in (0, 1)
    )
    if x.start < x.stop and y.start < y.stop:
        _warp(image, matrix @ stretch, canvas[y, x], (x.start, y.start))


def _span(factor: float, shift: float, low: float, high: float, length: int) -> slice:
    """Return the pixels whose centres lie within two edges; neighbours that share an edge share no pixel."""
    edges = sorted((factor * low + shift, factor * high + shift))
    return slice(*(min(max(int(np.ceil(edge)), 0), length) for edge in edges))


def _draw_turned(
    canvas: np.ndarray, image: np.ndarray, stretch: np.ndarray, low: np.ndarray, high: np.ndarray, matrix: np.ndarray
) -> None:
    """Draw an image that is turned or sheared: the pixels of its extent whose centres come from within its edges."""
    corners = np.array([[x, y, 1] for x in (low[0], high[0]) for y in (low[1], high[1])]) @ matrix[:2].T  # (4, 2)
    start = np.clip(np.ceil(corners.min(axis=0)), 0, canvas.shape[1::-1]).astype(int)
    stop = np.clip(np.ceil(corners.max(axis=0)), 0, canvas.shape[1::-1]).astype(int)
    if not (stop > start).all():
        return
    inside = _inside(matrix, low, high, start, stop)
    region = canvas[start[1] : stop[1], start[0] : stop[0]]
    warped = np.empty_like(region)
    _warp(image, matrix @ stretch, warped, start)
    cv2.copyTo(warped, inside.view(np.uint8), region)


def _inside(matrix: np.ndarray, low: np.ndarray, high: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Return (h, w) bool: which pixels from `start` to `stop` come from within `low` and `high`, (x, y) each."""
    inverse = np.linalg.inv(matrix)
    rows = np.arange(start[1], stop[1])
    # In each row these are the columns from one to another, as the place in the source is linear.
    first, last = np.full(len(rows), start[0], dtype=float), np.full(len(rows), stop[0], dtype=float)
    for axis in (0, 1):
        factor, offset = inverse[axis, 0], inverse[axis, 1] * rows + inverse[axis, 2]
        if abs(factor) < 1e-9:
            last[(offset < low[axis]) | (offset >= high[axis])] = start[0]
            continue
        at_low, at_high = (low[axis] - offset) / factor, (high[axis] - offset) / factor
        if factor > 0:
            first, last = np.maximum(first, np.ceil(at_low)), np.minimum(last, np.ceil(at_high))
        else:
            first, last = np.maximum(first, np.floor(at_high) + 1), np.minimum(last, np.floor(at_low) + 1)
    columns = np.arange(start[0], stop[0], dtype=np.int32)
    first, last = (np.clip(ends, start[0], stop[0]).astype(np.int32)[:, None] for ends in (first, last))
    return (columns >= first) & (columns < last)


def _warp(image: np.ndarray, matrix: np.ndarray, region: np.ndarray, start: Sequence[int]) -> None:
    """Warp an image into a part of a canvas.

    Args:
        image: (h, w, 3) uint8.
        matrix: (3, 3) from its pixels to those of the canvas.
        region: The part, filled in place.
        start: (x, y) of its upper left pixel on the canvas.
    """
    scales = (
        np.linalg.svd(matrix[:2, :2], compute_uv=False) if matrix[0, 1] or matrix[1, 0] else abs(matrix[[0, 1], [0, 1]])
    )
    factor = min(int(1 / max(scales.max(), 1e-6)), *image.shape[:2])
    if factor >= MAX_SHRINK:
        height, width = (side // factor for side in image.shape[:2])
        whole = image[: height * factor, : width * factor]  # only whole factors average fast
        image = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
        offset = (factor - 1) / 2
        matrix = matrix @ np.array([[factor, 0, offset], [0, factor, offset], [0, 0, 1]])
    matrix = matrix[:2].copy()
    matrix[:, 2] -= start
    cv2.warpAffine(
        image, matrix, region.shape[1::-1], dst=region, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
