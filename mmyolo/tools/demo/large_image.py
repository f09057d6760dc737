"""Large images in overlapping patches: where to cut, and how the predictions of the patches become one.

Unlike the public release, masks move with their boxes, and the package sahi is not needed.
"""

from collections.abc import Mapping, Sequence

import torch
from mmcv.ops import batched_nms
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import get_box_tensor
from mmengine.structures import InstanceData
from torch import Tensor

Offset = tuple[int, int]


def slice_windows(height: int, width: int, patch_size: int, overlap_ratio: float) -> list[tuple[int, int, int, int]]:
    """Cover an image with patches of one size, row by row.

    Patches lie a fixed step apart; one that would reach past the right or bottom edge is shifted back inside, so the
    last two of a row may overlap more. A side shorter than a patch is covered by one patch of that length. These are
    the windows of the package sahi.

    Args:
        height: of the image, in pixels.
        width: of the image, in pixels.
        patch_size: side of a patch, in pixels.
        overlap_ratio: share of its side that a patch has in common with the next.

    Returns:
        (x1, y1, x2, y2) in pixels, x2 and y2 exclusive.

    Raises:
        ValueError: if a side is not positive or the ratio not within [0, 1).
    """
    if patch_size <= 0 or height <= 0 or width <= 0:
        raise ValueError(f'patch_size, height and width must be positive, got {patch_size}, {height}, {width}')
    if not 0 <= overlap_ratio < 1:
        raise ValueError(f'overlap_ratio must be at least 0 and below 1, got {overlap_ratio}')
    step = patch_size - int(overlap_ratio * patch_size)
    rows, columns = _starts(height, patch_size, step), _starts(width, patch_size, step)
    return [(x, y, min(x + patch_size, width), min(y + patch_size, height)) for y in rows for x in columns]


def _starts(length: int, patch_size: int, step: int) -> list[int]:
    last = max(length - patch_size, 0)
    return [*range(0, last, step), last]


def shift_rbboxes(bboxes: Tensor, offset: Sequence[int]) -> Tensor:
    """Move rotated boxes.

    Args:
        bboxes: (n, 5) centre x, centre y, width, height, angle.
        offset: x and y to add.

    Returns:
        (n, 5) moved boxes.
    """
    shifted = bboxes.clone()
    shifted[..., :2] += bboxes.new_tensor(offset)
    return shifted


def shift_predictions(
    det_data_samples: Sequence[DetDataSample], offsets: Sequence[Offset], src_image_shape: tuple[int, int]
) -> InstanceData:
    """Join the predictions of patches in the coordinates of the whole image.

    Args:
        det_data_samples: a result of each patch; `pred_instances` may have `masks` (n, height, width) of the patch.
        offsets: x and y of the top left pixel of each patch.
        src_image_shape: height and width of the whole image.

    Returns:
        The instances of all patches, in the order of the patches; masks cover the whole image.

    Raises:
        ValueError: if there is no patch, or not one offset per patch.
        NotImplementedError: if boxes are neither (n, 4) nor (n, 5).
    """
    if not det_data_samples or len(det_data_samples) != len(offsets):
        raise ValueError(
            f'needs at least one patch and an offset for each, got {len(det_data_samples)} patches and '
            f'{len(offsets)} offsets'
        )
    return InstanceData.cat(
        [_shift(sample.pred_instances, offset, src_image_shape) for sample, offset in zip(det_data_samples, offsets)]
    )


def _shift(instances: InstanceData, offset: Offset, image_shape: tuple[int, int]) -> InstanceData:
    instances = instances.to_tensor()  # results with keypoints may hold arrays
    boxes = get_box_tensor(instances.bboxes)
    if boxes.shape[-1] == 4:
        boxes = boxes + boxes.new_tensor([*offset, *offset])
    elif boxes.shape[-1] == 5:
        boxes = shift_rbboxes(boxes, offset)
    else:
        raise NotImplementedError(f'boxes of a patch must be (n, 4) or (n, 5), got {tuple(boxes.shape)}')
    shifted = instances.clone()
    shifted.bboxes = boxes if isinstance(instances.bboxes, Tensor) else type(instances.bboxes)(boxes)
    if 'masks' in instances:
        shifted.masks = _shift_masks(instances.masks, offset, image_shape)
    if 'keypoints' in instances:
        keypoints = torch.as_tensor(instances.keypoints).clone()
        keypoints[..., :2] += keypoints.new_tensor(offset)
        shifted.keypoints = keypoints
    return shifted


def _shift_masks(masks: Tensor, offset: Offset, image_shape: tuple[int, int]) -> Tensor:
    x, y = offset
    whole = masks.new_zeros((len(masks), *image_shape[:2]))
    target = whole[:, y : y + masks.shape[1], x : x + masks.shape[2]]
    target.copy_(masks[:, : target.shape[1], : target.shape[2]])
    return whole


def merge_results_by_nms(
    results: Sequence[DetDataSample], offsets: Sequence[Offset], src_image_shape: tuple[int, int], nms_cfg: Mapping
) -> DetDataSample:
    """Merge the predictions of patches; of several boxes of one object, NMS within its class keeps the best.

    Args:
        results: a result of each patch.
        offsets: x and y of the top left pixel of each patch.
        src_image_shape: height and width of the whole image.
        nms_cfg: such as dict(type='nms', iou_threshold=0.25); with `class_agnostic` classes suppress each other.

    Returns:
        A copy of the first result with the instances of the whole image, best first.
    """
    instances = shift_predictions(results, offsets, src_image_shape)
    if len(instances):
        boxes = get_box_tensor(instances.bboxes)
        scored, keep = batched_nms(boxes, instances.scores, instances.labels, dict(nms_cfg))
        instances = instances[keep]
        instances.scores = scored[:, -1]  # soft_nms lowers them
    merged = results[0].clone()
    merged.pred_instances = instances
    return merged
