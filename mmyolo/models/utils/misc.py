"""Scaling of widths and depths, and ground truth of a batch as one padded tensor."""

import math
from collections.abc import Sequence

import torch
from mmdet.structures.bbox import get_box_tensor
from mmengine.structures import InstanceData
from torch import Tensor

from .output_save import OutputSaveFunctionWrapper, OutputSaveObjectWrapper  # the public release keeps them here

__all__ = [
    'OutputSaveFunctionWrapper',
    'OutputSaveObjectWrapper',
    'gt_instances_preprocess',
    'in_batch',
    'make_divisible',
    'make_round',
]


def make_divisible(x: float, widen_factor: float = 1.0, divisor: int = 8) -> int:
    """Scale a number of channels and round it up to a multiple of `divisor`.

    Args:
        x: channels before scaling.
        widen_factor: width of the model, 1.0 is the large one.
        divisor: what the result is a multiple of.

    Returns:
        Channels of the scaled model.
    """
    return math.ceil(x * widen_factor / divisor) * divisor


def make_round(x: float, deepen_factor: float = 1.0) -> int:
    """Scale a number of blocks, never below one; a single block stays single.

    Args:
        x: blocks before scaling.
        deepen_factor: depth of the model, 1.0 is the large one.

    Returns:
        Blocks of the scaled model.
    """
    return max(round(x * deepen_factor), 1) if x > 1 else x


def gt_instances_preprocess(batch_gt_instances: Tensor | Sequence[InstanceData], batch_size: int) -> Tensor:
    """Lay the boxes of a batch into one tensor, padded with zero rows; the order within an image is kept.

    Args:
        batch_gt_instances: either (N, 2 + box_dim) rows of image index, label, box, or one `InstanceData` per image
            with `labels` (n,) and `bboxes` (n, box_dim). Rows of an image outside the batch are dropped.
        batch_size: images in the batch.

    Returns:
        (batch_size, G, 1 + box_dim) rows of label, box; G is the largest number of boxes of an image.
    """
    if not isinstance(batch_gt_instances, Tensor):
        return _pad_instances(batch_gt_instances)
    rows = batch_gt_instances[in_batch(batch_gt_instances, batch_size)]
    if len(rows) == 0:
        return rows.new_zeros((batch_size, 0, rows.shape[1] - 1))
    image = rows[:, 0].long()
    order = image.argsort(stable=True)
    image, rows = image[order], rows[order]
    count = torch.bincount(image, minlength=batch_size)  # (B,)
    place = torch.arange(len(rows), device=rows.device) - (count.cumsum(0) - count)[image]  # (N,) within the image
    padded = rows.new_zeros((batch_size, int(count.max()), rows.shape[1] - 1))
    padded[image, place] = rows[:, 1:]
    return padded


def in_batch(rows: Tensor, batch_size: int) -> Tensor:
    """Mark the rows (N, D) whose image index, their first value, is one of a batch."""
    images = rows[:, 0].long()
    return (images >= 0) & (images < batch_size)


def _pad_instances(instances: Sequence[InstanceData]) -> Tensor:
    boxes = [get_box_tensor(one.bboxes) for one in instances]
    padded = boxes[0].new_zeros((len(boxes), max(map(len, boxes)), 1 + boxes[0].shape[-1]))
    for row, one, box in zip(padded, instances, boxes):
        row[: len(box), 0] = one.labels
        row[: len(box), 1:] = box
    return padded
