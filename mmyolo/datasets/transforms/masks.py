"""Masks of instances, polygons or bitmaps, moved as the image under them is."""

from collections.abc import Sequence

import cv2
import numpy as np
from mmdet.structures.mask import BitmapMasks, PolygonMasks

from mmyolo.errors import ArgumentTypeError

from .polygons import resample_polygon

Masks = BitmapMasks | PolygonMasks


def place(canvas: np.ndarray, image: np.ndarray, x: int, y: int) -> None:
    """Copy an image onto a canvas, cutting off what sticks out.

    Args:
        canvas: (H, W, ...), changed in place.
        image: (h, w, ...).
        x: Column of the image's left edge, may be negative.
        y: Row of the image's upper edge, may be negative.
    """
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + image.shape[1], canvas.shape[1]), min(y + image.shape[0], canvas.shape[0])
    if right > left and bottom > top:
        canvas[top:bottom, left:right] = image[top - y : bottom - y, left - x : right - x]


def scale_masks(masks: Masks, scale: float, size: tuple[int, int]) -> Masks:
    """Scale masks with their image.

    Args:
        masks: Of the image.
        scale: What the image is scaled by; polygons are, as in mmdet, to sides that are rounded to whole pixels.
        size: (h, w) in whole pixels that the image then has; bitmaps get it.

    Returns:
        New masks.
    """
    return masks.resize(size) if isinstance(masks, BitmapMasks) else masks.rescale(float(scale))


def shift_masks(masks: Masks, shape: tuple[int, int], x: int, y: int, fill: int = 0) -> Masks:
    """Lay masks onto a canvas, cutting off what sticks out.

    Args:
        masks: Of an image.
        shape: (h, w) of the canvas.
        x: Column of the image's left edge, may be negative.
        y: Row of the image's upper edge, may be negative.
        fill: Value of bitmaps beside the image.

    Returns:
        New masks of the shape.
    """
    if isinstance(masks, PolygonMasks):
        return masks.translate(shape, (x, y), 'both')
    canvas = np.full((len(masks), *shape), fill, dtype=masks.masks.dtype)  # (n, H, W)
    place(np.moveaxis(canvas, 0, -1), np.moveaxis(masks.masks, 0, -1), x, y)
    return BitmapMasks(canvas, *shape)


def join_masks(parts: Sequence[Masks]) -> Masks:
    """Put the masks of several images of one shape together.

    Args:
        parts: At least one.

    Returns:
        All masks, in their order.

    Raises:
        TypeError: Some are polygons, others bitmaps.
    """
    kinds = {type(part).__name__ for part in parts}
    if len(kinds) > 1:
        raise ArgumentTypeError(
            f'masks of the images to mix are {" and ".join(sorted(kinds))}: '
            'load the annotations of all by one kind of LoadAnnotations'
        )
    return parts[0].cat(list(parts))


def warp_bitmaps(masks: BitmapMasks, matrix: np.ndarray, shape: tuple[int, int]) -> BitmapMasks:
    """Warp bitmaps by the nearest pixel.

    Args:
        masks: Of an image.
        matrix: (3, 3), affine, from pixels of the image to those of the result.
        shape: (h, w) of the result.

    Returns:
        New masks; 0 where there was no image.
    """
    warped = np.zeros((len(masks), *shape), dtype=masks.masks.dtype)
    for mask, result in zip(masks.masks, warped):
        result[:] = cv2.warpAffine(mask, matrix[:2], dsize=shape[::-1], flags=cv2.INTER_NEAREST)
    return BitmapMasks(warped, *shape)


def warp_polygon(polygon: np.ndarray, matrix: np.ndarray, num_points: int) -> np.ndarray:
    """Warp a polygon.

    Args:
        polygon: A flat array of 2 n numbers.
        matrix: (3, 3), affine.
        num_points: How many points to spread over it first.

    Returns:
        (num_points, 2) float32.
    """
    points = resample_polygon(polygon, num_points)  # (num_points, 2)
    return points @ matrix[:2, :2].T + matrix[:2, 2]
