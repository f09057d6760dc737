"""What a YOLOv5 head regresses, as boxes: offsets and sizes relative to an anchor, through a sigmoid."""

import torch
from mmdet.models.task_modules.coders.base_bbox_coder import BaseBBoxCoder
from torch import Tensor

from mmyolo.registry import TASK_UTILS


@TASK_UTILS.register_module()
class YOLOv5BBoxCoder(BaseBBoxCoder):
    """Box coder of YOLOv5: a centre reaches 1.5 cells around its cell, a side up to 4 times its anchor."""

    def encode(self, **kwargs) -> None:
        """Do nothing: the loss compares decoded boxes."""

    def decode(self, priors: Tensor, pred_bboxes: Tensor, stride: Tensor | int) -> Tensor:
        """Decode predictions to boxes.

        Args:
            priors: (N, 4) or (B, N, 4) anchors, xyxy in input pixels.
            pred_bboxes: (B, N, 4) raw predictions x, y, w, h.
            stride: (N,) strides of the anchors, or one for all.

        Returns:
            (B, N, 4) boxes, xyxy in input pixels.
        """
        pred = pred_bboxes.sigmoid()
        centre = (priors[..., :2] + priors[..., 2:]) / 2
        size = priors[..., 2:] - priors[..., :2]
        if isinstance(stride, Tensor):
            stride = stride[..., None]
        centre = centre + (pred[..., :2] - 0.5) * 2 * stride
        half = (pred[..., 2:] * 2) ** 2 * size / 2
        return torch.cat((centre - half, centre + half), dim=-1)
