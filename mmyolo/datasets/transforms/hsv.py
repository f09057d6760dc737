"""Colour jitter of YOLOv5 and YOLOX in the HSV space."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import YOLOXHSVRandomAug as MMDETYOLOXHSVRandomAug
from numpy import random

from mmyolo.registry import TRANSFORMS


class HSVTables:
    """Jitters `img` by a table of each of hue, saturation and value, which a subclass draws.

    Args:
        on_device: Leave the pixels to the data preprocessor, which does the same with the whole batch on its device.
            Behind this there may only be what moves pixels without looking at them.
    """

    on_device: bool

    def transform(self, results: dict) -> dict:
        """Jitter `img`.

        Args:
            results: Has `img`, BGR uint8.

        Returns:
            The results with a new `img`, or with `hsv_tables` (3, 256) of what is left to do.
        """
        self.apply(results, self.draw_tables())
        return results

    def draw_tables(self) -> np.ndarray:
        """Draw (3, 256) uint8: what becomes of each hue, saturation and value."""
        raise NotImplementedError

    def apply(self, results: dict, tables: np.ndarray) -> None:
        """Jitter `img` by tables that are drawn.

        Args:
            results: As of `transform`.
            tables: (3, 256) uint8.
        """
        if self.on_device:
            results['hsv_tables'] = tables
        else:
            results['img'] = map_hsv(results['img'], tables)


@TRANSFORMS.register_module()
class YOLOv5HSVRandomAug(HSVTables, BaseTransform):
    """Multiplies hue, saturation and value of a BGR uint8 image by random gains.

    Args:
        hue_delta: The gain of the hue is drawn from 1 - delta to 1 + delta.
        saturation_delta: As above, of the saturation.
        value_delta: As above, of the value.
        on_device: See HSVTables.
    """

    def __init__(
        self,
        hue_delta: int | float = 0.015,
        saturation_delta: int | float = 0.7,
        value_delta: int | float = 0.4,
        on_device: bool = False,
    ) -> None:
        self.hue_delta = hue_delta
        self.saturation_delta = saturation_delta
        self.value_delta = value_delta
        self.on_device = on_device

    def draw_tables(self) -> np.ndarray:
        """Draw (3, 256) uint8: what becomes of each hue, saturation and value."""
        return hsv_tables(self.draw_gains())

    def draw_gains(self) -> np.ndarray:
        """Draw the factors (3,) of hue, saturation and value."""
        return random.uniform(-1, 1, 3) * [self.hue_delta, self.saturation_delta, self.value_delta] + 1

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}(hue_delta={self.hue_delta}, '
            f'saturation_delta={self.saturation_delta}, value_delta={self.value_delta}, on_device={self.on_device})'
        )


@TRANSFORMS.register_module()
class YOLOXHSVRandomAug(HSVTables, MMDETYOLOXHSVRandomAug):
    """mmdet's YOLOXHSVRandomAug, which adds random numbers, by tables: the same numbers and pixels in less time.

    Args:
        *args: Of mmdet's.
        on_device: See HSVTables.
        **kwargs: Of mmdet's.
    """

    def __init__(self, *args, on_device: bool = False, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.on_device = on_device

    def draw_tables(self) -> np.ndarray:
        """Draw (3, 256) uint8: what becomes of each hue, saturation and value."""
        tables = np.arange(256) + self._get_hsv_gains()[:, None].astype(int)
        tables[0] %= 180
        return np.clip(tables, 0, 255).astype(np.uint8)


def hsv_tables(gains: np.ndarray) -> np.ndarray:
    """Multiply all values of hue, saturation and value; the hue turns around, the others are clipped.

    Args:
        gains: (3,) factors.

    Returns:
        (3, 256) uint8: what becomes of each value.
    """
    tables = np.arange(256, dtype=gains.dtype) * gains[:, None]
    tables[0] %= 180  # OpenCV's uint8 hue counts in steps of two degrees
    return np.clip(tables, 0, 255).astype(np.uint8)


def map_hsv(image: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """Replace hue, saturation and value by those that tables give.

    Args:
        image: (h, w, 3) BGR uint8.
        tables: (3, 256) uint8.

    Returns:
        A new image.
    """
    # A table of all values is faster than arithmetic on all pixels, and on three planes faster than on pixels of three.
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    planes = list(np.empty((3, *image.shape[:2]), dtype=np.uint8))  # 3 of (h, w)
    cv2.split(hsv, planes)
    for plane, table in zip(planes, tables):
        cv2.LUT(plane, table, dst=plane)
    cv2.merge(planes, dst=hsv)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR, dst=hsv)
