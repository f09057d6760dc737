"""Detection heads."""

from .base_yolo_head import BaseYOLOHead
from .ppyoloe_head import PPYOLOEHead, PPYOLOEHeadModule
from .prediction import BatchDetections, Detections
from .rtmdet_head import RTMDetHead, RTMDetSepBNHeadModule
from .rtmdet_ins_head import RTMDetInsSepBNHead, RTMDetInsSepBNHeadModule
from .rtmdet_rotated_head import RTMDetRotatedHead, RTMDetRotatedSepBNHeadModule
from .yolov5_head import YOLOv5Head, YOLOv5HeadModule
from .yolov5_ins_head import YOLOv5InsHead, YOLOv5InsHeadModule
from .yolov6_head import YOLOv6Head, YOLOv6HeadModule
from .yolov7_head import YOLOv7Head, YOLOv7HeadModule, YOLOv7p6HeadModule
from .yolov8_head import YOLOv8Head, YOLOv8HeadModule
from .yolox_head import YOLOXHead, YOLOXHeadModule
from .yolox_pose_head import YOLOXPoseHead, YOLOXPoseHeadModule

__all__ = [
    'BaseYOLOHead',
    'BatchDetections',
    'Detections',
    'PPYOLOEHead',
    'PPYOLOEHeadModule',
    'RTMDetHead',
    'RTMDetInsSepBNHead',
    'RTMDetInsSepBNHeadModule',
    'RTMDetRotatedHead',
    'RTMDetRotatedSepBNHeadModule',
    'RTMDetSepBNHeadModule',
    'YOLOXHead',
    'YOLOXHeadModule',
    'YOLOXPoseHead',
    'YOLOXPoseHeadModule',
    'YOLOv5Head',
    'YOLOv5HeadModule',
    'YOLOv5InsHead',
    'YOLOv5InsHeadModule',
    'YOLOv6Head',
    'YOLOv6HeadModule',
    'YOLOv7Head',
    'YOLOv7HeadModule',
    'YOLOv7p6HeadModule',
    'YOLOv8Head',
    'YOLOv8HeadModule',
]
