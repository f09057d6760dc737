"""Task-aligned assignment (TOOD, 2108.07755) of a whole batch at once, as YOLOv6, YOLOv8 and PPYOLOE train with.

The result is that of the dense definition over (images, boxes, priors); the work is not. Overlaps are computed where
a prior lies inside a box, everything after the top-k on the chosen pairs, and padding costs nothing. A subclass that
replaces a step of the definition, see `STEPS`, has the definition computed as it stands.

Kept as published, for equal numbers: a prior inside a box can be chosen with a metric of zero, where the top-k ties; a
contested prior goes to the box it overlaps most even if that box had not chosen it.
Different from public mmyolo: fewer priors than `topk` are enough, and the mask of positives is always boolean.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmyolo.models.losses import bbox_overlaps
from mmyolo.registry import TASK_UTILS

from ...utils import is_original
from .utils import resolve_contested, select_candidates_in_gts, select_highest_overlaps, yolov6_iou_calculator

# The steps of the definition.
STEPS = ('get_pos_mask', 'get_box_metrics', 'select_topk_candidates', 'get_targets')
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

    def __init__(
        self,
        num_classes: int,
        topk: int = 13,
        alpha: float = 1.0,
        beta: float = 6.0,
        eps: float = 1e-7,
        use_ciou: bool = False,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.topk = topk
        self.alpha = alpha
        self.beta = beta
        self.eps = eps
        self.use_ciou = use_ciou

    @torch.no_grad()
    def forward(
        self,
        pred_bboxes: Tensor,
        pred_scores: Tensor,
        priors: Tensor,
        gt_labels: Tensor,
        gt_bboxes: Tensor,
        pad_bbox_flag: Tensor,
    ) -> dict[str, Tensor]:
        """Assign boxes to priors.

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
            return {
                'assigned_labels': torch.full_like(foreground, self.num_classes, dtype=torch.long),
                'assigned_bboxes': torch.zeros_like(pred_bboxes),
                'assigned_scores': scores,
                'fg_mask_pre_prior': foreground,
            }
        if not is_original(self, *STEPS):
            return self._by_definition(pred_bboxes, pred_scores, priors[:, :2], gt_labels, gt_bboxes, pad_bbox_flag)

        # Positives are pairs from here on: `places` in the flattened (B, N), `gts` in the flattened (B, G).
        pairs = self._pairs(pred_bboxes, pred_scores, gt_labels, gt_bboxes)
        places, gts = self._choose(pairs, priors[:, :2], pad_bbox_flag.flatten().nonzero().squeeze(1), num_gts)
        places, gts = resolve_contested(pairs.overlaps, places, gts, batch * num_priors, num_priors, num_gts)

        overlaps, metric = pairs.measure(places, gts)
        best_metric, best_overlap = (
            metric.new_zeros(batch * num_gts).scatter_reduce(0, gts, value, 'amax') for value in (metric, overlaps)
        )
        score = metric * best_overlap[gts] / (best_metric[gts] + self.eps)

        owners = (torch.arange(batch, device=gts.device) * num_gts)[:, None].repeat(1, num_priors)
        owners.view(-1)[places] = gts
        labels = pairs.gt_labels[owners]
        scores.view(-1)[places * self.num_classes + pairs.gt_labels[gts]] = score
        foreground.view(-1)[places] = True
        return {
            'assigned_labels': labels,
            'assigned_bboxes': pairs.gt_bboxes[owners],
            'assigned_scores': scores,
            'fg_mask_pre_prior': foreground,
        }

    def _by_definition(
        self,
        pred_bboxes: Tensor,
        pred_scores: Tensor,
        priors: Tensor,
        gt_labels: Tensor,
        gt_bboxes: Tensor,
        pad_bbox_flag: Tensor,
    ) -> dict[str, Tensor]:
        """As `forward`, step by step."""
        batch_size, num_gt = gt_bboxes.shape[:2]
        pos_mask, metrics, overlaps = self.get_pos_mask(
            pred_bboxes, pred_scores, priors, gt_labels, gt_bboxes, pad_bbox_flag, batch_size, num_gt
        )
        gt_of_prior, foreground, pos_mask = select_highest_overlaps(pos_mask, overlaps, num_gt)
        labels, bboxes, scores = self.get_targets(gt_labels, gt_bboxes, gt_of_prior, foreground, batch_size, num_gt)

        metrics = metrics * pos_mask
        best_metric = metrics.amax(-1, keepdim=True)
        best_overlap = (overlaps * pos_mask).amax(-1, keepdim=True)
        factor = (metrics * best_overlap / (best_metric + self.eps)).amax(1)
        return {
            'assigned_labels': labels,
            'assigned_bboxes': bboxes,
            'assigned_scores': scores * factor[..., None],
            'fg_mask_pre_prior': foreground.bool(),
        }

    def get_pos_mask(
        self,
        pred_bboxes: Tensor,
        pred_scores: Tensor,
        priors: Tensor,
        gt_labels: Tensor,
        gt_bboxes: Tensor,
        pad_bbox_flag: Tensor,
        batch_size: int,
        num_gt: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mark the priors that boxes choose.

        Args:
            pred_bboxes: see `forward`.
            pred_scores: see `forward`.
            gt_labels: see `forward`.
            gt_bboxes: see `forward`.
            pad_bbox_flag: see `forward`.
            priors: (N, 2) x, y of the priors.
            batch_size: B.
            num_gt: G.

        Returns:
            (B, G, N) 1 for a prior that the box chooses, else 0; (B, G, N) metrics; (B, G, N) overlaps.
        """
        inside = select_candidates_in_gts(priors, gt_bboxes)
        metrics, overlaps = self.get_box_metrics(pred_bboxes, pred_scores, gt_labels, gt_bboxes, batch_size, num_gt)
        topk_mask = pad_bbox_flag.repeat(1, 1, self.topk).bool()
        chosen = self.select_topk_candidates(metrics * inside, topk_mask=topk_mask)
        return chosen * inside * pad_bbox_flag, metrics, overlaps

    def get_box_metrics(
        self,
        pred_bboxes: Tensor,
        pred_scores: Tensor,
        gt_labels: Tensor,
        gt_bboxes: Tensor,
        batch_size: int,
        num_gt: int,
    ) -> tuple[Tensor, Tensor]:
        """Metrics and overlaps of all boxes and priors.

        Args:
            pred_bboxes: see `forward`.
            pred_scores: see `forward`.
            gt_labels: see `forward`.
            gt_bboxes: see `forward`.
            batch_size: B.
            num_gt: G.

        Returns:
            (B, G, N) `score ** alpha * overlap ** beta` and (B, G, N) overlaps.
        """
        num_priors = pred_bboxes.shape[1]
        places = torch.arange(batch_size * num_priors, device=pred_bboxes.device).view(batch_size, 1, num_priors)
        gts = torch.arange(batch_size * num_gt, device=pred_bboxes.device).view(batch_size, num_gt, 1)
        overlaps, metrics = self._pairs(pred_bboxes, pred_scores, gt_labels, gt_bboxes).measure(places, gts)
        return metrics, overlaps

    def select_topk_candidates(
        self, alignment_gt_metrics: Tensor, using_largest_topk: bool = True, topk_mask: Tensor | None = None
    ) -> Tensor:
        """Mark the `topk` priors of each box.

        Args:
            alignment_gt_metrics: (B, G, N) metrics.
            using_largest_topk: whether the largest are the best.
            topk_mask: (B, G, topk) bool, False for padding, which chooses nothing; by default all choose.

        Returns:
            (B, G, N) 1 for a chosen prior, else 0.
        """
        num_chosen = min(self.topk, alignment_gt_metrics.shape[-1])
        top = alignment_gt_metrics.topk(num_chosen, dim=-1, largest=using_largest_topk).indices
        chosen = torch.zeros_like(alignment_gt_metrics)
        chooses = chosen.new_ones(top.shape) if topk_mask is None else topk_mask[..., :num_chosen].to(chosen)
        return chosen.scatter(-1, top, chooses)

    def get_targets(
        self,
        gt_labels: Tensor,
        gt_bboxes: Tensor,
        assigned_gt_idxs: Tensor,
        fg_mask_pre_prior: Tensor,
        batch_size: int,
        num_gt: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Look up what the priors are to predict.

        Args:
            gt_labels: see `forward`.
            gt_bboxes: see `forward`.
            assigned_gt_idxs: (B, N) index of each prior's box within its image.
            fg_mask_pre_prior: (B, N) above 0 for positives.
            batch_size: B.
            num_gt: G.

        Returns:
            (B, N) labels, (B, N, 4) boxes and (B, N, num_classes) scores, 1 for the class of a positive.
        """
        # (B, 1) index of each image's first box
        first = torch.arange(batch_size, device=gt_labels.device)[:, None] * num_gt
        owners = assigned_gt_idxs + first  # (B, N) in the flattened (B, G)
        labels = gt_labels.long().flatten()[owners].clamp(min=0)  # (B, N)
        scores = F.one_hot(labels, self.num_classes) * (fg_mask_pre_prior > 0)[..., None]
        return labels, gt_bboxes.reshape(-1, 4)[owners], scores.to(gt_bboxes)

    def _pairs(self, pred_bboxes: Tensor, pred_scores: Tensor, gt_labels: Tensor, gt_bboxes: Tensor) -> '_Pairs':
        return _Pairs(
            pred_bboxes.flatten(0, 1),
            pred_scores,
            gt_bboxes.flatten(0, 1),
            gt_labels.flatten().long(),
            self.alpha,
            self.beta,
            self.use_ciou,
        )

    def _choose(self, pairs: '_Pairs', points: Tensor, valid: Tensor, num_gts: int) -> tuple[Tensor, Tensor]:
        """Return the top-k priors of each valid box, among those whose point lies in it.

        Args:
            pairs: what overlaps and metrics are computed of.
            points: (N, 2) points of the priors.
            valid: (T,) indices of boxes that are not padding.
            num_gts: boxes per image, padding counted.

        Returns:
            Indices of priors and of boxes, a pair each.
        """
        num_priors = len(points)
        chosen = []
        # Boxes a few at a time, so that (t, N) floats stay within bounds however many objects a batch has.
        for gts in valid.split(max(1, _CHUNK // max(1, num_priors))):
            inside = select_candidates_in_gts(points, pairs.gt_bboxes[gts][None])[0] > 0  # (t, N)
            row, prior = inside.nonzero(as_tuple=True)
            # Metrics of the pairs alone whose point lies in the box; all others are 0.
            _, values = pairs.measure(gts[row] // num_gts * num_priors + prior, gts[row])
            metric = values.new_zeros(inside.shape)  # (t, N)
            metric[row, prior] = values
            top = metric.topk(min(self.topk, num_priors)).indices  # (t, k)
            # A box with few priors inside has zeros among its best: those outside are dropped again.
            row, rank = inside.gather(1, top).nonzero(as_tuple=True)
            chosen.append((gts[row] // num_gts * num_priors + top[row, rank], gts[row]))
        places, gts = (torch.cat(part) for part in zip(*chosen))
        return places, gts


class _Pairs:
    """Overlap and metric of pairs of a prediction and a box, each named by its flat index."""

    def __init__(
        self,
        pred_bboxes: Tensor,
        pred_scores: Tensor,
        gt_bboxes: Tensor,
        gt_labels: Tensor,
        alpha: float,
        beta: float,
        use_ciou: bool,
    ) -> None:
        self.pred_bboxes = pred_bboxes
        self.pred_scores = pred_scores
        self.gt_bboxes = gt_bboxes.float()
        self.gt_labels = gt_labels
        self.alpha = alpha
        self.beta = beta
        self.use_ciou = use_ciou

    def overlaps(self, places: Tensor, gts: Tensor) -> Tensor:
        """Overlaps; the indices broadcast, and so the result."""
        pred, target = self.pred_bboxes[places], self.gt_bboxes[gts]  # (..., 4) each
        if self.use_ciou:
            return bbox_overlaps(pred, target, 'ciou', 'xyxy').clamp(min=0)
        pred, target = torch.broadcast_tensors(pred, target)
        overlaps = yolov6_iou_calculator(target.reshape(-1, 1, 4), pred.reshape(-1, 1, 4))
        return overlaps.reshape(pred.shape[:-1])

    def measure(self, places: Tensor, gts: Tensor) -> tuple[Tensor, Tensor]:
        """Overlaps and metrics of pairs."""
        overlaps = self.overlaps(places, gts)
        # Not flattened: the scores may be a transposed view.
        num_priors = self.pred_scores.shape[1]
        scores = self.pred_scores[places // num_priors, places % num_priors, self.gt_labels[gts]]
        return overlaps, scores**self.alpha * overlaps**self.beta
