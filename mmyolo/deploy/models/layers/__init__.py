"""Suppression as an operator of TensorRT."""

from .bbox_nms import efficient_nms

__all__ = ['efficient_nms']
