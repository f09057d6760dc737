"""Dynamic soft label assignment (RTMDet, arXiv 2212.07784, section 3.3) of a whole batch at once.

A prior is in play when it lies inside any box of its image. A box wants the priors that cost it least, where a pair
costs the more the worse its class is predicted, the less the predicted box overlaps, and the farther the prior is from
the centre; how many it takes is the sum of its best overlaps.

Kept as published, for equal numbers: overlaps of priors that are not in play count for how many a box takes; a box that
wants more priors than are in play gets others, the first by index; a contested prior goes to the box it costs least,
claimant or not, padding included, and to the image's first box if it is not in play.

Different from public mmyolo: nothing is computed for padding, boxes are taken in chunks, and the `topk` cheapest priors
are looked for instead of a full sort. The result differs only where two priors in play cost a box exactly the same and
only one of them fits: a sort takes either, and so do we.
"""

import torch
import torch.nn.functional as F
from mmdet.structures.bbox import BaseBoxes
from torch import Tensor, nn

from mmyolo.registry import TASK_UTILS

from .utils import resolve_contested

INF = 100000000
EPS = 1.0e-7
# Float32 numbers between INF and 2^27 are 8 apart: the step by which priors not in play are put in order.
_INF_STEP = 8
# Pairs of boxes and priors that are held at once: few enough for a processor's cache, enough to fill an accelerator.
_CHUNK_CPU, _CHUNK = 1 << 18, 1 << 24


def find_inside_points(boxes: Tensor, points: Tensor, box_dim: int = 4, eps: float = 0.01) -> Tensor:
    """Mark the points that lie inside boxes.

    Args:
        boxes: (B, G, box_dim) boxes, xyxy, or centre, width, height, angle in radians.
        points: (N, 2) points x, y.
        box_dim: 4 for horizontal boxes, 5 for rotated ones.
        eps: least distance of a point to the sides of a rotated box; of a horizontal one it is 0, not included.

    Returns:
        (N, B, G) bool.
    """
    return _inside(boxes[..., :box_dim], points, eps).permute(2, 0, 1)


def get_box_center(boxes: Tensor, box_dim: int = 4) -> Tensor:
    """Return the centres of boxes.

    Args:
        boxes: (..., box_dim) boxes, xyxy, or centre, width, height, angle.
        box_dim: 4 for horizontal boxes, 5 for rotated ones.

    Returns:
        (..., 2) x, y.

    Raises:
        NotImplementedError: for another `box_dim`.
    """
    if box_dim == 4:
        return (boxes[..., :2] + boxes[..., 2:]) / 2.0
    if box_dim == 5:
        return boxes[..., :2]
    raise NotImplementedError(f'boxes have 4 values (horizontal) or 5 (rotated), got {box_dim}')


def _inside(boxes: Tensor, points: Tensor, eps: float = 0.01) -> Tensor:
    """As `find_inside_points`, of boxes (..., G, 4 or 5), as (..., G, N)."""
    x, y = points.unbind(1)  # (N,) each
    if boxes.shape[-1] == 4:
        x1, y1, x2, y2 = boxes[..., None].unbind(-2)  # (..., G, 1) each
        return (x > x1) & (y > y1) & (x < x2) & (y < y2)
    centre_x, centre_y, width, height, angle = boxes[..., None].unbind(-2)  # (..., G, 1) each
    cos, sin = angle.cos(), angle.sin()
    dx, dy = x - centre_x, y - centre_y  # (..., G, N) each
    # Turned back by the angle, the box is upright and the point is compared with its half sides.
    return ((cos * dx + sin * dy).abs() <= width / 2 - eps) & ((cos * dy - sin * dx).abs() <= height / 2 - eps)


@TASK_UTILS.register_module()
class BatchDynamicSoftLabelAssigner(nn.Module):
    """Assigns boxes to the priors that predict them at least cost.

    Args:
        num_classes: label of background.
        soft_center_radius: distance to the centre, in strides, that costs 1; ten times more per stride beyond.
        topk: overlaps whose sum is the number of priors of a box.
        iou_weight: weight of the overlap in the cost.
        iou_calculator: config of the overlap.
        batch_iou: whether the calculator takes boxes of many images at once; False calls it image by image.
    """

    def __init__(
        self,
        num_classes: int,
        soft_center_radius: float = 3.0,
        topk: int = 13,
        iou_weight: float = 3.0,
        iou_calculator: dict = {'type': 'mmdet.BboxOverlaps2D'},
        batch_iou: bool = True,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.soft_center_radius = soft_center_radius
        self.topk = topk
        self.iou_weight = iou_weight
        self.iou_calculator = TASK_UTILS.build(iou_calculator)
        self.batch_iou = batch_iou

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
            pred_bboxes: (B, N, D) predicted boxes; D is 4, xyxy, or 5, centre, width, height, angle.
            pred_scores: (B, N, C) logits.
            priors: (N, 4) x, y and twice the stride of the priors.
            gt_labels: (B, G, 1) labels.
            gt_bboxes: (B, G, D) boxes, in the predictions' coordinates.
            pad_bbox_flag: (B, G, 1) 1 for a box, 0 for padding.

        Returns:
            assigned_labels: (B, N) int64 labels, `num_classes` for background.
            assigned_labels_weights: (B, N) ones.
            assigned_bboxes: (B, N, D) boxes, 0 for background.
            assign_metrics: (B, N) overlaps with the predicted boxes, 0 for background.
            assigned_gt_inds: (B, N) int64 places of the boxes among those of their image, -1 for background.

        Raises:
            NotImplementedError: if boxes are mmdet's `BaseBoxes` instead of tensors.
        """
        if isinstance(gt_bboxes, BaseBoxes):
            raise NotImplementedError(f'{type(self).__name__} takes tensors of boxes, got {type(gt_bboxes).__name__}')
        (batch, num_priors, box_dim), num_gts = pred_bboxes.shape, gt_bboxes.shape[1]
        labels = gt_labels.new_full((batch, num_priors), self.num_classes, dtype=torch.long)
        bboxes = gt_bboxes.new_zeros((batch, num_priors, box_dim))
        metrics = pred_bboxes.new_zeros((batch, num_priors))
        gt_inds = torch.full_like(labels, -1)
        if num_gts > 0 and num_priors > 0:
            pairs = _Pairs(self, pred_bboxes, pred_scores, priors, gt_labels, gt_bboxes)
            valid = pad_bbox_flag.flatten().nonzero().squeeze(1)  # (T,) in the flattened (B, G)
            places, gts = self._choose(pairs, valid, num_gts)  # (P,) pairs of a prior and a box
            places, gts = resolve_contested(
                lambda *pair: -pairs.costs_of(*pair), places, gts, batch * num_priors, num_priors, num_gts
            )
            labels.view(-1)[places] = gt_labels.flatten().long()[gts]
            bboxes.view(-1, box_dim)[places] = gt_bboxes.flatten(0, 1)[gts]
            metrics.view(-1)[places] = pairs.overlaps_of(places, gts).to(metrics)
            gt_inds.view(-1)[places] = gts % num_gts
        return {
            'assigned_labels': labels,
            'assigned_labels_weights': torch.ones_like(metrics),
            'assigned_bboxes': bboxes,
            'assign_metrics': metrics,
            'assigned_gt_inds': gt_inds,
        }

    def _choose(self, pairs: '_Pairs', valid: Tensor, num_gts: int) -> tuple[Tensor, Tensor]:
        """Return the priors that each box wants.

        Args:
            pairs: overlaps and costs.
            valid: (T,) boxes that are not padding, counted over the images.
            num_gts: boxes of an image, padding included.

        Returns:
            Indices of priors, counted over the images, and of boxes, a pair each.
        """
        num_priors = pairs.num_priors
        limit = _CHUNK_CPU if valid.device.type == 'cpu' else _CHUNK
        chunks = valid.split(max(1, limit // num_priors)) if len(valid) else ()
        # A prior is in play if any box of its image holds it, so all boxes are looked at before the first one chooses.
        for gts in chunks:
            pairs.put_in_play(gts)
        chosen_places, chosen_gts = [valid[:0]], [valid[:0]]
        topk = min(self.topk, num_priors)
        for gts in chunks:
            overlaps = pairs.overlaps(gts)  # (t, N)
            count = overlaps.topk(topk, dim=1).values.sum(1).int().clamp(min=1)  # (t,)
            prior = pairs.costs(gts, overlaps).topk(topk, dim=1, largest=False).indices  # (t, topk), cheapest first
            # A box takes as many of its cheapest priors as the sum of its best overlaps says.
            row, rank = (torch.arange(topk, device=prior.device) < count[:, None]).nonzero(as_tuple=True)
            chosen_places.append(gts[row] // num_gts * num_priors + prior[row, rank])
            chosen_gts.append(gts[row])
        return torch.cat(chosen_places), torch.cat(chosen_gts)


class _Pairs:
    """Overlaps and costs of boxes and priors: of all priors for some boxes, or of single pairs.

    Boxes and priors are counted over the images: `gts` in the flattened (B, G), `places` in the flattened (B, N).
    """

    def __init__(
        self,
        assigner: BatchDynamicSoftLabelAssigner,
        pred_bboxes: Tensor,
        pred_scores: Tensor,
        priors: Tensor,
        gt_labels: Tensor,
        gt_bboxes: Tensor,
    ) -> None:
        self.assigner = assigner
        self.num_gts, self.num_priors = gt_bboxes.shape[1], len(priors)
        self.pred_bboxes = pred_bboxes
        self.logits = pred_scores.transpose(1, 2)  # (B, C, N)
        self.points, self.strides = priors[:, :2], priors[:, 2]
        self.labels = gt_labels.flatten().long()  # (B * G,)
        self.gt_bboxes = gt_bboxes.flatten(0, 1)  # (B * G, D)
        self.centres = get_box_center(self.gt_bboxes, self.gt_bboxes.shape[-1])  # (B * G, 2)
        self.in_play = self.points.new_zeros((len(pred_bboxes), self.num_priors))  # (B, N) boxes that hold a prior

    def put_in_play(self, gts: Tensor) -> None:
        """Mark the priors that lie inside some of these boxes."""
        inside = _inside(self.gt_bboxes[gts], self.points)  # (t, N)
        self.in_play.index_add_(0, gts // self.num_gts, inside.to(self.in_play))

    def overlaps(self, gts: Tensor) -> Tensor:
        """(t,) boxes -> (t, N) overlaps with the predicted boxes of their images."""
        images, bboxes = gts // self.num_gts, self.gt_bboxes[gts]  # (t,), (t, D)
        if self.assigner.batch_iou:
            return self.assigner.iou_calculator(bboxes[:, None], self.pred_bboxes[images])[:, 0]
        # Image by image: rotated boxes have a calculator that takes two sets at a time.
        parts = [
            self.assigner.iou_calculator(pred, part).t()
            for pred, part in zip(
                self.pred_bboxes, bboxes.split(torch.bincount(images, minlength=len(self.pred_bboxes)).tolist())
            )
            if len(part)
        ]
        return torch.cat(parts)

    def costs(self, gts: Tensor, overlaps: Tensor) -> Tensor:
        """(t,) boxes and their (t, N) overlaps -> (t, N) costs; those of priors not in play rise with the index."""
        images = gts // self.num_gts
        dx, dy = (self.points - self.centres[gts, None]).unbind(-1)  # (t, N) each
        cost = self._cost(self.logits[images, self.labels[gts]], overlaps, dx, dy, self.strides)
        dear = INF + _INF_STEP * torch.arange(self.num_priors, device=cost.device, dtype=cost.dtype)  # (N,)
        return torch.where(self.in_play[images] > 0, cost, dear)

    def overlaps_of(self, places: Tensor, gts: Tensor) -> Tensor:
        """Overlaps of single pairs, in the shape that `places` and `gts` broadcast to."""
        places, gts = torch.broadcast_tensors(places, gts)
        pred = self.pred_bboxes.flatten(0, 1)[places].flatten(0, -2)
        return self.assigner.iou_calculator(pred, self.gt_bboxes[gts].flatten(0, -2), is_aligned=True).view(gts.shape)

    def costs_of(self, places: Tensor, gts: Tensor) -> Tensor:
        """Costs of single pairs, in the shape that `places` and `gts` broadcast to; INF of priors not in play."""
        places, gts = torch.broadcast_tensors(places, gts)
        images, priors = places // self.num_priors, places % self.num_priors  # indices within the batch and the image
        dx, dy = (self.points[priors] - self.centres[gts]).unbind(-1)
        cost = self._cost(
            self.logits[images, self.labels[gts], priors], self.overlaps_of(places, gts), dx, dy, self.strides[priors]
        )
        return cost.masked_fill(self.in_play[images, priors] == 0, INF)

    def _cost(self, logits: Tensor, overlaps: Tensor, dx: Tensor, dy: Tensor, strides: Tensor) -> Tensor:
        distance = (dx.square() + dy.square()).sqrt_() / strides  # in strides
        # The overlap is the soft label of the class: a prior that meets the box badly need not be sure of its class.
        cls_cost = F.binary_cross_entropy_with_logits(logits, overlaps, reduction='none')
        cls_cost = cls_cost * (overlaps - logits.sigmoid()).square()
        iou_cost = (overlaps + EPS).log_() * -self.assigner.iou_weight
        return cls_cost + iou_cost + torch.pow(10, distance - self.assigner.soft_center_radius)
