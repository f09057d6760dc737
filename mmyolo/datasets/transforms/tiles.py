"""Laying images on a canvas together with their annotations: the work that Mosaic and Mosaic9 share."""

from collections.abc import Sequence

import cv2
import numpy as np

from .boxes import rescale_and_translate_
from .keypoint_structure import Keypoints
from .masks import Masks, join_masks, scale_masks, shift_masks


def resize_to_fit(image: np.ndarray, scale: tuple[int, int]) -> tuple[np.ndarray, float]:
    """Resize bilinearly to the largest size that fits, sides truncated to whole pixels, but at least 1.

    Args:
        image: (h, w, c).
        scale: (width, height) in pixels.

    Returns:
        The image, the same object if it fits already, and the ratio before truncation.
    """
    height, width = image.shape[:2]
    ratio = min(scale[1] / height, scale[0] / width)
    size = (max(int(width * ratio), 1), max(int(height * ratio), 1))
    if size != (width, height):
        image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    return image, ratio


def stack_annotations(
    results: dict,
    tiles: Sequence[dict],
    scales: Sequence[float],
    sizes: Sequence[tuple[int, int]],
    shifts: Sequence[tuple[int, int]],
    clip: bool,
) -> dict:
    """Join the annotations of all tiles in the pixels of the canvas.

    Args:
        results: Gets `gt_bboxes`, `gt_bboxes_labels`, `gt_ignore_flags` and, if it had some, `gt_masks` and
            `gt_keypoints`.
        tiles: The results of each image; their boxes and keypoints are changed in place.
        scales: What each image was scaled by.
        sizes: (h, w) that each image then had.
        shifts: (x, y) that each image was then moved by.
        clip: Clip boxes to `img_shape`, keeping empty ones; otherwise drop the boxes outside.

    Returns:
        The results.
    """
    shape = results['img_shape'][:2]
    boxes = [tile['gt_bboxes'] for tile in tiles]
    for box, scale, shift in zip(boxes, scales, shifts):
        rescale_and_translate_(box, (scale, scale), shift)
    joined = boxes[0].cat(boxes, dim=0)
    joined_labels = np.concatenate([tile['gt_bboxes_labels'] for tile in tiles])
    joined_flags = np.concatenate([tile['gt_ignore_flags'] for tile in tiles])
    masks = _stack_masks(tiles, scales, sizes, shifts, shape) if 'gt_masks' in results else None
    keypoints = _stack_keypoints(tiles, scales, shifts) if 'gt_keypoints' in results else None

    if clip:
        joined.clip_(shape)
        if keypoints is not None:
            keypoints.clip_(shape)
    else:
        inside = joined.is_inside(shape).numpy()
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


def _stack_keypoints(tiles: Sequence[dict], scales: Sequence[float], shifts: Sequence[tuple[int, int]]) -> Keypoints:
    for tile, scale, shift in zip(tiles, scales, shifts):
        tile['gt_keypoints'].rescale_((scale, scale))
        tile['gt_keypoints'].translate_(shift)
    return Keypoints.cat([tile['gt_keypoints'] for tile in tiles])


def _stack_masks(
    tiles: Sequence[dict],
    scales: Sequence[float],
    sizes: Sequence[tuple[int, int]],
    shifts: Sequence[tuple[int, int]],
    shape: tuple[int, int],
) -> Masks:
    parts = zip(tiles, scales, sizes, shifts)
    return join_masks(
        [shift_masks(scale_masks(tile['gt_masks'], scale, size), shape, *shift) for tile, scale, size, shift in parts]
    )
