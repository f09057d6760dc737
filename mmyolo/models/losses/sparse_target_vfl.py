"""Varifocal loss (2008.13367) over whole maps whose targets are zero nearly everywhere: few priors are positive.

As `sparse_target_bce`: nothing of the maps' size is kept for the gradient but the maps.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


class _SparseTargetVFL(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx,
        logits: Tensor,
        image: Tensor,
        channel: Tensor,
        cell: Tensor,
        targets: Tensor,
        alpha: float,
        gamma: float,
        iou_weighted: bool,
    ) -> Tensor:
        place = image, channel, cell // logits.shape[3], cell % logits.shape[3]  # (n,) each
        weight = targets if iou_weighted else torch.ones_like(targets)
        ctx.save_for_backward(logits, *place, targets, weight)
        ctx.alpha, ctx.gamma = alpha, gamma
        logits = logits.float()
        negative = F.softplus(logits).mul_(logits.sigmoid().pow_(gamma)).mul_(alpha)  # (B, C, H, W) as background
        chosen = logits[place]  # (n,)
        return negative.sum() - negative[place].sum() + (F.softplus(chosen) - targets * chosen).dot(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_loss: Tensor):
        logits, *place, targets, weight = ctx.saved_tensors
        place = tuple(place)
        score = logits.float().sigmoid()
        # Of alpha * p^gamma * softplus(x): alpha * p^gamma * (gamma * (1 - p) * softplus(x) + p).
        grad = F.softplus(logits.float()).mul_(1 - score).mul_(ctx.gamma).add_(score)
        grad.mul_(score.pow(ctx.gamma)).mul_(ctx.alpha)
        grad[place] = weight * (score[place] - targets)  # with a target: weighted cross entropy
        return (grad.mul_(grad_loss).to(logits.dtype),) + (None,) * 7


def sparse_target_vfl(
    logits: Tensor,
    image: Tensor,
    channel: Tensor,
    cell: Tensor,
    targets: Tensor,
    alpha: float = 0.75,
    gamma: float = 2.0,
    iou_weighted: bool = True,
) -> Tensor:
    """Sum the varifocal loss of logits over all elements of a map, in single precision.

    Args:
        logits: (B, C, H, W).
        image: (n,) image of each element whose target is not 0; an element must not occur twice.
        channel: (n,) its channel.
        cell: (n,) its cell, row * W + column.
        targets: (n,) its target, in (0, 1].
        alpha: weight of elements without a target, times their score to the power of `gamma`.
        gamma: see `alpha`.
        iou_weighted: whether elements with a target weigh as much as it; else 1.

    Returns:
        The sum.
    """
    return _SparseTargetVFL.apply(logits, image, channel, cell, targets, alpha, gamma, iou_weighted)
