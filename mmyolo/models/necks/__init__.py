"""Mixes feature maps of several strides."""

from .base_yolo_neck import BaseYOLONeck
from .cspnext_pafpn import CSPNeXtPAFPN
from .ppyoloe_csppan import PPYOLOECSPPAFPN
from .yolov5_pafpn import YOLOv5PAFPN
from .yolov6_pafpn import YOLOv6CSPRepBiPAFPN, YOLOv6CSPRepPAFPN, YOLOv6RepBiPAFPN, YOLOv6RepPAFPN
from .yolov7_pafpn import YOLOv7PAFPN
from .yolov8_pafpn import YOLOv8PAFPN
from .yolox_pafpn import YOLOXPAFPN

__all__ = [
    'BaseYOLONeck',
    'CSPNeXtPAFPN',
    'PPYOLOECSPPAFPN',
    'YOLOXPAFPN',
    'YOLOv5PAFPN',
    'YOLOv6CSPRepBiPAFPN',
    'YOLOv6CSPRepPAFPN',
    'YOLOv6RepBiPAFPN',
    'YOLOv6RepPAFPN',
    'YOLOv7PAFPN',
    'YOLOv8PAFPN',
]
