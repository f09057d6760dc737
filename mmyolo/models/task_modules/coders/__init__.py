"""Box coders: between what a head regresses and boxes."""
from .distance_point_bbox_coder import DistancePointBBoxCoder
from .yolov5_bbox_coder import YOLOv5BBoxCoder

__all__ = ['DistancePointBBoxCoder', 'YOLOv5BBoxCoder']
