"""Public mmyolo's import path of the batch shapes and the collate function."""

from .batch_shape_policy import BatchShapePolicy
from .collate import yolov5_collate

__all__ = ['BatchShapePolicy', 'yolov5_collate']
