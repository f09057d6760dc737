"""Assigners and box coders."""
from .assigners import BatchTaskAlignedAssigner
from .coders import YOLOv5BBoxCoder

__all__ = ['BatchTaskAlignedAssigner', 'YOLOv5BBoxCoder']
