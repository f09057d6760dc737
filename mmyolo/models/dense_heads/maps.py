"""Maps of a head by prior: all priors of a batch, or those of some boxes."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmyolo.errors import ArgumentValueError


def check_maps(head: Any, batch_img_metas: Sequence[dict] | None, **kinds: Sequence[Tensor] | None) -> None:
    """Check that maps to predict from belong together.

    Args:
        head: what they are for.
        batch_img_metas: meta information of each image.
        **kinds: each kind of maps by its argument's name; None for a kind that the head does without.

    Raises:
        AssertionError: if a kind has another number of levels, or the batch another number of images.
    """
    name = type(head).__name__
    counts = {kind: len(levels) for kind, levels in kinds.items() if levels is not None}
    if any(count != head.num_levels for count in counts.values()):
        raise ArgumentValueError(
            f'{name} predicts from {head.num_levels} levels of each kind of maps, got '
            + ', '.join(f'{count} of {kind}' for kind, count in counts.items())
        )
    batch_size = len(next(iter(kinds.values()))[0])
    if batch_img_metas is None or len(batch_img_metas) != batch_size:
        given = 'none' if batch_img_metas is None else len(batch_img_metas)
        raise ArgumentValueError(f'{name} needs batch_img_metas of each of the {batch_size} images, got {given}')


def by_cell(level: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H * W, C)."""
    return level.flatten(2).transpose(1, 2)


def by_prior(maps: Sequence[Tensor]) -> Tensor:
    """Per level (B, C, H, W) -> (B, N, C), N cells of all levels by row and column."""
    return torch.cat([level.flatten(2) for level in maps], dim=2).transpose(1, 2)


def gather_priors(maps: Sequence[Tensor], images: Tensor, priors: Tensor, num_base_priors: int = 1) -> Tensor:
    """Take the predictions of some priors out of maps.

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
        here = priors - first  # (n,) counted within the level
        is_here = (here >= 0) & (here < count)  # (n,)
        here = here.clamp(0, count - 1)
        # (n, C): priors are counted by cell, then anchor. Those of other levels read a wrong place and are not taken.
        found = level[images, here % num_base_priors, :, here // num_base_priors]
        values = found if values is None else torch.where(is_here[:, None], found, values)
        first += count
    return values
