"""The focal loss (1708.02002) with gamma 2, for targets that may lie between 0 and 1."""

import torch.nn.functional as F
from torch import Tensor


def focal_loss(logits: Tensor, targets: Tensor, alpha: float = 0.25) -> Tensor:
    """Return the loss of every logit.

    Args:
        logits: Of any shape.
        targets: Of the same shape, in 0..1.
        alpha: Weight of positives; negatives have 1 - alpha.

    Returns:
        The loss, same shape.
    """
    p = logits.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction='none')
    return (alpha * targets + (1 - alpha) * (1 - targets)) * (p + targets - 2 * p * targets) ** 2 * entropy


def focal_loss_of_ones(logits: Tensor, alpha: float = 0.25) -> Tensor:
    """Return `focal_loss` where all targets are 1."""
    return alpha * (1 - logits.sigmoid()) ** 2 * F.softplus(-logits)


def focal_loss_of_zeros(logits: Tensor, alpha: float = 0.25) -> Tensor:
    """Return `focal_loss` where all targets are 0."""
    return (1 - alpha) * logits.sigmoid() ** 2 * F.softplus(logits)
