"""Assigners and box coders."""
from .assigners import BatchATSSAssigner, BatchTaskAlignedAssigner
from .coders import YOLOv5BBoxCoder, YOLOXBBoxCoder

__all__ = ['BatchATSSAssigner', 'BatchTaskAlignedAssigner', 'YOLOXBBoxCoder', 'YOLOv5BBoxCoder']
