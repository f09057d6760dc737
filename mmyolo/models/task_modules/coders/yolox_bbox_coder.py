"""What a YOLOX head regresses, as boxes: the offset of the centre from a point, and the logarithm of the size."""

import torch
from mmdet.models.task_modules.coders.base_bbox_coder import BaseBBoxCoder
from torch import Tensor

from mmyolo.registry import TASK_UTILS


@TASK_UTILS.register_module()
class YOLOXBBoxCoder(BaseBBoxCoder):
    """Box coder of YOLOX; all values are in strides."""

    def encode(self, **kwargs) -> None:
        """Do nothing: the loss compares decoded boxes."""

    def decode(self, priors: Tensor, pred_bboxes: Tensor, stride: Tensor | int) -> Tensor:
        """Decode predictions to boxes.

        Args:
            priors: (N, 2) or (B, N, 2) points x, y in input pixels.
            pred_bboxes: (B, N, 4) raw predictions x, y, w, h.
            stride: (N,) strides of the points, or one for all.

        Returns:
            (B, N, 4) boxes, xyxy in input pixels.
        """
        if isinstance(stride, Tensor):
            stride = stride[..., None]
        centre = pred_bboxes[..., :2] * stride + priors[..., :2]
        half = pred_bboxes[..., 2:].exp() * stride / 2
        return torch.cat((centre - half, centre + half), dim=-1)
