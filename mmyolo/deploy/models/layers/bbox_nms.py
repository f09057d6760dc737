"""Suppression by TensorRT's plugin EfficientNMS_TRT, for networks that are traced.

Unlike in public mmyolo, `box_coding` is what the plugin takes it for: 0 corners, 1 centre and size.
"""

import torch
from torch import Tensor

CORNERS, CENTRE_AND_SIZE = 0, 1


class TRTEfficientNMSop(torch.autograd.Function):
    """The plugin in a traced graph; run by PyTorch it gives random numbers of the right shapes."""

    @staticmethod
    def forward(
        ctx,
        boxes: Tensor,
        scores: Tensor,
        background_class: int = -1,
        box_coding: int = CORNERS,
        iou_threshold: float = 0.45,
        max_output_boxes: int = 100,
        plugin_version: str = '1',
        score_activation: int = 0,
        score_threshold: float = 0.25,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Stand in for the plugin while a network is traced.

        Args:
            ctx: context of the function; not used.
            boxes: (B, N, 4) or (B, N, 1, 4).
            scores: (B, N, num_classes).
            background_class: class that is left out, -1 for none.
            box_coding: 0 for corners, 1 for centre and size.
            iou_threshold: of two boxes of a class that overlap more, one goes.
            max_output_boxes: K.
            plugin_version: of the plugin.
            score_activation: 1 if the plugin is to apply a sigmoid.
            score_threshold: boxes need a higher score.

        Returns:
            Number of boxes (B, 1), boxes (B, K, 4), scores (B, K), labels (B, K).
        """
        batch_size, _, num_classes = scores.shape
        num_dets = torch.randint(0, max_output_boxes, (batch_size, 1), dtype=torch.int32)
        det_boxes = torch.randn(batch_size, max_output_boxes, 4)
        det_scores = torch.randn(batch_size, max_output_boxes)
        labels = torch.randint(0, num_classes, (batch_size, max_output_boxes), dtype=torch.int32)
        return num_dets, det_boxes, det_scores, labels

    @staticmethod
    def symbolic(
        g,
        boxes,
        scores,
        background_class: int = -1,
        box_coding: int = CORNERS,
        iou_threshold: float = 0.45,
        max_output_boxes: int = 100,
        plugin_version: str = '1',
        score_activation: int = 0,
        score_threshold: float = 0.25,
    ):
        """Return the node of the ONNX graph; arguments as of `forward`."""
        return g.op(
            'TRT::EfficientNMS_TRT',
            boxes,
            scores,
            background_class_i=background_class,
            box_coding_i=box_coding,
            iou_threshold_f=iou_threshold,
            max_output_boxes_i=max_output_boxes,
            plugin_version_s=plugin_version,
            score_activation_i=score_activation,
            score_threshold_f=score_threshold,
            outputs=4,
        )


def efficient_nms(
    boxes: Tensor,
    scores: Tensor,
    max_output_boxes_per_class: int = 1000,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.05,
    pre_top_k: int = -1,
    keep_top_k: int = 100,
    box_coding: int = CORNERS,
) -> tuple[Tensor, Tensor]:
    """Suppress by the plugin.

    Args:
        boxes: (B, N, 4) in the form that `box_coding` names.
        scores: (B, N, num_classes).
        max_output_boxes_per_class: the plugin has no such setting; taken for callers of other kinds.
        pre_top_k: as before, not used.
        iou_threshold: of two boxes of a class that overlap more, one goes.
        score_threshold: boxes need a higher score.
        keep_top_k: K.
        box_coding: 0 for corners, 1 for centre and size.

    Returns:
        Boxes with their scores (B, K, 5), xyxy, and labels (B, K).
    """
    boxes = boxes if boxes.dim() == 4 else boxes.unsqueeze(2)
    _, det_boxes, det_scores, labels = TRTEfficientNMSop.apply(
        boxes, scores, -1, box_coding, iou_threshold, keep_top_k, '1', 0, score_threshold
    )
    return torch.cat([det_boxes, det_scores.unsqueeze(-1)], -1), labels
