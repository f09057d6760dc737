"""Losses of YOLO heads; the others come from mmdet."""

from .iou_loss import IoULoss, bbox_overlaps
from .oks_loss import OksLoss
from .rotated_iou_loss import RotatedIoULoss
from .smooth_focal_loss import SmoothFocalLoss

__all__ = ['IoULoss', 'OksLoss', 'RotatedIoULoss', 'SmoothFocalLoss', 'bbox_overlaps']
