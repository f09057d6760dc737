"""Task-aligned assignment (TOOD, 2108.07755) of a whole batch at once, as YOLOv6, YOLOv8 and PPYOLOE train with.

The result is that of the dense definition over (images, boxes, priors); the work is not. Overlaps are computed where
a prior lies inside a box, everything after the top-k on the chosen pairs, and padding costs nothing.

Kept as published, for equal numbers: a prior inside a box can be chosen with a metric of zero, where the top-k ties; a
contested prior goes to the box it overlaps most even if that box had not chosen it.
Different from public mmyolo: fewer priors than `topk` are enough, and the mask of positives is always boolean.
"""
from typing import Dict, Tuple

import torch
from torch import Tensor, nn

from mmyolo.models.losses import bbox_overlaps
from mmyolo.registry import TASK_UTILS
from .utils import select_candidates_in_gts, settle_contested, yolov6_iou_calculator

# Boxes times priors that are held at once: a float tensor of 64 MiB.
_CHUNK = 1 << 24


@TASK_UTILS.register_module()
class BatchTaskAlignedAssigner(nn.Module):
    """Assigns to each box the priors with the highest `score ** alpha * overlap ** beta`.

    Args:
        num_classes: classes of the detector.
        topk: priors per box at most.
        alpha: exponent of the score.
        beta: exponent of the overlap.
        eps: what keeps the normalisation of the metric from dividing by zero.
        use_ciou: CIoU, at least 0, as overlap; else IoU.
    """

    def __init__(self,
                 num_classes: int,
                 topk: int = 13,
                 alpha: float = 1.0,
                 beta: float = 6.0,
                 eps: float = 1e-7,
                 use_ciou: bool = False) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.topk = topk
        self.alpha = alpha
        self.beta = beta
        self.eps = eps
        self.use_ciou = use_ciou

    @torch.no_grad()
    def forward(self, pred_bboxes: Tensor, pred_scores: Tensor, priors: Tensor, gt_labels: Tensor, gt_bboxes: Tensor,
                pad_bbox_flag: Tensor) -> Dict[str, Tensor]:
        """Assigns boxes to priors.

        Args:
            pred_bboxes: (B, N, 4) predicted boxes, xyxy.
            pred_scores: (B, N, num_classes) predicted scores in [0, 1].
            priors: (N, 2 or more) x, y of the priors first.
            gt_labels: (B, G, 1) labels.
            gt_bboxes: (B, G, 4) boxes, xyxy, in the predictions' coordinates.
            pad_bbox_flag: (B, G, 1) 1 for a box, 0 for padding.

        Returns:
            assigned_labels: (B, N) labels; of a background prior, the label of its image's first box, or `num_classes`
                if no image has a box.
            assigned_bboxes: (B, N, 4) boxes; of a background prior, its image's first box, or 0.
            assigned_scores: (B, N, num_classes) soft targets, 0 for background.
            fg_mask_pre_prior: (B, N) bool, the positives.
        """
        batch, num_priors = pred_bboxes.shape[:2]
        num_gts = gt_bboxes.size(1)
        pred_bboxes, pred_scores = pred_bboxes.float(), pred_scores.float()
        scores = pred_bboxes.new_zeros((batch, num_priors, self.num_classes))
        foreground = torch.zeros((batch, num_priors), dtype=torch.bool, device=pred_bboxes.device)
        if num_gts == 0:
            return dict(
                assigned_labels=torch.full_like(foreground, self.num_classes, dtype=torch.long),
                assigned_bboxes=torch.zeros_like(pred_bboxes),
                assigned_scores=scores,
                fg_mask_pre_prior=foreground)

        # Positives are pairs from here on: `places` in the flattened (B, N), `gts` in the flattened (B, G).
        pairs = _Pairs(pred_bboxes.flatten(0, 1), pred_scores, gt_bboxes.flatten(0, 1),
                       gt_labels.flatten().long(), self.alpha, self.beta, self.use_ciou)
        places, gts = self._choose(pairs, priors[:, :2], pad_bbox_flag.flatten().nonzero().squeeze(1), num_gts)
        places, gts = settle_contested(pairs.overlaps, places, gts, batch * num_priors, num_priors, num_gts)

        overlaps, metric = pairs.measure(places, gts)
        best_metric, best_overlap = (
            metric.new_zeros(batch * num_gts).scatter_reduce(0, gts, value, 'amax') for value in (metric, overlaps))
        score = metric * best_overlap[gts] / (best_metric[gts] + self.eps)

        owners = (torch.arange(batch, device=gts.device) * num_gts)[:, None].repeat(1, num_priors)
        owners.view(-1)[places] = gts
        labels = pairs.gt_labels[owners]
        scores.view(-1)[places * self.num_classes + pairs.gt_labels[gts]] = score
        foreground.view(-1)[places] = True
        return dict(
            assigned_labels=labels,
            assigned_bboxes=pairs.gt_bboxes[owners],
            assigned_scores=scores,
            fg_mask_pre_prior=foreground)

    def _choose(self, pairs: '_Pairs', points: Tensor, valid: Tensor, num_gts: int) -> Tuple[Tensor, Tensor]:
        """The top-k priors of each valid box, among those whose point lies in it.

        Args:
            pairs: what overlaps and metrics are computed of.
            points: (N, 2) points of the priors.
            valid: (T,) indices of boxes that are no padding.
            num_gts: boxes per image, padding counted.

        Returns:
            Indices of priors and of boxes, a pair each.
        """
        num_priors = len(points)
        chosen = []
        for gts in valid.split(max(1, _CHUNK // max(1, num_priors))):
            inside = select_candidates_in_gts(points, pairs.gt_bboxes[gts][None])[0] > 0  # (t, N)
            row, prior = inside.nonzero(as_tuple=True)
            _, values = pairs.measure(gts[row] // num_gts * num_priors + prior, gts[row])
            metric = values.new_zeros(inside.shape)
            metric[row, prior] = values
            top = metric.topk(min(self.topk, num_priors)).indices  # (t, k)
            row, rank = inside.gather(1, top).nonzero(as_tuple=True)
            chosen.append((gts[row] // num_gts * num_priors + top[row, rank], gts[row]))
        places, gts = (torch.cat(part) for part in zip(*chosen))
        return places, gts


class _Pairs:
    """Overlap and metric of pairs of a prediction and a box, each named by its flat index."""

    def __init__(self, pred_bboxes: Tensor, pred_scores: Tensor, gt_bboxes: Tensor, gt_labels: Tensor, alpha: float,
                 beta: float, use_ciou: bool) -> None:
        self.pred_bboxes = pred_bboxes
        self.pred_scores = pred_scores
        self.gt_bboxes = gt_bboxes.float()
        self.gt_labels = gt_labels
        self.alpha = alpha
        self.beta = beta
        self.use_ciou = use_ciou

    def overlaps(self, places: Tensor, gts: Tensor) -> Tensor:
        """Overlaps; the indices broadcast, and so the result."""
        pred, target = self.pred_bboxes[places], self.gt_bboxes[gts]
        if self.use_ciou:
            return bbox_overlaps(pred, target, 'ciou', 'xyxy').clamp(min=0)
        pred, target = torch.broadcast_tensors(pred, target)
        overlaps = yolov6_iou_calculator(target.reshape(-1, 1, 4), pred.reshape(-1, 1, 4))
        return overlaps.reshape(pred.shape[:-1])

    def measure(self, places: Tensor, gts: Tensor) -> Tuple[Tensor, Tensor]:
        """Overlaps and metrics of pairs."""
        overlaps = self.overlaps(places, gts)
        # Not flattened: the scores may be a transposed view.
        num_priors = self.pred_scores.shape[1]
        scores = self.pred_scores[places // num_priors, places % num_priors, self.gt_labels[gts]]
        return overlaps, scores**self.alpha * overlaps**self.beta
