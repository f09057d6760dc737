"""Binary cross entropy over whole maps whose targets are zero nearly everywhere, as when few priors are positive.

Nothing of the maps' size is allocated but the gradient, and the maps keep their memory format.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


class _SparseTargetBCE(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits: Tensor, image: Tensor, channel: Tensor, cell: Tensor, targets: Tensor) -> Tensor:
        row, column = cell // logits.shape[3], cell % logits.shape[3]  # (n,) each
        ctx.save_for_backward(logits, image, channel, row, column, targets)
        logits = logits.float()
        # BCE(x, t) = softplus(x) - t * x, so all elements count as background and those with a target are corrected.
        return F.softplus(logits).sum() - logits[image, channel, row, column].dot(targets)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_loss: Tensor):
        logits, image, channel, row, column, targets = ctx.saved_tensors
        grad = logits.float().sigmoid()  # (B, C, H, W): sigmoid(x) - t
        grad[image, channel, row, column] -= targets
        return (grad.mul_(grad_loss).to(logits.dtype),) + (None,) * 4


def sparse_target_bce(logits: Tensor, image: Tensor, channel: Tensor, cell: Tensor, targets: Tensor) -> Tensor:
    """Sum the binary cross entropy of logits over all elements of a map, in single precision.

    Args:
        logits: (B, C, H, W).
        image: (n,) image of each element whose target is not 0; an element must not occur twice.
        channel: (n,) its channel.
        cell: (n,) its cell, row * W + column.
        targets: (n,) its target, in (0, 1].

    Returns:
        The sum.
    """
    return _SparseTargetBCE.apply(logits, image, channel, cell, targets)
