"""Colour jitter of PPYOLOE.

Every step is affine in the three channels, so the image is passed over once. Unlike in public mmyolo the image stays
float32 when the hue changes, where it became float64.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from numpy import random

from mmyolo.registry import TRANSFORMS

_BGR_TO_YIQ = np.array([[0.114, 0.587, 0.299], [-0.321, -0.274, 0.596], [0.311, -0.523, 0.211]])
_YIQ_TO_BGR = np.array([[1, -1.107, 1.705], [1, -0.272, -0.647], [1, 0.956, 0.621]])
_BGR_TO_GRAY = _BGR_TO_YIQ[0]


def _hue(delta: float) -> np.ndarray:
    cos, sin = np.cos(delta * np.pi), np.sin(delta * np.pi)
    return _YIQ_TO_BGR @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ _BGR_TO_YIQ


def _saturation(delta: float) -> np.ndarray:
    return delta * np.eye(3) + (1 - delta) * np.tile(_BGR_TO_GRAY, (3, 1))


def transform_colours(
    image: np.ndarray, colours: np.ndarray, planes: Sequence[np.ndarray] | None = None
) -> np.ndarray | None:
    """Change the colours of an image.

    Args:
        image: (h, w, 3) BGR.
        colours: (3, 4), what to multiply BGR by, and what to add.
        planes: Three (h, w) float32 to write the channels to.

    Returns:
        (h, w, 3) float32, values may leave 0 to 255; None with `planes`.
    """
    image = image.astype(np.float32)
    if planes is None:
        return cv2.transform(image, colours)
    for plane, row in zip(planes, colours):
        cv2.transform(image, row[None], dst=plane)
    return None


@TRANSFORMS.register_module()
class PPYOLOERandomDistort(BaseTransform):
    """Changes hue, saturation, contrast and brightness of a BGR image, in random order and each with a probability.

    Values may leave 0 to 255.

    Args:
        hue_cfg: `min` and `max` of the rotation of the hue, in half turns, and `prob`.
        saturation_cfg: As above, of the share of the colour beside its grey.
        contrast_cfg: As above, of the factor.
        brightness_cfg: As above, of what is added.
        num_distort_func: How many of the four are tried.
    """

    def __init__(
        self,
        hue_cfg: dict = {'min': -18, 'max': 18, 'prob': 0.5},
        saturation_cfg: dict = {'min': 0.5, 'max': 1.5, 'prob': 0.5},
        contrast_cfg: dict = {'min': 0.5, 'max': 1.5, 'prob': 0.5},
        brightness_cfg: dict = {'min': 0.5, 'max': 1.5, 'prob': 0.5},
        num_distort_func: int = 4,
    ) -> None:
        assert 0 < num_distort_func <= 4, f'num_distort_func is from 1 to 4, not {num_distort_func}'
        self.hue_cfg = hue_cfg
        self.saturation_cfg = saturation_cfg
        self.contrast_cfg = contrast_cfg
        self.brightness_cfg = brightness_cfg
        self.num_distort_func = num_distort_func
        for name in ('hue_cfg', 'saturation_cfg', 'contrast_cfg', 'brightness_cfg'):
            cfg = getattr(self, name)
            assert 0 <= cfg['prob'] <= 1, f'prob of {name} is within 0 and 1, not {cfg["prob"]}'

    def transform(self, results: dict) -> dict:
        """Jitter `img`.

        Args:
            results: Has `img`, BGR.

        Returns:
            The results with a new `img`, float32.
        """
        results['img'] = transform_colours(results['img'], self.draw())
        return results

    def draw(self) -> np.ndarray:
        """Draw (3, 4): what to multiply BGR by, and what to add."""
        colour, shift = np.eye(3), np.zeros((3, 1))
        steps = np.array(['brightness', 'contrast', 'saturation', 'hue'])
        for step in random.permutation(steps)[: self.num_distort_func]:
            cfg = getattr(self, f'{step}_cfg')
            if random.uniform(0.0, 1.0) >= cfg['prob']:
                continue
            delta = random.uniform(cfg['min'], cfg['max'])
            if step == 'brightness':
                shift = shift + delta
                continue
            matrix = delta * np.eye(3) if step == 'contrast' else _hue(delta) if step == 'hue' else _saturation(delta)
            colour, shift = matrix @ colour, matrix @ shift
        return np.hstack((colour, shift))

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}(hue_cfg={self.hue_cfg}, saturation_cfg={self.saturation_cfg}, '
            f'contrast_cfg={self.contrast_cfg}, brightness_cfg={self.brightness_cfg}, '
            f'num_distort_func={self.num_distort_func})'
        )
