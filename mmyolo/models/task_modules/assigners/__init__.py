"""Assigners: which priors answer for which boxes in training."""
from .batch_task_aligned_assigner import BatchTaskAlignedAssigner
from .utils import select_candidates_in_gts, select_highest_overlaps, yolov6_iou_calculator

__all__ = [
    'BatchTaskAlignedAssigner', 'select_candidates_in_gts', 'select_highest_overlaps', 'yolov6_iou_calculator'
]
