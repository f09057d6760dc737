"""Maps of a head by prior: all priors of a batch, or those of some boxes."""
from typing import Sequence

import torch
from torch import Tensor


def by_cell(level: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H * W, C)."""
    return level.flatten(2).transpose(1, 2)


def by_prior(maps: Sequence[Tensor]) -> Tensor:
    """Per level (B, C, H, W) -> (B, N, C), N cells of all levels by row and column."""
    return torch.cat([level.flatten(2) for level in maps], dim=2).transpose(1, 2)


def gather_priors(maps: Sequence[Tensor], images: Tensor, priors: Tensor, num_base_priors: int = 1) -> Tensor:
    """Takes the predictions of some priors out of maps.

    Args:
        maps: per level (B, A * C, H, W) or (B, A, C, H, W).
        images: (n,) image of each prior.
        priors: (n,) priors, counted over levels, rows, columns and base priors, see `prediction.Detections`.
        num_base_priors: A.

    Returns:
        (n, C) predictions.
    """
    values, first = None, 0
    for level in maps:
        level = level.reshape(len(level), num_base_priors, -1, level.shape[-2:].numel())  # (B, A, C, H * W)
        count = level.shape[-1] * num_base_priors
        here = priors - first
        is_here = (here >= 0) & (here < count)
        here = here.clamp(0, count - 1)
        found = level[images, here % num_base_priors, :, here // num_base_priors]
        values = found if values is None else torch.where(is_here[:, None], found, values)
        first += count
    return values
