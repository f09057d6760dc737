"""Which query learns which object: the cheapest assignment of one to one (2005.12872)."""

from collections.abc import Sequence

import torch
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_overlaps
from scipy.optimize import linear_sum_assignment
from torch import Tensor

# A pair whose cost is not a number: dearer than any other, so that the rest can be matched; the loss is not a number
# then either, which ends the training with a message.
INVALID_COST = 1e6


class HungarianMatcher:
    """Assigns objects to queries at the lowest total cost.

    Args:
        class_cost: Factor of the cost of the class.
        box_cost: Factor of the L1 distance of the boxes, cxcywh in 0..1.
        giou_cost: Factor of the negative generalised IoU (1902.09630).
        background: Whether the logits have a last class "no object" and go through softmax; else sigmoid, and the
            class costs as much as its focal loss (1708.02002) is lower when it is right.
        alpha: Weight of positives in the focal loss.
    """

    def __init__(
        self,
        class_cost: float = 2.0,
        box_cost: float = 5.0,
        giou_cost: float = 2.0,
        background: bool = False,
        alpha: float = 0.25,
    ) -> None:
        self.factors = (class_cost, box_cost, giou_cost)
        self.background = background
        self.alpha = alpha

    @torch.no_grad()
    def __call__(
        self, logits: Tensor, boxes: Tensor, targets: Sequence[dict[str, Tensor]]
    ) -> list[list[tuple[Tensor, Tensor]]]:
        """Match the predictions of each level and image.

        Args:
            logits: (L, B, N, K) of L decoder levels.
            boxes: (L, B, N, 4) cxcywh in 0..1.
            targets: For each image `labels` (n,) int64 and `boxes` (n, 4) cxcywh in 0..1.

        Returns:
            For each level, for each image: queries, ascending, and their objects, two (min(N, n),) int64 on the CPU.
        """
        count, queries = logits.shape[0], logits.shape[2]
        with torch.autocast(logits.device.type, enabled=False):
            costs = [
                self.cost(logits[:, image], boxes[:, image], target['labels'], target['boxes'])
                for image, target in enumerate(targets)
            ]
        # one transfer for all, as each makes the accelerator wait
        together = torch.cat([cost.flatten(1) for cost in costs], 1)
        together = together.nan_to_num(INVALID_COST, INVALID_COST, INVALID_COST).cpu()
        of_images = together.split([cost[0].numel() for cost in costs], 1)
        return [
            [self._assign(part[level].view(queries, -1) if part.numel() else part[level]) for part in of_images]
            for level in range(count)
        ]

    def cost(self, logits: Tensor, boxes: Tensor, labels: Tensor, objects: Tensor) -> Tensor:
        """Return what it costs to give each object of one image to each query.

        Args:
            logits: (L, N, K).
            boxes: (L, N, 4) cxcywh.
            labels: (n,) int64.
            objects: (n, 4) cxcywh.

        Returns:
            (L, N, n) in float32, or float64 if the boxes are.
        """
        class_cost, box_cost, giou_cost = self.factors
        logits, boxes = (part if part.dtype == torch.float64 else part.float() for part in (logits, boxes))
        objects = objects.to(boxes)
        if self.background:
            of_class = -logits.softmax(-1)[..., labels]
        else:
            p = logits[..., labels].sigmoid()
            positive = self.alpha * (1 - p) ** 2 * -(p + 1e-8).log()
            of_class = positive - (1 - self.alpha) * p**2 * -(1 - p + 1e-8).log()
        distance = torch.cdist(boxes, objects.expand(len(boxes), -1, -1), p=1)
        overlap = bbox_overlaps(bbox_cxcywh_to_xyxy(boxes.flatten(0, 1)), bbox_cxcywh_to_xyxy(objects), mode='giou')
        return box_cost * distance + class_cost * of_class - giou_cost * overlap.view_as(distance)

    @staticmethod
    def _assign(cost: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows and columns of the cheapest assignment of a (N, n) matrix; of an empty one, none."""
        if not cost.numel():
            return torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64)
        rows, columns = linear_sum_assignment(cost.numpy())
        return torch.from_numpy(rows), torch.from_numpy(columns)
