"""SimOTA for objects with keypoints: these have a share in the cost of a match, and decide how good it is."""

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from mmyolo.registry import MODELS, TASK_UTILS

from .sim_ota_assigner import EPS, SimOTAAssigner, pairwise_bce


@TASK_UTILS.register_module()
class PoseSimOTAAssigner(SimOTAAssigner):
    """Assigns priors to true objects by the cost of classes, boxes and keypoints.

    Each part costs only if its weight is positive. Predictions have more columns in `bboxes`, (N, 4 + 3 * K): of each
    of K keypoints x, y and the logit of its visibility. True objects also have `keypoints` (G, K, 2) and
    `keypoints_visible` (G, K). The quality of a match is the square root of the similarity of the keypoints.

    Args:
        center_radius, candidate_topk, iou_weight, cls_weight: see `SimOTAAssigner`.
        oks_weight: weight of the negative logarithm of the keypoints' similarity.
        vis_weight: weight of the classification loss of the keypoints' visibility.
        iou_calculator: config of the overlap of boxes.
        oks_calculator: config of the loss whose `compute_oks` is the similarity of keypoints.
    """

    def __init__(
        self,
        center_radius: float = 2.5,
        candidate_topk: int = 10,
        iou_weight: float = 3.0,
        cls_weight: float = 1.0,
        oks_weight: float = 0.0,
        vis_weight: float = 0.0,
        iou_calculator: dict = {'type': 'mmdet.BboxOverlaps2D'},
        oks_calculator: dict = {'type': 'OksLoss'},
    ) -> None:
        super().__init__(center_radius, candidate_topk, iou_weight, cls_weight, iou_calculator)
        self.oks_weight = oks_weight
        self.vis_weight = vis_weight
        self.oks_calculator = MODELS.build(oks_calculator)

    def costs(self, predicted: InstanceData, truth: InstanceData, overlaps: Tensor) -> tuple[Tensor, Tensor]:
        """Compute what each pair costs, and how well it meets.

        Args:
            predicted: V predictions.
            truth: G true objects.
            overlaps: (V, G) overlaps of their boxes.

        Returns:
            Costs (V, G) and qualities (V, G).
        """
        keypoints = predicted.bboxes[:, 4:].unflatten(1, (-1, 3))  # (V, K, 3)
        visible = (truth.keypoints_visible > 0).float()  # (G, K)
        # (V, G): (V, 1, K, 2) against (1, G, K, 2).
        similarity = self.oks_calculator.compute_oks(
            keypoints[:, None, :, :2], truth.keypoints[None], visible[None], truth.bboxes[None]
        )
        cost = torch.zeros_like(overlaps)
        if self.cls_weight > 0:
            cost = cost + self.cls_weight * pairwise_bce(predicted.scores, truth.labels)
        if self.iou_weight > 0:
            cost = cost - self.iou_weight * (overlaps + EPS).log()
        if self.oks_weight > 0:
            cost = cost - self.oks_weight * (similarity + EPS).log()
        if self.vis_weight > 0:
            scores = keypoints[..., 2].float().sigmoid()  # (V, K)
            shown, hidden = scores.log().clamp(min=-100), (-scores).log1p().clamp(min=-100)  # (V, K)
            # (V, K) @ (K, G): the loss of all keypoints of a pair, without a tensor (V, G, K).
            cost = cost - self.vis_weight * (shown @ visible.T + hidden @ (1 - visible).T)
        return cost, similarity.sqrt()
