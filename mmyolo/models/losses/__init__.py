"""Losses of YOLO heads; the others come from mmdet."""
from .iou_loss import IoULoss, bbox_overlaps
from .oks_loss import OksLoss

__all__ = ['IoULoss', 'OksLoss', 'bbox_overlaps']
