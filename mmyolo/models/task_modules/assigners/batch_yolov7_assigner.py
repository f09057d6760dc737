"""Assignment of YOLOv7: YOLOv5's matches are candidates, of which SimOTA (YOLOX, 2107.08430) takes the best.

All images and levels are computed at once, in blocks of images of bounded size, and the classification cost of a box
and a candidate is taken from one sum per candidate. As published, a candidate that several boxes want goes to the
cheapest box, whether that one wanted it or not. Unlike the public release, scores of exactly 0 or 1 have a cost.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_overlaps
from torch import Tensor, nn

from .anchor_matching import AnchorMatches, match_anchors

# Boxes times candidates of a block of images.
_CHUNK = 1 << 22
# What keeps a score from 0 and 1, where costs would not be finite.
_EPS = 1e-7


class BatchYOLOv7Assigner(nn.Module):
    """Chooses positives among candidates by the cost of what they predict.

    Args:
        num_classes: classes of the detector.
        num_base_priors: anchors per cell.
        featmap_strides: stride of each level.
        prior_match_thr: a box matches an anchor when neither side is this many times longer or shorter.
        candidate_topk: candidates whose overlaps, summed up, say how many positives a box gets.
        iou_weight: weight of the overlap in the cost.
        cls_weight: weight of the classification in the cost.
    """

    def __init__(
        self,
        num_classes: int,
        num_base_priors: int,
        featmap_strides: Sequence[int],
        prior_match_thr: float = 4.0,
        candidate_topk: int = 10,
        iou_weight: float = 3.0,
        cls_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.num_base_priors = num_base_priors
        self.featmap_strides = featmap_strides
        self.prior_match_thr = prior_match_thr
        self.candidate_topk = candidate_topk
        self.iou_weight = iou_weight
        self.cls_weight = cls_weight

    @torch.no_grad()
    def forward(
        self,
        pred_results: Sequence[Tensor],
        batch_targets_normed: Tensor,
        batch_input_shape: tuple[int, int],
        priors_base_sizes: Tensor,
        grid_offset: Tensor,
        near_neighbor_thr: float = 0.5,
    ) -> dict[str, list[Tensor]]:
        """Assign boxes to anchors.

        Args:
            pred_results: per level (B, A, H, W, 5 + num_classes) boxes, objectness and class logits.
            batch_targets_normed: (A, N, 7) rows of image index, label, centre x, centre y, width and height as parts
                of the input, and anchor; the same for each anchor.
            batch_input_shape: height and width of the input.
            priors_base_sizes: (L, A, 2) anchors in cells of their level.
            grid_offset: (5, 1, 2) steps to neighbours, see `match_anchors`.
            near_neighbor_thr: a neighbour joins when the centre is nearer than this many cells to it.

        Returns:
            mlvl_positive_infos: per level (n, 4) int64 rows of image, anchor, column, row.
            mlvl_priors: per level (n, 2) anchors in cells.
            mlvl_targets_normed: per level (n, 7) rows of `batch_targets_normed`.
        """
        rows = batch_targets_normed[0]  # (N, 7)
        sizes = [tuple(level.shape[2:4]) for level in pred_results]
        candidates = match_anchors(
            rows[:, 2:6], priors_base_sizes, sizes, grid_offset[:, 0], self.prior_match_thr, near_neighbor_thr
        )
        images = rows[candidates.gt, 0].long()
        pred = candidates.gather([level.permute(0, 1, 4, 2, 3) for level in pred_results], images).float()  # (M, 5 + C)
        matches = self.select(
            candidates,
            pred[:, 5:],
            pred[:, :4],
            pred[:, 4],
            rows[:, :2].long(),
            rows[:, 2:6],
            batch_input_shape,
            priors_base_sizes,
            sizes,
        )

        # By level, then image.
        images = rows[matches.gt, 0].long()
        order = images.argsort(stable=True)  # two stable sorts: the last one decides first
        order = order[matches.level[order].argsort(stable=True)]
        infos = torch.stack((images, matches.anchor, matches.x, matches.y), dim=1)[order]  # (n, 4)
        priors = priors_base_sizes[matches.level, matches.anchor][order]  # (n, 2)
        targets = batch_targets_normed[matches.anchor, matches.gt][order]  # (n, 7)
        return {
            'mlvl_positive_infos': list(infos.split(matches.counts)),
            'mlvl_priors': list(priors.split(matches.counts)),
            'mlvl_targets_normed': list(targets.split(matches.counts)),
        }

    @torch.no_grad()
    def select(
        self,
        candidates: AnchorMatches,
        cls_pred: Tensor,
        bbox_pred: Tensor,
        obj_pred: Tensor,
        gt_rows: Tensor,
        gt_bboxes: Tensor,
        input_shape: tuple[int, int],
        anchors: Tensor,
        featmap_sizes: Sequence[tuple[int, int]],
    ) -> AnchorMatches:
        """Choose positives among candidates.

        Args:
            candidates: M pairs of an anchor and a box.
            cls_pred: (M, num_classes) class logits of the anchors.
            bbox_pred: (M, 4) what the anchors predict boxes by.
            obj_pred: (M,) objectness logits of the anchors.
            gt_rows: (N, 2) int64 image index and label of each box.
            gt_bboxes: (N, 4) centre x, centre y, width, height as parts of the input.
            input_shape: height and width of the input.
            anchors: (L, A, 2) anchors in cells of their level.
            featmap_sizes: height and width of the map of each level.

        Returns:
            The chosen pairs, in the candidates' order, each with the box that it goes to.
        """
        height, width = input_shape
        scale = gt_bboxes.new_tensor([width, height, width, height])
        gt_pixels = bbox_cxcywh_to_xyxy(gt_bboxes * scale)  # (N, 4) xyxy in input pixels
        pred_pixels = self._decode(candidates, bbox_pred, anchors)  # (M, 4) xyxy in input pixels
        score = (cls_pred.sigmoid() * obj_pred.sigmoid()[:, None]).sqrt().clamp(_EPS, 1 - _EPS)  # (M, C)
        logit = score.log() - (-score).log1p()  # (M, C), whose sigmoid is the score
        background = F.softplus(logit).sum(1)  # (M,) cost of the candidate if it had no class

        image_of_gt, labels = gt_rows.unbind(1)  # (N,) each
        batch = int(image_of_gt.max()) + 1 if len(gt_rows) else 0
        gts = _by_group(image_of_gt, batch)  # (B, G)
        places = _by_group(image_of_gt[candidates.gt], batch)  # (B, K)
        chosen_pairs, chosen_gts = [labels[:0]], [labels[:0]]
        if places.numel() > 0:
            block = max(1, _CHUNK // (gts.shape[1] * places.shape[1]))
            for gt, place in zip(gts.split(block), places.split(block)):
                pair, owner = self._sim_ota(gt, place, gt_pixels, labels, pred_pixels, logit, background)
                chosen_pairs.append(pair)
                chosen_gts.append(owner)
        pairs, owners = torch.cat(chosen_pairs), torch.cat(chosen_gts)
        order = pairs.argsort()
        return candidates.hand_over(pairs[order], owners[order], gt_bboxes, featmap_sizes)

    def _decode(self, candidates: AnchorMatches, bbox_pred: Tensor, anchors: Tensor) -> Tensor:
        """Predicted boxes (M, 4), xyxy in input pixels."""
        stride = bbox_pred.new_tensor(self.featmap_strides)[candidates.level][:, None]  # (M, 1)
        cell = torch.stack((candidates.x, candidates.y), dim=1)  # (M, 2)
        bbox_pred = bbox_pred.sigmoid() * 2
        # The centre lies from half a cell before to one and a half after the cell's corner, a side is up to 4 anchors
        # long.
        centre = (bbox_pred[:, :2] - 0.5 + cell) * stride
        size = bbox_pred[:, 2:] ** 2 * anchors[candidates.level, candidates.anchor] * stride
        return bbox_cxcywh_to_xyxy(torch.cat((centre, size), dim=1))

    def _sim_ota(
        self,
        gts: Tensor,
        places: Tensor,
        gt_pixels: Tensor,
        labels: Tensor,
        pred_pixels: Tensor,
        logit: Tensor,
        background: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """SimOTA of a block of images.

        Args:
            gts: (b, G) boxes of each image, -1 for none.
            places: (b, K) candidates of each image, -1 for none.
            gt_pixels: (N, 4) all boxes, xyxy in input pixels.
            labels: (N,) their labels.
            pred_pixels: (M, 4) boxes that all candidates predict.
            logit: (M, num_classes) logits of their scores.
            background: (M,) their classification cost without a class.

        Returns:
            Candidates that are positive, and their boxes.
        """
        exists = (gts >= 0)[:, :, None] & (places >= 0)[:, None]  # (b, G, K)
        iou = bbox_overlaps(gt_pixels[gts], pred_pixels[places]).masked_fill(~exists, 0)  # (b, G, K)
        # (b, G, K): a class costs what background does, less the logit of that class.
        cls_cost = background[places][:, None] - logit[places[:, None], labels[gts][:, :, None]]
        cost = self.cls_weight * cls_cost - self.iou_weight * (iou + 1e-8).log()
        cost = cost.masked_fill(~exists, float('inf'))

        top = min(self.candidate_topk, places.shape[1])
        dynamic_k = iou.topk(top).values.sum(2).int().clamp(min=1)  # (b, G)
        cheapest = cost.topk(top, largest=False).indices  # (b, G, top)
        takes = torch.arange(top, device=gts.device) < dynamic_k[:, :, None]  # (b, G, top)
        claims = torch.zeros_like(exists).scatter(2, cheapest, takes) & exists  # (b, G, K)

        contested = claims.sum(1, keepdim=True) > 1  # (b, 1, K)
        cheapest_gt = F.one_hot(cost.argmin(1), gts.shape[1]).transpose(1, 2).bool()  # (b, G, K)
        image, gt, place = torch.where(contested, cheapest_gt, claims).nonzero().unbind(1)
        return places[image, place], gts[image, gt]


def _by_group(groups: Tensor, num_groups: int) -> Tensor:
    """Return indices of the elements of each group in their order, (num_groups, size of the largest), -1 for none."""
    order = groups.argsort(stable=True)
    counts = torch.bincount(groups, minlength=num_groups)  # (num_groups,)
    table = groups.new_full((num_groups, int(counts.max()) if len(groups) else 0), -1)
    # An element's column is its rank within its group: its place in the order, less those of the groups before.
    groups = groups[order]
    table[groups, torch.arange(len(groups), device=groups.device) - (counts.cumsum(0) - counts)[groups]] = order
    return table
