"""The true masks of a batch as `yolov5_collate` joins them; every instance head trains on them through here.

An image has one map of numbers, with smaller objects on top of larger ones, which takes little memory; or each object
has a map of its own, so that it is learnt whole where others lie on it. `Polygon2Mask` draws either.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmyolo.errors import ArgumentValueError


class TrainsOnMasks:
    """Mixed into the class of a head: its `loss_by_feat` takes the true masks behind the true boxes.

    Attributes:
        mask_overlap: whether the true masks of an image are one map of numbers, else one map per object.
    """

    mask_overlap: bool

    def loss(self, x: Sequence[Tensor], batch_data_samples: dict) -> dict:
        """Compute the losses of a batch.

        Args:
            x: feature map of each level.
            batch_data_samples: `bboxes_labels`, (N, 6) rows of image index, label and box in input pixels; `masks`,
                with `mask_overlap` (B, h, w) maps of numbers, 0 for background, else (N, h, w) of 0 and 1; and
                `img_metas`.

        Returns:
            Losses by name.

        Raises:
            NotImplementedError: if it is a list of data samples.
            KeyError: if there are no masks.
            ArgumentValueError: if the masks are not those of `mask_overlap`.
        """
        name = type(self).__name__
        if not isinstance(batch_data_samples, dict):
            raise NotImplementedError(
                f'{name} trains on batches of yolov5_collate only: set collate_fn=dict(type="yolov5_collate") and the '
                'preprocessor YOLOv5DetDataPreprocessor'
            )
        if 'masks' not in batch_data_samples:
            raise KeyError(
                f'{name} needs masks: load them by LoadAnnotations(with_mask=True) and put Polygon2Mask before '
                'PackDetInputs'
            )
        rows, masks = batch_data_samples['bboxes_labels'], batch_data_samples['masks']
        wanted = len(x[0]) if self.mask_overlap else len(rows)
        if len(masks) != wanted:
            raise ArgumentValueError(
                f'{name}(mask_overlap={self.mask_overlap}) needs {wanted} masks, one per '
                f'{"image" if self.mask_overlap else "object"}, got {len(masks)}: give Polygon2Mask the same '
                'mask_overlap'
            )
        return self.loss_by_feat(*self.maps_for_loss(x), rows, masks, batch_data_samples['img_metas'])


def mask_numbers(images: Tensor, overlap: bool) -> Tensor:
    """Return which of the true masks is whose.

    Args:
        images: (N,) image index of each box.
        overlap: see `TrainsOnMasks`.

    Returns:
        (N,) number of the box within its image, from 1, if masks overlap, else its place among all boxes.
    """
    if overlap:
        return (images[:, None] == images).tril().sum(1)  # how many boxes up to this one are of its image
    return torch.arange(len(images), device=images.device)


def masks_of(gt_masks: Tensor, images: Tensor | int, numbers: Tensor, overlap: bool) -> Tensor:
    """Take the true masks of some boxes.

    Args:
        gt_masks: see `TrainsOnMasks.loss`.
        images: (n,) image index of each box, or that of all.
        numbers: (n,) see `mask_numbers`.
        overlap: see `TrainsOnMasks`.

    Returns:
        (n, h, w), true or other than 0 where the object is.
    """
    return gt_masks[images] == numbers[:, None, None] if overlap else gt_masks[numbers]
