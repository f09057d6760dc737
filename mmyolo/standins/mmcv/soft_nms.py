"""Soft non-maximum suppression (arXiv 1704.04503): overlapping candidates lose score instead of going at once."""

import torch
from torch import Tensor

from .nms import pairwise_iou

NAIVE, LINEAR, GAUSSIAN = range(3)


@torch.no_grad()
def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Take the best candidate, lower the scores of those it overlaps, and so on.

    Args:
        boxes: (N, 4) xyxy.
        scores: (N,).
        dets: (N, 5), written in place: the first n rows become xyxy and final score of the kept, in the order taken.
        iou_threshold: overlap from which the naive and the linear method lower a score.
        sigma: of the Gaussian method.
        min_score: a candidate whose score falls below goes.
        method: 0 sets the score to 0, 1 multiplies it by 1 - IoU, 2 by exp(-IoU^2 / sigma).
        offset: the width of a box is x2 - x1 + offset, likewise its height.

    Returns:
        Indices (n,) int64 of the kept.
    """
    iou_boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    scores = scores.clone()
    left = torch.arange(len(scores))
    taken = []
    while len(left):
        best = int(scores[left].argmax())
        index = left[best]
        dets[len(taken), :4] = boxes[index]
        dets[len(taken), 4] = scores[index]
        taken.append(int(index))
        left = torch.cat([left[:best], left[best + 1 :]])
        iou = pairwise_iou(iou_boxes[index][None], iou_boxes[left])[0]
        if method == GAUSSIAN:
            weight = torch.exp(-(iou**2) / sigma)
        else:
            lowered = 1 - iou if method == LINEAR else torch.zeros_like(iou)
            weight = torch.where(iou >= iou_threshold, lowered, 1.0)
        scores[left] *= weight.to(scores)
        left = left[scores[left] >= min_score]
    return torch.tensor(taken, dtype=torch.int64)
