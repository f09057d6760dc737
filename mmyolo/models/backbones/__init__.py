"""From an image to feature maps at several strides."""
from .base_backbone import BaseBackbone
from .csp_darknet import YOLOv5CSPDarknet, YOLOv8CSPDarknet

__all__ = ['BaseBackbone', 'YOLOv5CSPDarknet', 'YOLOv8CSPDarknet']
