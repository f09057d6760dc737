"""Public mmyolo's import path of the transforms that work on one image."""

from .albu import Albu
from .copy_paste import YOLOv5CopyPaste
from .filtering import FilterAnnotations, RemoveDataElement
from .flip import RandomFlip
from .hsv import YOLOv5HSVRandomAug
from .loading import LoadAnnotations
from .polygon2mask import Polygon2Mask
from .ppyoloe_crop import PPYOLOERandomCrop
from .ppyoloe_distort import PPYOLOERandomDistort
from .random_affine import RandomAffine, YOLOv5RandomAffine
from .regularize_rotated_box import RegularizeRotatedBox
from .resize import LetterResize, Resize, YOLOv5KeepRatioResize

__all__ = [
    'Albu',
    'FilterAnnotations',
    'LetterResize',
    'LoadAnnotations',
    'PPYOLOERandomCrop',
    'PPYOLOERandomDistort',
    'Polygon2Mask',
    'RandomAffine',
    'RandomFlip',
    'RegularizeRotatedBox',
    'RemoveDataElement',
    'Resize',
    'YOLOv5CopyPaste',
    'YOLOv5HSVRandomAug',
    'YOLOv5KeepRatioResize',
    'YOLOv5RandomAffine',
]
