"""Colour jitter of YOLOv5 in the HSV space."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from numpy import random

from mmyolo.registry import TRANSFORMS


@TRANSFORMS.register_module()
class YOLOv5HSVRandomAug(BaseTransform):
    """Multiplies hue, saturation and value of a BGR uint8 image by random gains.

    Args:
        hue_delta: The gain of the hue is drawn from 1 - delta to 1 + delta.
        saturation_delta: As above, of the saturation.
        value_delta: As above, of the value.
    """

    def __init__(
        self, hue_delta: int | float = 0.015, saturation_delta: int | float = 0.7, value_delta: int | float = 0.4
    ) -> None:
        self.hue_delta = hue_delta
        self.saturation_delta = saturation_delta
        self.value_delta = value_delta

    def transform(self, results: dict) -> dict:
        """Jitter `img`.

        Args:
            results: Has `img`, BGR uint8.

        Returns:
            The results with a new `img`.
        """
        gains = random.uniform(-1, 1, 3) * [self.hue_delta, self.saturation_delta, self.value_delta] + 1  # (3,)
        steps = np.arange(256, dtype=gains.dtype)[:, None] * gains  # (256, 3)
        steps[:, 0] %= 180  # OpenCV's uint8 hue counts in steps of two degrees
        # (1, 256, 3) A table of all values is faster than arithmetic on all pixels.
        table = np.clip(steps, 0, 255).astype(np.uint8)[None]
        hsv = cv2.cvtColor(results['img'], cv2.COLOR_BGR2HSV)
        hsv = cv2.LUT(hsv, table, dst=hsv)
        results['img'] = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR, dst=hsv)
        return results

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}(hue_delta={self.hue_delta}, '
            f'saturation_delta={self.saturation_delta}, value_delta={self.value_delta})'
        )
