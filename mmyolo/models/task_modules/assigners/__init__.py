"""Assigners: which priors answer for which boxes in training."""

from .batch_atss_assigner import BatchATSSAssigner
from .batch_dsl_assigner import BatchDynamicSoftLabelAssigner
from .batch_task_aligned_assigner import BatchTaskAlignedAssigner
from .pose_sim_ota_assigner import PoseSimOTAAssigner
from .sim_ota_assigner import SimOTAAssigner
from .utils import select_candidates_in_gts, select_highest_overlaps, yolov6_iou_calculator

__all__ = [
    'BatchATSSAssigner',
    'BatchDynamicSoftLabelAssigner',
    'BatchTaskAlignedAssigner',
    'PoseSimOTAAssigner',
    'SimOTAAssigner',
    'select_candidates_in_gts',
    'select_highest_overlaps',
    'yolov6_iou_calculator',
]
