"""Transforms of the YOLO recipes, and mmcv's Compose under this package's scope."""

from mmcv.transforms import Compose

import mmyolo.standins.mmrotate.transforms  # noqa: F401  (registers them)
from mmyolo.registry import TRANSFORMS

from .cached_image import LoadCachedImage
from .fast_crop import FastCrop
from .fast_image import FastImage
from .fast_mosaic import FastMosaic
from .formatting import PackDetInputs
from .loading import LoadImageFromFile
from .mix_img_transforms import BaseMixImageTransform, Mosaic, Mosaic9, YOLOv5MixUp, YOLOXMixUp
from .thin_images import keep_one_pixel
from .transforms import (
    Albu,
    FilterAnnotations,
    LetterResize,
    LoadAnnotations,
    Polygon2Mask,
    PPYOLOERandomCrop,
    PPYOLOERandomDistort,
    RandomAffine,
    RandomFlip,
    RegularizeRotatedBox,
    RemoveDataElement,
    Resize,
    YOLOv5CopyPaste,
    YOLOv5HSVRandomAug,
    YOLOv5KeepRatioResize,
    YOLOv5RandomAffine,
)

TRANSFORMS.register_module(module=Compose, force=True)
keep_one_pixel()

__all__ = [
    'Albu',
    'BaseMixImageTransform',
    'Compose',
    'FastCrop',
    'FastImage',
    'FastMosaic',
    'FilterAnnotations',
    'LetterResize',
    'LoadAnnotations',
    'LoadCachedImage',
    'LoadImageFromFile',
    'Mosaic',
    'Mosaic9',
    'PPYOLOERandomCrop',
    'PPYOLOERandomDistort',
    'PackDetInputs',
    'Polygon2Mask',
    'RandomAffine',
    'RandomFlip',
    'RegularizeRotatedBox',
    'RemoveDataElement',
    'Resize',
    'YOLOXMixUp',
    'YOLOv5CopyPaste',
    'YOLOv5HSVRandomAug',
    'YOLOv5KeepRatioResize',
    'YOLOv5MixUp',
    'YOLOv5RandomAffine',
]
