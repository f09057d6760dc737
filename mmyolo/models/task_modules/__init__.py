"""Assigners and box coders."""
from .assigners import BatchATSSAssigner, BatchTaskAlignedAssigner
from .coders import YOLOv5BBoxCoder

__all__ = ['BatchATSSAssigner', 'BatchTaskAlignedAssigner', 'YOLOv5BBoxCoder']
