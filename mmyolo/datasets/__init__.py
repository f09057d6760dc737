"""Data sets, batch shapes, the collate function and the transforms."""

import mmdet.datasets  # noqa: F401

from . import transforms  # noqa: F401
from .batch_shape_policy import BatchShapePolicy
from .collate import yolov5_collate
from .pose_coco import PoseCocoDataset
from .transforms import *  # noqa: F401,F403
from .transforms import __all__ as _transforms
from .yolov5_coco import BatchShapePolicyDataset, YOLOv5CocoDataset
from .yolov5_crowdhuman import YOLOv5CrowdHumanDataset
from .yolov5_dota import YOLOv5DOTADataset
from .yolov5_voc import YOLOv5VOCDataset

__all__ = [
    'BatchShapePolicy',
    'BatchShapePolicyDataset',
    'PoseCocoDataset',
    'YOLOv5CocoDataset',
    'YOLOv5CrowdHumanDataset',
    'YOLOv5DOTADataset',
    'YOLOv5VOCDataset',
    'yolov5_collate',
    *_transforms,
]
