"""Mixes feature maps of several strides."""
from .base_yolo_neck import BaseYOLONeck
from .yolov5_pafpn import YOLOv5PAFPN
from .yolov8_pafpn import YOLOv8PAFPN
from .yolox_pafpn import YOLOXPAFPN

__all__ = ['BaseYOLONeck', 'YOLOXPAFPN', 'YOLOv5PAFPN', 'YOLOv8PAFPN']
