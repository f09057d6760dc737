"""Losses of YOLO heads; the others come from mmdet."""

from mmyolo.standins.mmrotate.rotated_iou_loss import RotatedIoULoss
from mmyolo.standins.mmrotate.smooth_focal_loss import SmoothFocalLoss

from .iou_loss import IoULoss, bbox_overlaps
from .oks_loss import OksLoss

__all__ = ['IoULoss', 'OksLoss', 'RotatedIoULoss', 'SmoothFocalLoss', 'bbox_overlaps']
