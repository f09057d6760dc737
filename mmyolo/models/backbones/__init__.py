"""From an image to feature maps at several strides."""
from .base_backbone import BaseBackbone
from .csp_darknet import YOLOv5CSPDarknet, YOLOv8CSPDarknet
from .yolox_csp_darknet import YOLOXCSPDarknet

__all__ = ['BaseBackbone', 'YOLOXCSPDarknet', 'YOLOv5CSPDarknet', 'YOLOv8CSPDarknet']
