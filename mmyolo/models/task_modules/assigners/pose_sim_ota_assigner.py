"""SimOTA (arXiv 2107.08430, section 2.1) for objects with keypoints: these have a share in the cost of a match."""
from typing import Optional

import torch
from mmdet.models.task_modules.assigners import AssignResult, SimOTAAssigner
from mmengine.structures import InstanceData
from torch import Tensor
from torch.nn import functional as F

from mmyolo.registry import MODELS, TASK_UTILS

INF = 100000.0
EPS = 1.0e-7


@TASK_UTILS.register_module()
class PoseSimOTAAssigner(SimOTAAssigner):
    """Assigns priors to true objects by the cost of classes, boxes and keypoints.

    A part costs only if its weight is positive. As many priors answer for an object as their overlaps with it sum to.

    Args:
        center_radius: priors within this many strides of the middle of a box may answer for it.
        candidate_topk: how many overlaps are summed.
        iou_weight: weight of the negative logarithm of the overlap.
        cls_weight: weight of the classification loss.
        oks_weight: weight of the negative logarithm of the keypoints' similarity.
        vis_weight: weight of the classification loss of the keypoints' visibility.
        iou_calculator: config of the overlap of boxes.
        oks_calculator: config of the loss whose `compute_oks` is the similarity of keypoints.
    """

    def __init__(self,
                 center_radius: float = 2.5,
                 candidate_topk: int = 10,
                 iou_weight: float = 3.0,
                 cls_weight: float = 1.0,
                 oks_weight: float = 0.0,
                 vis_weight: float = 0.0,
                 iou_calculator: dict = dict(type='mmdet.BboxOverlaps2D'),
                 oks_calculator: dict = dict(type='OksLoss')) -> None:
        self.center_radius = center_radius
        self.candidate_topk = candidate_topk
        self.iou_weight = iou_weight
        self.cls_weight = cls_weight
        self.oks_weight = oks_weight
        self.vis_weight = vis_weight
        self.iou_calculator = TASK_UTILS.build(iou_calculator)
        self.oks_calculator = MODELS.build(oks_calculator)

    def assign(self,
               pred_instances: InstanceData,
               gt_instances: InstanceData,
               gt_instances_ignore: Optional[InstanceData] = None,
               **kwargs) -> AssignResult:
        """Assigns the priors of an image.

        Args:
            pred_instances: `bboxes` (N, 4 + 3 * K), a decoded box, xyxy, and of each of K keypoints x, y and the logit of
                its visibility; `scores` (N, C); `priors` (N, 4) x, y, stride, stride.
            gt_instances: `bboxes` (G, 4), `labels` (G,), `keypoints` (G, K, 2) and `keypoints_visible` (G, K).
            gt_instances_ignore: not used.

        Returns:
            `gt_inds` (N,), 0 or one more than the object's index; `labels` (N,), -1 for none; `max_overlaps` (N,), for
            positive priors the square root of the similarity of keypoints.
        """
        bboxes, keypoints = pred_instances.bboxes.split([4, pred_instances.bboxes.shape[1] - 4], dim=1)
        num_gt = len(gt_instances.bboxes)
        gt_inds = bboxes.new_zeros(len(bboxes), dtype=torch.long)
        labels = torch.full_like(gt_inds, -1)
        max_overlaps = bboxes.new_zeros(len(bboxes))
        nothing = AssignResult(num_gt, gt_inds, max_overlaps, labels=labels)
        if num_gt == 0 or len(bboxes) == 0:
            return nothing
        valid, is_central = self.get_in_gt_and_in_center_info(pred_instances.priors, gt_instances.bboxes)
        if not valid.any():
            return nothing

        overlaps = self.iou_calculator(bboxes[valid], gt_instances.bboxes)  # (V, G)
        keypoints = keypoints[valid].unflatten(1, (-1, 3))  # (V, K, 3)
        similarity = self.oks_calculator.compute_oks(
            keypoints[:, None, :, :2], gt_instances.keypoints[None], (gt_instances.keypoints_visible > 0).float()[None],
            gt_instances.bboxes[None])  # (V, G)
        cost = self._cost(pred_instances.scores[valid], keypoints[..., 2], overlaps, similarity, gt_instances)
        cost = cost + ~is_central * INF
        is_positive = valid.clone()  # narrowed in place by the next call
        _, matched = self.dynamic_k_matching(cost, overlaps, num_gt, is_positive)

        gt_inds[is_positive] = matched + 1
        labels[is_positive] = gt_instances.labels[matched].long()
        similarity = similarity[is_positive[valid].nonzero().squeeze(1), matched]
        max_overlaps = torch.full_like(max_overlaps, -INF)
        max_overlaps[is_positive] = similarity.sqrt()
        return AssignResult(num_gt, gt_inds, max_overlaps, labels=labels)

    def _cost(self, scores: Tensor, visible: Tensor, overlaps: Tensor, similarity: Tensor,
              gt_instances: InstanceData) -> Tensor:
        """The cost (V, G) of each pair, without the penalty for priors off the middle of a box."""
        cost = torch.zeros_like(overlaps)
        if self.cls_weight > 0:
            target = F.one_hot(gt_instances.labels.long(), scores.shape[1]).float()
            cost = cost + self.cls_weight * _pairwise_bce(scores.float().clamp(0, 1), target)
        if self.iou_weight > 0:
            cost = cost - self.iou_weight * (overlaps + EPS).log()
        if self.oks_weight > 0:
            cost = cost - self.oks_weight * (similarity + EPS).log()
        if self.vis_weight > 0:
            target = (gt_instances.keypoints_visible > 0).float()
            cost = cost + self.vis_weight * _pairwise_bce(visible.float().sigmoid(), target)
        return cost


def _pairwise_bce(scores: Tensor, target: Tensor) -> Tensor:
    """Binary cross entropy (V, G), summed over C, of every pair of scores (V, C) and 0 or 1 targets (G, C)."""
    # PyTorch's own bounds logarithms at -100 as well.
    positive, negative = scores.log().clamp(min=-100), (-scores).log1p().clamp(min=-100)
    return -(positive @ target.T + negative @ (1 - target).T)
