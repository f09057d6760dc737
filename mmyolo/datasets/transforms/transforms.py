"""Upstream's import path of the transforms that work on one image."""
from .albu import Albu
from .copy_paste import YOLOv5CopyPaste
from .filtering import FilterAnnotations, RemoveDataElement
from .flip import RandomFlip
from .hsv import YOLOv5HSVRandomAug
from .loading import LoadAnnotations
from .random_affine import YOLOv5RandomAffine
from .resize import LetterResize, YOLOv5KeepRatioResize

__all__ = [
    'Albu', 'FilterAnnotations', 'LetterResize', 'LoadAnnotations', 'RandomFlip', 'RemoveDataElement',
    'YOLOv5CopyPaste', 'YOLOv5HSVRandomAug', 'YOLOv5KeepRatioResize', 'YOLOv5RandomAffine'
]
