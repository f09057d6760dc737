"""Assigners and box coders."""

from .assigners import BatchATSSAssigner, BatchTaskAlignedAssigner
from .coders import YOLOv5BBoxCoder, YOLOXBBoxCoder
from .rotated_overlaps import RBboxOverlaps2D  # noqa: F401  (registers it)

__all__ = ['BatchATSSAssigner', 'BatchTaskAlignedAssigner', 'YOLOXBBoxCoder', 'YOLOv5BBoxCoder']
