"""The loss of rotated boxes: how little they overlap the true ones. It stands in for mmrotate's where that is missing.

Works on any device, because the overlap needs no compiled code.
"""

import torch
from mmdet.models.losses.utils import weight_reduce_loss
from torch import Tensor, nn

from mmyolo.registry import MODELS, stand_in
from mmyolo.standins.mmcv.rotated_iou import diff_iou_rotated_2d

_MODES = {'linear': lambda iou: 1 - iou, 'square': lambda iou: 1 - iou**2, 'log': lambda iou: -iou.log()}


@stand_in(MODELS, 'mmrotate').register_module()
class RotatedIoULoss(nn.Module):
    """A loss of the IoU of rotated boxes, in single precision.

    Args:
        linear: a former spelling of mode='linear'.
        eps: overlaps count as this at least.
        reduction: 'none', 'mean' or 'sum'.
        loss_weight: weight of the loss.
        mode: 'linear' for 1 - IoU, 'square' for 1 - IoU^2, 'log' for -ln(IoU).
    """

    def __init__(
        self,
        linear: bool = False,
        eps: float = 1e-6,
        reduction: str = 'mean',
        loss_weight: float = 1.0,
        mode: str = 'log',
    ) -> None:
        super().__init__()
        assert mode in _MODES, f'mode of RotatedIoULoss is {mode!r}, allowed are {list(_MODES)}'
        self.mode = 'linear' if linear else mode
        self.linear = linear
        self.eps = eps
        self.reduction = reduction
        self.loss_weight = loss_weight

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Compute the loss.

        Args:
            pred: (N, 5) rotated boxes.
            target: (N, 5) rotated boxes.
            weight: (N,) or (N, 5) weights.
            avg_factor: what a mean divides by.
            reduction_override: in place of `reduction`.

        Returns:
            The loss, a number unless it is not reduced.
        """
        reduction = reduction_override or self.reduction
        if weight is not None and reduction != 'none' and not (weight > 0).any():
            weight = weight[:, None] if weight.dim() == 1 else weight
            return (pred * weight).sum()  # 0, with a gradient
        if weight is not None and weight.dim() > 1:
            weight = weight.mean(-1)
        with torch.autocast(pred.device.type, enabled=False):
            iou = diff_iou_rotated_2d(pred.float(), target.float()).clamp(min=self.eps)
            loss = _MODES[self.mode](iou)
            return self.loss_weight * weight_reduce_loss(loss, weight, reduction, avg_factor)
