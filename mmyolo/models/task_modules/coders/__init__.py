"""Box coders: between what a head regresses and boxes."""
from .distance_point_bbox_coder import DistancePointBBoxCoder
from .yolov5_bbox_coder import YOLOv5BBoxCoder
from .yolox_bbox_coder import YOLOXBBoxCoder

__all__ = ['DistancePointBBoxCoder', 'YOLOXBBoxCoder', 'YOLOv5BBoxCoder']
