"""Losses of YOLO heads; the others come from mmdet."""
from .iou_loss import IoULoss, bbox_overlaps

__all__ = ['IoULoss', 'bbox_overlaps']
