"""Box coders: between what a head regresses and boxes."""

from mmyolo.standins.mmrotate.angle_coders import CSLCoder, PseudoAngleCoder

from .distance_angle_point_coder import DistanceAnglePointCoder
from .distance_point_bbox_coder import DistancePointBBoxCoder
from .yolov5_bbox_coder import YOLOv5BBoxCoder
from .yolox_bbox_coder import YOLOXBBoxCoder

__all__ = [
    'CSLCoder',
    'DistanceAnglePointCoder',
    'DistancePointBBoxCoder',
    'PseudoAngleCoder',
    'YOLOXBBoxCoder',
    'YOLOv5BBoxCoder',
]
