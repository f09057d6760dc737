"""The loss of keypoints in YOLOX-pose: one minus their similarity to the true ones (YOLO-Pose, arXiv 2204.06806).

Two things differ from COCO's similarity and are kept, because public checkpoints were trained so: an object's scale is
the diagonal of its box, not the root of its area, and tolerances are `sigmas` rather than twice their size.
"""

import torch
from torch import Tensor, nn

from mmyolo.registry import MODELS
from mmyolo.standins.mmpose.keypoint_info import load_keypoint_info


@MODELS.register_module()
class OksLoss(nn.Module):
    """One minus the object keypoint similarity of each object; not reduced.

    Args:
        metainfo: what the keypoints are, see `load_keypoint_info`; None takes all keypoints as equally hard.
        loss_weight: weight of the loss.
    """

    def __init__(self, metainfo: str | dict | None = None, loss_weight: float = 1.0) -> None:
        super().__init__()
        sigmas = None if metainfo is None else torch.as_tensor(load_keypoint_info(metainfo)['sigmas'])
        self.register_buffer('sigmas', sigmas)  # persistent, because public checkpoints hold it
        self.loss_weight = loss_weight

    def forward(self, output: Tensor, target: Tensor, target_weights: Tensor, bboxes: Tensor | None = None) -> Tensor:
        """Compute the loss.

        Args:
            output: see `compute_oks`.
            target: see `compute_oks`.
            target_weights: see `compute_oks`.
            bboxes: see `compute_oks`.

        Returns:
            (...) loss of each object.
        """
        return (1 - self.compute_oks(output, target, target_weights, bboxes)) * self.loss_weight

    def compute_oks(
        self, output: Tensor, target: Tensor, target_weights: Tensor, bboxes: Tensor | None = None
    ) -> Tensor:
        """Compute the similarity of keypoints; leading dimensions are broadcast.

        Args:
            output: (..., K, 2) predicted keypoints.
            target: (..., K, 2) true keypoints.
            target_weights: (..., K) 1 for keypoints that count, 0 for others.
            bboxes: (..., 4) boxes of the true objects, xyxy; None takes a scale of 1.

        Returns:
            (...) similarities in [0, 1]; 0 for an object without a keypoint that counts.
        """
        distance = (output - target).norm(dim=-1)  # (..., K) in pixels
        if self.sigmas is not None:
            distance = distance / self.sigmas
        if bboxes is not None:
            diagonal = (bboxes[..., 2:] - bboxes[..., :2]).norm(dim=-1)  # (...) scale of the object
            distance = distance / diagonal.clamp(min=1e-8)[..., None]
        similarity = (-distance.square() / 2).exp() * target_weights  # (..., K)
        return similarity.sum(-1) / target_weights.sum(-1).clamp(min=1e-8)
