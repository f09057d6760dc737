"""Detection heads."""
from .base_yolo_head import BaseYOLOHead
from .prediction import BatchDetections, Detections
from .yolov5_head import YOLOv5Head, YOLOv5HeadModule
from .yolov6_head import YOLOv6Head, YOLOv6HeadModule
from .yolov8_head import YOLOv8Head, YOLOv8HeadModule
from .yolox_head import YOLOXHead, YOLOXHeadModule

__all__ = [
    'BaseYOLOHead', 'BatchDetections', 'Detections', 'YOLOXHead', 'YOLOXHeadModule', 'YOLOv5Head', 'YOLOv5HeadModule',
    'YOLOv6Head', 'YOLOv6HeadModule', 'YOLOv8Head', 'YOLOv8HeadModule'
]
