"""Public mmyolo's import path of the transforms that mix several images."""

from .base_mix import BaseMixImageTransform
from .mixup import YOLOv5MixUp, YOLOXMixUp
from .mosaic import Mosaic
from .mosaic9 import Mosaic9

__all__ = ['BaseMixImageTransform', 'Mosaic', 'Mosaic9', 'YOLOXMixUp', 'YOLOv5MixUp']
