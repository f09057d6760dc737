"""A backbone, a neck and a head as one model."""
from .yolo_detector import YOLODetector

__all__ = ['YOLODetector']
