"""Operators that otherwise need a compiler: importing this package gives `mmcv._ext` a stand-in where it is missing."""

from .mmcv_ext import install_mmcv_ext
from .nms import batched_nms, nms_rotated
from .rotated_iou import box_iou_rotated, diff_iou_rotated_2d

install_mmcv_ext()

__all__ = ['batched_nms', 'box_iou_rotated', 'diff_iou_rotated_2d', 'install_mmcv_ext', 'nms_rotated']
