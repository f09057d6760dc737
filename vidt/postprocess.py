"""From the outputs of the last decoder level to detections; there is no non-maximum suppression."""

from typing import Any, NamedTuple

import torch
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy
from torch import Tensor


class Selected(NamedTuple):
    """The detections of a batch, the best first unless there is a background class.

    Args:
        scores: (B, D) in 0..1, float32.
        labels: (B, D) int64.
        queries: (B, D) int64 The query that each comes from.
        boxes: (B, D, 4) cxcywh in 0..1 of the image without padding, float32.
    """

    scores: Tensor
    labels: Tensor
    queries: Tensor
    boxes: Tensor


def select_detections(outputs: dict[str, Any], max_detections: int = 100, background: bool = False) -> Selected:
    """Return the highest scores of all queries and classes.

    Args:
        outputs: `pred_logits` (B, N, K) and `pred_boxes` (B, N, 4).
        max_detections: At most so many of an image; one query may give several of different classes.
        background: Whether the last class is "no object": then every query gives its best other class, in the order of
            the queries, and `max_detections` does not count.

    Returns:
        The detections.
    """
    logits, boxes = (  # half precision has no room for scores that lie close together
        value if value.dtype == torch.float64 else value.float()
        for value in (outputs['pred_logits'], outputs['pred_boxes'])
    )
    if background:
        scores, labels = logits.softmax(-1)[..., :-1].max(-1)
        queries = torch.arange(logits.shape[1], device=logits.device).expand_as(labels)
        return Selected(scores, labels, queries, boxes)
    count, classes = logits.shape[1:]
    scores, places = logits.flatten(1).topk(min(max_detections, count * classes))
    queries = places // classes
    return Selected(scores.sigmoid(), places % classes, queries, boxes.gather(1, queries[..., None].expand(-1, -1, 4)))


def to_pixels(boxes: Tensor, sizes: Tensor) -> Tensor:
    """Return boxes in pixels of their images, where they may lie partly outside.

    Args:
        boxes: (B, D, 4) cxcywh in 0..1.
        sizes: (B, 2) height and width of each image.

    Returns:
        (B, D, 4) xyxy.
    """
    height, width = sizes.to(boxes).unbind(1)
    return bbox_cxcywh_to_xyxy(boxes) * torch.stack((width, height, width, height), 1)[:, None]
