"""The true boxes of a batch in the layouts that heads need: as rows, by image, or padded."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmdet.structures.bbox import bbox_xyxy_to_cxcywh, get_box_tensor
from mmengine.structures import InstanceData
from torch import Tensor

from ..utils import gt_instances_preprocess
from ..utils.misc import in_batch

GroundTruth = Tensor | Sequence[InstanceData]
"""(N, 6) rows of image index, label, x1, y1, x2, y2 in input pixels; or `bboxes` and `labels` of each image."""


class PaddedTruth(NamedTuple):
    """True boxes as assigners take them, G being the largest number of boxes of an image."""

    labels: Tensor
    """(B, G, 1), 0 for padding."""
    bboxes: Tensor
    """(B, G, 4 or 5), 0 for padding."""
    is_box: Tensor
    """(B, G, 1) 1, or 0 for padding."""


def as_rows(ground_truth: GroundTruth) -> Tensor:
    """Ground truth as (N, 6) rows of image index, label and box."""
    if isinstance(ground_truth, Tensor):
        return ground_truth
    rows = []
    for image, instances in enumerate(ground_truth):
        bboxes = get_box_tensor(instances.bboxes)
        index = bboxes.new_full((len(bboxes), 1), image)  # (n, 1)
        rows.append(torch.cat((index, instances.labels[:, None].to(bboxes), bboxes), dim=1))
    return torch.cat(rows)


def parts_of_input(rows: Tensor, batch_img_metas: Sequence[dict]) -> Tensor:
    """Return boxes as parts of the input's width and height.

    Args:
        rows: (N, 6) rows of image index, label, x1, y1, x2, y2 in input pixels.
        batch_img_metas: meta information of each image; of the first, `batch_input_shape` (height, width).

    Returns:
        (N, 4) centre x, centre y, width, height.
    """
    height, width = batch_img_metas[0]['batch_input_shape'][:2]
    return bbox_xyxy_to_cxcywh(rows[:, 2:6]) / rows.new_tensor([width, height, width, height])


def rows_by_image(rows: Tensor, batch_size: int) -> tuple[Tensor, list[int], Tensor]:
    """Sort rows (N, D) by the image index in their first column; give also the counts per image and the order.

    Rows of an image outside the batch are dropped.
    """
    order = rows[:, 0].argsort(stable=True)  # (N,), images in order and rows of an image as they came
    order = order[in_batch(rows[order], batch_size)]
    images = rows[order, 0].long()
    return rows[order], torch.bincount(images, minlength=batch_size).tolist(), order


def pad_truth(ground_truth: GroundTruth, batch_size: int, like: Tensor) -> PaddedTruth:
    """Pad the boxes of every image to the same number.

    Args:
        ground_truth: true boxes.
        batch_size: images in the batch.
        like: a tensor of the type and device to return.
    """
    rows = gt_instances_preprocess(ground_truth, batch_size).to(like)  # (B, G, 1 + D)
    labels, bboxes = rows[..., :1], rows[..., 1:]
    # Padding is rows of zeros; a box within the image has a positive sum.
    return PaddedTruth(labels, bboxes, (bboxes.sum(-1, keepdim=True) > 0).to(like))
