"""A backbone, a neck and a head as one model."""

from mmyolo.standins.mmrazor import FpnTeacherDistill  # noqa: F401  (registers it)

from .yolo_detector import YOLODetector

__all__ = ['YOLODetector']
