"""The focal loss (arXiv 1708.02002) with targets between 0 and 1, for angle classes; stands in for mmrotate's."""

import torch.nn.functional as F
from mmdet.models.losses.utils import weight_reduce_loss
from torch import Tensor, nn

from mmyolo.registry import MODELS, stand_in


@stand_in(MODELS, 'mmrotate').register_module()
class SmoothFocalLoss(nn.Module):
    """Binary cross-entropy that counts less where the prediction is right already.

    Args:
        gamma: how much less.
        alpha: weight of positives; that of negatives is 1 - alpha.
        reduction: 'none', 'mean' or 'sum'.
        loss_weight: weight of the loss.
    """

    def __init__(
        self, gamma: float = 2.0, alpha: float = 0.25, reduction: str = 'mean', loss_weight: float = 1.0
    ) -> None:
        super().__init__()
        self.gamma = gamma
        self.alpha = alpha
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
            pred: (N, C) logits.
            target: (N, C) within [0, 1].
            weight: (N,) or (N, C) weights.
            avg_factor: what a mean divides by.
            reduction_override: in place of `reduction`.

        Returns:
            The loss, a number unless it is not reduced.
        """
        target = target.to(pred)
        prob = pred.sigmoid()
        miss = prob * (1 - target) + (1 - prob) * target
        balance = self.alpha * target + (1 - self.alpha) * (1 - target)
        loss = F.binary_cross_entropy_with_logits(pred, target, reduction='none') * balance * miss**self.gamma
        if weight is not None and weight.dim() < loss.dim():
            weight = weight[:, None]
        return self.loss_weight * weight_reduce_loss(loss, weight, reduction_override or self.reduction, avg_factor)
