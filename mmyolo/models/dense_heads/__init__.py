"""Detection heads."""
from .base_yolo_head import BaseYOLOHead
from .prediction import BatchDetections, Detections
from .yolov5_head import YOLOv5Head, YOLOv5HeadModule
from .yolov8_head import YOLOv8Head, YOLOv8HeadModule

__all__ = [
    'BaseYOLOHead', 'BatchDetections', 'Detections', 'YOLOv5Head', 'YOLOv5HeadModule', 'YOLOv8Head', 'YOLOv8HeadModule'
]
