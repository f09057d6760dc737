"""Random flips."""

import cv2
import numpy as np
from mmdet.datasets.transforms import RandomFlip as MMDETRandomFlip

from mmyolo.registry import TRANSFORMS

FLIP_CODES = {'horizontal': 1, 'vertical': 0, 'diagonal': -1}


@TRANSFORMS.register_module()
class RandomFlip(MMDETRandomFlip):
    """mmdet's RandomFlip that flips keypoints too, with an image that stays contiguous, so that packing it is cheap.

    Args:
        *args: Of mmdet's.
        on_device: Leave the pixels to the data preprocessor, with `flip_left` for the direction. There may be no
            segmentation map, and behind this nothing that looks at pixels.
        **kwargs: Of mmdet's.
    """

    def __init__(self, *args, on_device: bool = False, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.on_device = on_device

    def draw_direction(self) -> str | None:
        """Draw a direction; None leaves the image as it is."""
        return self._choose_direction()

    def _flip(self, results: dict) -> None:
        if self.on_device:
            flip_annotations(results, results['flip_direction'])
            results['flip_left'] = results['flip_direction']
            return
        image = results['img']
        super()._flip(results)
        if results.get('gt_keypoints') is not None:
            results['gt_keypoints'].flip_(results['img'].shape[:2], results['flip_direction'])
        code = FLIP_CODES[results['flip_direction']]
        results['img'] = cv2.flip(image, code) if image.ndim == 3 else np.ascontiguousarray(results['img'])


def flip_annotations(results: dict, direction: str) -> None:
    """Flip boxes, masks and keypoints as an image is flipped.

    Args:
        results: Has `gt_bboxes` and `img_shape`; may have `gt_masks` and `gt_keypoints`. They are replaced.
        direction: 'horizontal', 'vertical' or 'diagonal'.
    """
    shape = results['img_shape'][:2]
    results['gt_bboxes'].flip_(shape, direction)
    if results.get('gt_keypoints') is not None:
        results['gt_keypoints'].flip_(shape, direction)
    if results.get('gt_masks') is not None:
        results['gt_masks'] = results['gt_masks'].flip(direction)
