"""Decoding for deployment."""

from . import yolov5_head

__all__ = ['yolov5_head']
