"""A backbone, a neck and a head as one model."""

from . import fpn_teacher_distill  # noqa: F401
from .yolo_detector import YOLODetector

__all__ = ['YOLODetector']
