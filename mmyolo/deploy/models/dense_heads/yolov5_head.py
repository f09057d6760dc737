"""Decodes YOLOv5's predictions to centre and size, the form of boxes whose `box_coding` in EfficientNMS_TRT is 1."""

import torch
from torch import Tensor


def yolov5_bbox_decoder(priors: Tensor, bbox_preds: Tensor, stride: Tensor) -> Tensor:
    """Decode predictions.

    Args:
        priors: (N, 4) or (B, N, 4) anchors, xyxy in input pixels.
        bbox_preds: (B, N, 4) raw predictions x, y, w, h.
        stride: (N,) strides of the anchors.

    Returns:
        (B, N, 4) centre x, centre y, width, height in input pixels.
    """
    pred = bbox_preds.sigmoid()
    centre = (priors[..., :2] + priors[..., 2:]) / 2
    size = priors[..., 2:] - priors[..., :2]
    centre = centre + (pred[..., :2] - 0.5) * 2 * stride[:, None]
    return torch.cat((centre, (pred[..., 2:] * 2) ** 2 * size), dim=-1)
