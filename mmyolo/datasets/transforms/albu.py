"""Albumentations, where installed.

Public YOLOv5 and YOLOv8 configs name `mmdet.Albu` with four effects at a probability of one per cent each.
albumentations is optional here (`pip install "albumentations<2"`), so without it this transform takes the place of
mmdet's, which cannot be built: it says once that it is skipped and leaves the images alone. Configs need no change
either way.
"""

import logging

from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import Albu as MMDETAlbu
from mmdet.registry import TRANSFORMS as MMDET_TRANSFORMS
from mmengine.logging import print_log

from mmyolo.registry import TRANSFORMS

try:
    import albumentations
except ImportError:
    albumentations = None


class SkippedAlbu(BaseTransform):
    """Takes the arguments of mmdet's Albu and does nothing.

    Args:
        transforms: Configs of the effects that are skipped.
        **kwargs: Of mmdet's Albu.
    """

    _told = False

    def __init__(self, transforms: list, **kwargs) -> None:
        self.transforms = transforms
        if not SkippedAlbu._told:
            SkippedAlbu._told = True
            names = ', '.join(str(effect['type']) for effect in transforms)
            print_log(
                f'albumentations is not installed, so these rare effects are skipped: {names}',
                logger='current',
                level=logging.INFO,
            )

    def transform(self, results: dict) -> dict:
        """Give the results as they are."""
        return results

    def __repr__(self) -> str:
        return f'Albu(skipped, transforms={self.transforms})'


Albu = MMDETAlbu if albumentations is not None else SkippedAlbu
TRANSFORMS.register_module(name='Albu', module=Albu)
MMDET_TRANSFORMS.register_module(name='Albu', module=Albu, force=True)
