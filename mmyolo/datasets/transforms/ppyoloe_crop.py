"""Random crop of PPYOLOE: a part of the image that some box fills to a drawn degree (as SSD, 1512.02325, section 2.2).

Unlike public mmyolo, the mask of the first box that is kept is kept too.
"""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.structures.bbox import autocast_box_type
from numpy import random

from mmyolo.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PPYOLOERandomCrop(BaseTransform):
    """Crops the image and keeps the boxes whose centre lies in the crop, clipped to it.

    Args:
        aspect_ratio: Lowest and highest ratio of width to height, relative to the image's; None draws height and width
            alone and rejects more than 2 to 1 in pixels.
        thresholds: Overlaps (IoU of crop and box) of which one is asked for; another if no crop gives it.
        scaling: Lowest and highest root of the crop's share of the image.
        num_attempts: Crops that are tried per threshold.
        allow_no_crop: Whether leaving the image as it is counts as one more threshold.
        cover_all_box: Whether all boxes have to overlap that much, not only one.
    """

    def __init__(
        self,
        aspect_ratio: Sequence[float] | None = [0.5, 2.0],
        thresholds: Sequence[float] = [0.0, 0.1, 0.3, 0.5, 0.7, 0.9],
        scaling: Sequence[float] = [0.3, 1.0],
        num_attempts: int = 50,
        allow_no_crop: bool = True,
        cover_all_box: bool = False,
    ) -> None:
        self.aspect_ratio = aspect_ratio
        self.thresholds = thresholds
        self.scaling = scaling
        self.num_attempts = num_attempts
        self.allow_no_crop = allow_no_crop
        self.cover_all_box = cover_all_box

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Crop the image and its annotations, or return them as they are.

        Args:
            results: Has `img` and `gt_bboxes`; may have `gt_bboxes_labels`, `gt_ignore_flags`, `gt_masks` and
                `gt_seg_map`.

        Returns:
            The results with the cropped `img`, `img_shape` (h, w, c) and the annotations that are left.
        """
        drawn = self.draw(results, results['img'].shape[:2])
        if drawn is None:
            return results
        crop, keep = drawn
        left, top, right, bottom = crop
        results['img'] = results['img'][top:bottom, left:right]
        results['img_shape'] = results['img'].shape
        return crop_annotations(results, crop, keep)

    def draw(self, results: dict, shape: tuple[int, int]) -> tuple[tuple[int, int, int, int], np.ndarray] | None:
        """Draw a crop.

        Args:
            results: May have `gt_bboxes`.
            shape: (h, w) of the image.

        Returns:
            The crop, xyxy in pixels, and the indices of the boxes that are left; None leaves the image as it is.
        """
        if len(results.get('gt_bboxes', ())) == 0:
            return None
        boxes = results['gt_bboxes'].convert_to('hbox').numpy()
        thresholds = list(self.thresholds) + (['no_crop'] if self.allow_no_crop else [])
        random.shuffle(thresholds)
        for threshold in thresholds:
            if threshold == 'no_crop':
                return None
            for _ in range(self.num_attempts):
                crop = self._draw(*shape)
                if crop is None:
                    continue
                overlaps = _overlaps(boxes, crop)  # (N,)
                if overlaps.max() < threshold or (self.cover_all_box and overlaps.min() < threshold):
                    continue
                keep = np.flatnonzero(_centred_inside(boxes, crop))
                if len(keep):
                    return crop, keep
        return None

    def _draw(self, height: int, width: int) -> tuple[int, int, int, int] | None:
        """Draw a crop, xyxy in pixels; None if its shape is rejected."""
        scale = random.uniform(*self.scaling)
        if self.aspect_ratio is not None:
            low, high = self.aspect_ratio
            # A crop of any of these ratios fits into the image.
            root = np.sqrt(random.uniform(max(low, scale**2), min(high, scale**-2)))
            crop_height, crop_width = height * scale / root, width * scale * root
        else:
            crop_height, crop_width = height * random.uniform(*self.scaling), width * random.uniform(*self.scaling)
            if not 0.5 <= crop_height / crop_width <= 2:
                return None
        crop_height, crop_width = int(crop_height), int(crop_width)
        top = random.randint(0, height - crop_height + 1)
        left = random.randint(0, width - crop_width + 1)
        return left, top, left + crop_width, top + crop_height

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}(aspect_ratio={self.aspect_ratio}, thresholds={self.thresholds}, '
            f'scaling={self.scaling}, num_attempts={self.num_attempts}, allow_no_crop={self.allow_no_crop}, '
            f'cover_all_box={self.cover_all_box})'
        )


def _overlaps(boxes: np.ndarray, crop: tuple[int, int, int, int]) -> np.ndarray:
    """(N,) IoU of boxes (N, 4) xyxy and a crop."""
    inter = _area(np.maximum(boxes[:, :2], crop[:2]), np.minimum(boxes[:, 2:], crop[2:]))  # (N,)
    union = _area(boxes[:, :2], boxes[:, 2:]) + (crop[2] - crop[0]) * (crop[3] - crop[1]) - inter
    return inter / np.maximum(union, 1e-10)


def _area(top_left: np.ndarray, bottom_right: np.ndarray) -> np.ndarray:
    return np.maximum(bottom_right - top_left, 0).prod(axis=1)


def _centred_inside(boxes: np.ndarray, crop: tuple[int, int, int, int]) -> np.ndarray:
    """(N,) whether the centre of a box lies in the crop, without its right and bottom edge, and some area too."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2  # (N, 2)
    inside = ((centres >= crop[:2]) & (centres < crop[2:])).all(axis=1)  # (N,)
    return inside & (np.minimum(boxes[:, 2:], crop[2:]) > np.maximum(boxes[:, :2], crop[:2])).all(axis=1)


def crop_annotations(results: dict, crop: tuple[int, int, int, int], keep: np.ndarray) -> dict:
    """Move annotations as an image is cropped.

    Args:
        results: Has `gt_bboxes`; may have `gt_bboxes_labels`, `gt_ignore_flags`, `gt_masks` and `gt_seg_map`.
        crop: xyxy in pixels.
        keep: Indices of the boxes that are left.

    Returns:
        The results.
    """
    left, top, right, bottom = crop
    boxes = results['gt_bboxes'][keep]
    boxes.translate_((-left, -top))
    boxes.clip_((bottom - top, right - left))
    results['gt_bboxes'] = boxes
    for key in ('gt_bboxes_labels', 'gt_ignore_flags'):
        if key in results:
            results[key] = results[key][keep]
    if 'gt_masks' in results:
        results['gt_masks'] = results['gt_masks'][keep].crop(np.array(crop))
    if 'gt_seg_map' in results:
        results['gt_seg_map'] = results['gt_seg_map'][top:bottom, left:right]
    return results
