"""Adaptive training sample selection (ATSS, 1912.02424) of a whole batch at once, for the first epochs of YOLOv6 and
PPYOLOE.

The result is that of the dense definition over (images, boxes, priors); overlaps are computed of candidates only.

Kept as published, for equal numbers: a contested prior goes to the box that its anchor overlaps most even if that box
had not chosen it. Different from public mmyolo: a level may have fewer priors than `topk`, `topk` may be 1, and the
mask of positives is always boolean.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mmyolo.registry import TASK_UTILS

from .utils import resolve_contested, yolov6_iou_calculator

# Boxes times priors that are held at once.
_CHUNK = 1 << 23
# A prior lies in a box if it is at least this far from every side.
_MARGIN = 1e-9
# Half the side of a prior's anchor, in strides.
_ANCHOR_REACH = 2.5


def bbox_center_distance(bboxes: Tensor, priors: Tensor) -> tuple[Tensor, Tensor]:
    """Distances between the centres of boxes.

    Args:
        bboxes: (n, 4) boxes, xyxy.
        priors: (m, 4) anchors, xyxy.

    Returns:
        (n, m) distances, (m, 2) centres of the anchors.
    """
    centres = (bboxes[:, :2] + bboxes[:, 2:]) / 2  # (n, 2)
    points = (priors[:, :2] + priors[:, 2:]) / 2  # (m, 2)
    dx, dy = (centres[:, None, axis] - points[:, axis] for axis in (0, 1))  # (n, m) each: quicker than (n, m, 2)
    return (dx * dx + dy * dy).sqrt(), points


@TASK_UTILS.register_module()
class BatchATSSAssigner(nn.Module):
    """Assigns to each box, of the priors nearest to its centre, those whose anchors overlap it more than usual.

    Args:
        num_classes: classes of the detector.
        iou_calculator: config of the overlap of boxes and anchors, called pair by pair (`is_aligned=True`).
        topk: candidates per box and level.
    """

    def __init__(
        self, num_classes: int, iou_calculator: dict = {'type': 'mmdet.BboxOverlaps2D'}, topk: int = 9
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.iou_calculator = TASK_UTILS.build(iou_calculator)
        self.topk = topk

    @torch.no_grad()
    def forward(
        self,
        pred_bboxes: Tensor | None,
        priors: Tensor,
        num_level_priors: Sequence[int],
        gt_labels: Tensor,
        gt_bboxes: Tensor,
        pad_bbox_flag: Tensor,
    ) -> dict[str, Tensor]:
        """Assign boxes to priors.

        Args:
            pred_bboxes: (B, N, 4) predicted boxes, xyxy, whose overlap is the score of a positive; None scores 1.
            priors: (N, 4) x, y and twice the stride of the priors.
            num_level_priors: priors of each level.
            gt_labels: (B, G, 1) labels.
            gt_bboxes: (B, G, 4) boxes, xyxy, in the predictions' coordinates.
            pad_bbox_flag: (B, G, 1) 1 for a box, 0 for padding.

        Returns:
            assigned_labels: (B, N) labels, `num_classes` for background.
            assigned_bboxes: (B, N, 4) boxes; of a background prior, its image's first box, or 0.
            assigned_scores: (B, N, num_classes) soft targets, 0 for background.
            fg_mask_pre_prior: (B, N) bool, the positives.
        """
        batch, num_gts = gt_bboxes.shape[:2]
        num_priors = len(priors)
        gt_bboxes = gt_bboxes.float()
        labels = torch.full((batch, num_priors), self.num_classes, dtype=torch.long, device=gt_bboxes.device)
        bboxes = gt_bboxes.new_zeros((batch, num_priors, 4))
        scores = gt_bboxes.new_zeros((batch, num_priors, self.num_classes))
        if num_gts > 0:
            all_gts = gt_bboxes.flatten(0, 1)  # (B * G, 4)
            reach = priors[:, 2:] * _ANCHOR_REACH  # (N, 2) half the sides of the anchors, in pixels
            anchors = torch.cat((priors[:, :2] - reach, priors[:, :2] + reach), dim=1).float()  # (N, 4) xyxy

            def overlaps(places: Tensor, gts: Tensor) -> Tensor:
                places, gts = torch.broadcast_tensors(places, gts)
                aligned = self.iou_calculator(
                    all_gts[gts].reshape(-1, 4), anchors[places % num_priors].reshape(-1, 4), is_aligned=True
                )
                return aligned.reshape(places.shape)

            # Positives are pairs: `places` in the flattened (B, N), `gts` in the flattened (B, G).
            valid = pad_bbox_flag.flatten().nonzero().squeeze(1)  # (T,)
            places, gts = self._choose(overlaps, all_gts, anchors, num_level_priors, valid, num_gts)
            places, gts = resolve_contested(overlaps, places, gts, batch * num_priors, num_priors, num_gts)

            bboxes = gt_bboxes[:, :1].repeat(1, num_priors, 1)  # (B, N, 4), the image's first box everywhere
            bboxes.view(-1, 4)[places] = all_gts[gts]
            label = gt_labels.flatten().long()[gts]  # (P,) of the P pairs
            labels.view(-1)[places] = label
            score = scores.new_ones(len(places))  # (P,)
            if pred_bboxes is not None:
                pred = pred_bboxes.flatten(0, 1)[places].float()  # (P, 4)
                score = yolov6_iou_calculator(all_gts[gts, None], pred[:, None]).flatten()
            # A positive prior scores for the class of its box alone.
            scores.view(-1)[places * self.num_classes + label] = score
        return {
            'assigned_labels': labels,
            'assigned_bboxes': bboxes,
            'assigned_scores': scores,
            'fg_mask_pre_prior': labels < self.num_classes,
        }

    def _choose(
        self,
        overlaps: Callable[[Tensor, Tensor], Tensor],
        gt_bboxes: Tensor,
        anchors: Tensor,
        num_level_priors: Sequence[int],
        valid: Tensor,
        num_gts: int,
    ) -> tuple[Tensor, Tensor]:
        """Return the candidates of each box whose overlap is above the mean plus deviation of all its candidates'.

        Args:
            overlaps: (places, gts) -> overlaps of anchors and boxes.
            gt_bboxes: (B * G, 4) boxes.
            anchors: (N, 4) anchors of the priors.
            num_level_priors: priors of each level.
            valid: (T,) indices of boxes that are not padding.
            num_gts: boxes per image, padding counted.

        Returns:
            Indices of priors and of boxes, a pair each.
        """
        num_priors = len(anchors)
        chosen_places, chosen_gts = [valid[:0]], [valid[:0]]
        chunks = valid.split(max(1, _CHUNK // max(1, num_priors))) if len(valid) else ()
        # Boxes are taken a few at a time: distances of all boxes to all priors need not fit into memory.
        for gts in chunks:
            distances, points = bbox_center_distance(gt_bboxes[gts], anchors)  # (t, N)
            nearest: list[Tensor] = []
            first = 0
            for level in distances.split(list(num_level_priors), dim=1):
                nearest.append(level.topk(min(self.topk, level.shape[1]), largest=False).indices + first)
                first += level.shape[1]
            prior = torch.cat(nearest, dim=1)  # (t, K)
            overlap = overlaps(prior, gts[:, None])  # (t, K)
            threshold = overlap.mean(1, keepdim=True) + overlap.std(1, keepdim=True)  # (t, 1), adapted to each box
            box = gt_bboxes[gts, None]  # (t, 1, 4)
            # (t, K, 4) distances of a candidate's centre to the left, upper, right and lower side; all positive inside.
            margins = torch.cat((points[prior] - box[..., :2], box[..., 2:] - points[prior]), dim=-1)
            inside = margins.amin(-1) > _MARGIN  # (t, K)
            row, rank = ((overlap > threshold) & inside).nonzero(as_tuple=True)
            # A box's image is its index over the boxes per image; its priors are counted from there.
            chosen_places.append(gts[row] // num_gts * num_priors + prior[row, rank])
            chosen_gts.append(gts[row])
        return torch.cat(chosen_places), torch.cat(chosen_gts)
