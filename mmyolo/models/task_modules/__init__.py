"""Assigners and box coders."""

from mmyolo.standins.mmrotate.rotated_overlaps import RBboxOverlaps2D  # noqa: F401  (registers it)

from .assigners import BatchATSSAssigner, BatchTaskAlignedAssigner
from .coders import YOLOv5BBoxCoder, YOLOXBBoxCoder

__all__ = ['BatchATSSAssigner', 'BatchTaskAlignedAssigner', 'YOLOXBBoxCoder', 'YOLOv5BBoxCoder']
