"""The token labels of ViDT+ (2204.07962): every patch token learns what its cell holds, from masks."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vidt.losses.focal import focal_loss


def token_targets(
    masks: Tensor, labels: Tensor, canvas: tuple[int, int], sizes: Sequence[tuple[int, int]], num_outputs: int
) -> list[Tensor]:
    """Return which part of each cell every class covers.

    Args:
        masks: (n, h, w) bool; where they overlap the earlier object counts.
        labels: (n,) int64 output of each object; 0 is no object.
        canvas: Height and width of the padded batch.
        sizes: Height and width of each token map.
        num_outputs: Outputs of a token.

    Returns:
        For each map (num_outputs, height, width) in 0..1; output 0 is the part that any object covers.
    """
    owner = torch.full(canvas, -1, dtype=torch.int64, device=masks.device)
    for index in reversed(range(len(masks))):  # the earlier object is painted last
        mask = masks[index]
        owner[: mask.shape[0], : mask.shape[1]][mask] = index
    padded = torch.cat((labels, labels.new_zeros(1)))  # the last one is what -1 finds
    output = padded[owner]
    present = labels[labels > 0].unique()
    covered = torch.stack([output > 0, *(output == label for label in present)]).float()
    places = torch.cat((present.new_zeros(1), present))
    targets = []
    for size in sizes:
        target = covered.new_zeros(num_outputs, *size)
        target[places] = F.adaptive_avg_pool2d(covered[None], size)[0]
        targets.append(target)
    return targets


def token_losses(
    tokens: Sequence[Tensor], targets: Sequence[dict[str, Tensor]], first_class: int, canvas: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Return the focal loss and the dice loss of the tokens of all maps.

    Args:
        tokens: For each map (B, height, width, outputs) logits.
        targets: For each image `labels` (n,) and `masks` (n, h, w) bool.
        first_class: Output of class 0, 1 or 0. As output 0 stands for any object, objects of class 0 have no label with
            0; public files for COCO have it so, whose class is the category id, from 1.
        canvas: Height and width of the padded batch.

    Returns:
        Two scalars, summed over maps and images; the focal loss is the mean over the tokens of a map.
    """
    outputs = tokens[0].shape[-1]
    sizes = [tuple(level.shape[1:3]) for level in tokens]
    of_images = [
        token_targets(target['masks'].bool(), target['labels'] + first_class, canvas, sizes, outputs)
        for target in targets
    ]
    focal = dice = 0.0
    for logits, wanted in zip(tokens, zip(*of_images)):
        logits = (logits if logits.dtype == torch.float64 else logits.float()).flatten(1, 2)  # (B, tokens, outputs)
        wanted = torch.stack(wanted).flatten(2).transpose(1, 2).to(logits)
        focal = focal + focal_loss(logits, wanted).mean(1).sum()
        p, t = logits.sigmoid().flatten(1), wanted.flatten(1)
        dice = dice + (1 - (2 * (p * t).sum(1) + 1) / (p.sum(1) + t.sum(1) + 1)).sum()
    return focal, dice
