"""Laying images on a canvas together with their annotations: the work that Mosaic and Mosaic9 share."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from mmdet.structures.bbox import BaseBoxes, HorizontalBoxes

from .boxes import rescale_and_translate_
from .keypoint_structure import Keypoints
from .masks import Masks, join_masks, scale_masks, shift_masks


class Layout(NamedTuple):
    """Where the images of a mosaic lie on its canvas.

    Args:
        shape: (h, w) of the canvas.
        scales: What each image is scaled by.
        sizes: (h, w) that each image then has, in whole pixels.
        corners: (x, y) of the upper left pixel of each image then, may lie outside of the canvas.
    """

    shape: tuple[int, int]
    scales: Sequence[float]
    sizes: Sequence[tuple[int, int]]
    corners: Sequence[tuple[int, int]]


def fit_size(shape: tuple[int, int], scale: tuple[int, int]) -> tuple[tuple[int, int], float]:
    """Find the largest size that fits, sides truncated to whole pixels, but at least 1.

    Args:
        shape: (h, w) of an image.
        scale: (width, height) in pixels.

    Returns:
        The new (h, w), and the ratio before truncation.
    """
    height, width = shape
    ratio = min(scale[1] / height, scale[0] / width)
    return (max(int(height * ratio), 1), max(int(width * ratio), 1)), ratio


def resize_to(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize bilinearly.

    Args:
        image: (h, w, c).
        size: The new (h, w).

    Returns:
        The image, the same object if it has the size already.
    """
    return image if size == image.shape[:2] else cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)


def stack_annotations(results: dict, tiles: Sequence[dict], layout: Layout, clip: bool) -> dict:
    """Join the annotations of all tiles in the pixels of the canvas.

    Args:
        results: Gets `gt_bboxes`, `gt_bboxes_labels`, `gt_ignore_flags` and, if it had some, `gt_masks` and
            `gt_keypoints`.
        tiles: The results of each image, which stay as they are.
        layout: Where the images lie.
        clip: Clip boxes to the canvas, keeping empty ones; otherwise drop the boxes outside.

    Returns:
        The results.
    """
    joined = _stack_boxes([tile['gt_bboxes'] for tile in tiles], layout)
    joined_labels = np.concatenate([tile['gt_bboxes_labels'] for tile in tiles])
    joined_flags = np.concatenate([tile['gt_ignore_flags'] for tile in tiles])
    masks = _stack_masks(tiles, layout) if 'gt_masks' in results else None
    keypoints = _stack_keypoints(tiles, layout) if 'gt_keypoints' in results else None

    if clip:
        joined.clip_(layout.shape)
        if keypoints is not None:
            keypoints.clip_(layout.shape)
    else:
        inside = joined.is_inside(layout.shape).numpy()
        joined, joined_labels, joined_flags = joined[inside], joined_labels[inside], joined_flags[inside]
        masks = None if masks is None else masks[inside]
        keypoints = None if keypoints is None else keypoints[inside]
    results['gt_bboxes'] = joined
    results['gt_bboxes_labels'] = joined_labels
    results['gt_ignore_flags'] = joined_flags
    if masks is not None:
        results['gt_masks'] = masks
    if keypoints is not None:
        results['gt_keypoints'] = keypoints
    return results


def _stack_boxes(parts: Sequence[BaseBoxes], layout: Layout) -> BaseBoxes:
    if all(type(part) is HorizontalBoxes for part in parts):
        counts = [len(part) for part in parts]
        factors = np.repeat(np.array(layout.scales, dtype=np.float32), counts)[:, None]  # (N, 1)
        shifts = np.repeat(np.tile(np.array(layout.corners, dtype=np.float32), 2), counts, axis=0)  # (N, 4)
        rows = np.concatenate([part.numpy() for part in parts])  # (N, 4)
        return HorizontalBoxes(torch.from_numpy(rows * factors + shifts), clone=False)
    moved = [part.clone() for part in parts]
    for part, scale, corner in zip(moved, layout.scales, layout.corners):
        rescale_and_translate_(part, (scale, scale), corner)
    return moved[0].cat(moved, dim=0)


def _stack_keypoints(tiles: Sequence[dict], layout: Layout) -> Keypoints:
    moved = [tile['gt_keypoints'].clone() for tile in tiles]
    for part, scale, corner in zip(moved, layout.scales, layout.corners):
        part.rescale_((scale, scale))
        part.translate_(corner)
    return Keypoints.cat(moved)


def _stack_masks(tiles: Sequence[dict], layout: Layout) -> Masks:
    parts = zip(tiles, layout.scales, layout.sizes, layout.corners)
    return join_masks(
        [
            shift_masks(scale_masks(tile['gt_masks'], scale, size), layout.shape, *corner)
            for tile, scale, size, corner in parts
        ]
    )
