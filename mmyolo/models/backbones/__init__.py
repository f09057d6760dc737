"""From an image to feature maps at several strides."""

from .base_backbone import BaseBackbone
from .csp_darknet import YOLOv5CSPDarknet, YOLOv8CSPDarknet
from .csp_resnet import PPYOLOECSPResNet
from .cspnext import CSPNeXt
from .efficient_rep import YOLOv6CSPBep, YOLOv6EfficientRep
from .yolov7_backbone import YOLOv7Backbone
from .yolox_csp_darknet import YOLOXCSPDarknet

__all__ = [
    'BaseBackbone',
    'CSPNeXt',
    'PPYOLOECSPResNet',
    'YOLOXCSPDarknet',
    'YOLOv5CSPDarknet',
    'YOLOv6CSPBep',
    'YOLOv6EfficientRep',
    'YOLOv7Backbone',
    'YOLOv8CSPDarknet',
]
