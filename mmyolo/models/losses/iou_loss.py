"""IoU of box pairs and the loss made of it: IoU, GIoU (1902.09630), CIoU (1911.08287), SIoU (2205.12740).

The epsilons stand where published checkpoints were trained with them, so the numbers can be compared. Unlike public
mmyolo, a batch of zero weights needs no case of its own: the loss is 0 and the IoUs are still returned.
"""

import math

import torch
from mmdet.models.losses.utils import weight_reduce_loss
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy
from torch import Tensor, nn

from mmyolo.errors import ArgumentValueError
from mmyolo.registry import MODELS

IOU_MODES = ('iou', 'ciou', 'giou', 'siou')
BBOX_FORMATS = ('xyxy', 'xywh')


def bbox_overlaps(
    pred: Tensor,
    target: Tensor,
    iou_mode: str = 'ciou',
    bbox_format: str = 'xywh',
    siou_theta: float = 4.0,
    eps: float = 1e-7,
) -> Tensor:
    """Overlap of boxes taken pair by pair.

    Args:
        pred: (..., 4) boxes.
        target: (..., 4) boxes; the leading dimensions broadcast against those of `pred`.
        iou_mode: 'iou', 'ciou', 'giou' or 'siou'.
        bbox_format: 'xyxy' corners or 'xywh' centre and size.
        siou_theta: exponent of the shape cost of SIoU.
        eps: what keeps denominators from zero.

    Returns:
        (...) overlaps in [-1, 1], equal to 1 for equal boxes.

    Raises:
        ValueError: for a mode or a format that does not exist.
    """
    _check(iou_mode, IOU_MODES, 'iou_mode')
    _check(bbox_format, BBOX_FORMATS, 'bbox_format')
    if bbox_format == 'xywh':
        pred, target = bbox_cxcywh_to_xyxy(pred), bbox_cxcywh_to_xyxy(target)
    px1, py1, px2, py2 = pred.unbind(-1)  # (...) each
    tx1, ty1, tx2, ty2 = target.unbind(-1)
    pw, ph, tw, th = px2 - px1, py2 - py1, tx2 - tx1, ty2 - ty1

    # Boxes apart share a negative length, which counts as none.
    inter_w = (torch.minimum(px2, tx2) - torch.maximum(px1, tx1)).clamp(min=0)
    inter_h = (torch.minimum(py2, ty2) - torch.maximum(py1, ty1)).clamp(min=0)
    inter = inter_w * inter_h
    union = pw * ph + tw * th - inter + eps
    iou = inter / union
    if iou_mode == 'iou':
        return iou.clamp(-1, 1)

    # Only the heights get it: what published checkpoints were trained with.
    ph, th = ph + eps, th + eps
    # The smallest box around both, and the way between their centres: what pulls boxes that do not overlap.
    enclose_w = (torch.maximum(px2, tx2) - torch.minimum(px1, tx1)).clamp(min=0)
    enclose_h = (torch.maximum(py2, ty2) - torch.minimum(py1, ty1)).clamp(min=0)
    dx = (tx1 + tx2 - px1 - px2) / 2
    dy = (ty1 + ty2 - py1 - py2) / 2

    if iou_mode == 'giou':
        enclose = enclose_w * enclose_h + eps
        cost = (enclose - union) / enclose  # share of the enclosing box that neither covers
    elif iou_mode == 'ciou':
        diagonal = enclose_w**2 + enclose_h**2 + eps  # squared, as is the distance of the centres
        aspect = (4 / math.pi**2) * (torch.atan(tw / th) - torch.atan(pw / ph)) ** 2  # in [0, 1]
        with torch.no_grad():
            alpha = aspect / (aspect - iou + (1 + eps))  # a factor, not a way for the gradient
        cost = (dx**2 + dy**2) / diagonal + alpha * aspect
    else:
        cost = _siou_cost(dx + eps, dy + eps, (pw, tw), (ph, th), (enclose_w, enclose_h), siou_theta)
    return (iou - cost).clamp(-1, 1)


def _siou_cost(
    dx: Tensor,
    dy: Tensor,
    widths: tuple[Tensor, Tensor],
    heights: tuple[Tensor, Tensor],
    enclose: tuple[Tensor, Tensor],
    theta: float,
) -> Tensor:
    """Half the sum of the distance and the shape cost of SIoU, of what `bbox_overlaps` has at hand."""
    length = torch.sqrt(dx**2 + dy**2)
    sin_x, sin_y = dx.abs() / length, dy.abs() / length
    sine = torch.where(sin_y > math.sin(math.pi / 4), sin_x, sin_y)  # of the smaller angle to an axis
    # The nearer the way between the centres is to an axis, the more a distance costs.
    gamma = 2 - torch.cos(2 * torch.asin(sine) - math.pi / 2)
    distance = sum(1 - torch.exp(-gamma * (delta / side) ** 2) for delta, side in zip((dx, dy), enclose))
    shape = sum((1 - torch.exp(-(a - b).abs() / torch.maximum(a, b))) ** theta for a, b in (widths, heights))
    return 0.5 * (distance + shape)


def _check(value: str, allowed: tuple[str, ...], name: str) -> None:
    if value not in allowed:
        raise ArgumentValueError(f'{name} must be one of {", ".join(allowed)}, got {value!r}')


@MODELS.register_module()
class IoULoss(nn.Module):
    """One minus the overlap of predicted and true boxes.

    Args:
        iou_mode: 'ciou', 'siou' or 'giou'.
        bbox_format: 'xywh' (centre and size) or 'xyxy'.
        eps: what keeps denominators from zero.
        reduction: 'none', 'mean' or 'sum'.
        loss_weight: factor of the loss.
        return_iou: also return the overlaps.

    Raises:
        ValueError: for a mode, format or reduction that does not exist.
    """

    def __init__(
        self,
        iou_mode: str = 'ciou',
        bbox_format: str = 'xywh',
        eps: float = 1e-7,
        reduction: str = 'mean',
        loss_weight: float = 1.0,
        return_iou: bool = True,
    ) -> None:
        super().__init__()
        _check(iou_mode, ('ciou', 'siou', 'giou'), 'iou_mode')
        _check(bbox_format, BBOX_FORMATS, 'bbox_format')
        _check(reduction, ('none', 'mean', 'sum'), 'reduction')
        self.iou_mode = iou_mode
        self.bbox_format = bbox_format
        self.eps = eps
        self.reduction = reduction
        self.loss_weight = loss_weight
        self.return_iou = return_iou

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Compute the loss of box pairs.

        Args:
            pred: (n, 4) predicted boxes.
            target: (n, 4) true boxes.
            weight: (n,) or (n, 4) weights; the latter count with their mean.
            avg_factor: what a 'mean' divides by instead of n.
            reduction_override: replaces `reduction` in this call.

        Returns:
            The loss, or (loss, (n,) overlaps) if `return_iou`.
        """
        if weight is not None and weight.dim() > 1:
            weight = weight.mean(-1)
        iou = bbox_overlaps(pred, target, self.iou_mode, self.bbox_format, eps=self.eps)
        loss = self.loss_weight * weight_reduce_loss(1 - iou, weight, reduction_override or self.reduction, avg_factor)
        return (loss, iou) if self.return_iou else loss
