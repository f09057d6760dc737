"""Extra queries of a training, which begin at noised boxes of the objects (DN-DETR, arXiv 2203.01305).

A query of the detector must first find an object before its layers learn to classify and to correct boxes; these begin
where the objects are. They are detection tokens of the image like the others, drawn anew at each step, with other
boxes, so nothing has parameters of its own and files of weights are the same with and without. As in DINO (2203.03605)
half of the boxes are so far from the objects that the answer is that there is none.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_xyxy_to_cxcywh
from torch import Tensor

MIN_SIDE = 0.01  # of a noised box, as part of the image


class NoisedQueries(NamedTuple):
    """Queries in groups that know nothing of each other.

    Args:
        tokens: Shape (B, Q, C), group after group.
        positions: Shape (B, Q, C).
        boxes: Shape (B, Q, 4), cxcywh in 0..1 of the image.
        objects: Shape (B, Q) int64, the object of the image that the query is to give; -1 for none.
        groups: How many there are.
    """

    tokens: Tensor
    positions: Tensor
    boxes: Tensor
    objects: Tensor
    groups: int


def make_noised_queries(
    tokens: Tensor, positions: Tensor, targets: Sequence[dict[str, Tensor]], groups: int
) -> NoisedQueries | None:
    """Draw the queries of a step.

    Args:
        tokens: Shape (B, N, C), as the decoder gets them.
        positions: Shape (1, N, C).
        targets: For each image `boxes` (n, 4), cxcywh in 0..1.
        groups: How many times each object is taken, as long as that does not make more queries than there are tokens.

    Returns:
        The queries; each group has every object once, near it, and as many boxes that are too far from it, as far as
        there are tokens. None if there are no objects.
    """
    batch, number, _ = tokens.shape
    most = max(len(target['boxes']) for target in targets)
    if not most:
        return None
    near = min(most, number)
    far = min(most, number - near)
    groups = max(min(groups, number // (near + far)), 1)
    boxes = positions.new_full((batch, near, 4), 0.5, dtype=torch.float32)  # of an image with fewer objects
    objects = torch.full((batch, near), -1, device=tokens.device)
    for image, target in enumerate(targets):
        count = min(len(target['boxes']), near)
        boxes[image, :count] = target['boxes'][:count]
        objects[image, :count] = torch.arange(count, device=tokens.device)
    nowhere = objects < 0
    boxes[nowhere] = torch.rand_like(boxes[nowhere])
    boxes = torch.cat([boxes, boxes[:, :far]], 1)[:, None].expand(-1, groups, -1, -1)
    objects = torch.cat([objects, torch.full_like(objects[:, :far], -1)], 1)[:, None].expand(-1, groups, -1)
    # Each side moves by up to half of the object's width or height, and by more where there is no object to give.
    share = torch.rand_like(boxes) + (torch.arange(near + far, device=tokens.device) >= near).view(-1, 1)
    sign = torch.randint_like(boxes, 2) * 2 - 1
    corners = bbox_cxcywh_to_xyxy(boxes) + sign * share * boxes[..., 2:].repeat(1, 1, 1, 2) / 2
    low, high = torch.minimum(corners[..., :2], corners[..., 2:]), torch.maximum(corners[..., :2], corners[..., 2:])
    noised = bbox_xyxy_to_cxcywh(torch.cat([low, high], -1).clamp(0, 1))
    noised = torch.cat([noised[..., :2], noised[..., 2:].clamp(min=MIN_SIDE)], -1)
    order = torch.rand(batch, groups, number, device=tokens.device).argsort(2)[..., : near + far].flatten(1)
    index = order[..., None].expand(-1, -1, tokens.shape[2])
    return NoisedQueries(
        tokens.gather(1, index),
        positions.expand(batch, -1, -1).gather(1, index),
        noised.flatten(1, 2),
        objects.flatten(1, 2),
        groups,
    )
