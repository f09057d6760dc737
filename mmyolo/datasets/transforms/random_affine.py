"""Random rotation, scale, shear and translation of YOLOv5.

Differs from mmyolo 0.6.0 on purpose: the image is warped by cv2.warpAffine, which is a third faster than
warpPerspective; in about one pixel in a hundred its sample point lies 1/32 pixel aside. Polygons are clipped to
(height, width), not swapped.
"""

import math
import warnings
from typing import NamedTuple

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.datasets.transforms import RandomAffine as MMDETRandomAffine
from mmdet.structures.bbox import HorizontalBoxes, autocast_box_type
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from numpy import random

from mmyolo.registry import TRANSFORMS

from .boxes import rescale_and_translate_, warp_
from .masks import warp_bitmaps, warp_polygon


class Warp(NamedTuple):
    """An affine warp.

    Args:
        matrix: (3, 3) from pixels of the image to those of the result.
        scale: What it scales by; None where that is not known.
        shape: (h, w) of the result.
    """

    matrix: np.ndarray
    scale: float | None
    shape: tuple[int, int]


@TRANSFORMS.register_module()
class RandomAffine(MMDETRandomAffine):
    """mmdet's RandomAffine, the one of YOLOX, that warps keypoints too; boxes outside of the image are dropped."""

    @autocast_box_type()
    def transform(self, results: dict) -> dict | None:
        """Warp the image and its annotations.

        Args:
            results: Has `img`, `gt_bboxes`, `gt_bboxes_labels`, `gt_ignore_flags`; may have `gt_keypoints`.

        Returns:
            The results with the warped `img`, `img_shape` (h, w) and the annotations that are left.
        """
        if 'gt_masks' in results and len(results['gt_bboxes']):
            raise NotImplementedError('RandomAffine warps boxes and keypoints, no masks: use YOLOv5RandomAffine')
        warp = self.draw(results['img'].shape[:2])
        results['img'] = cv2.warpPerspective(
            results['img'], warp.matrix, dsize=warp.shape[::-1], borderValue=self.border_val
        )
        results['img_shape'] = warp.shape
        return self.warp_annotations(results, warp)

    def draw(self, shape: tuple[int, int]) -> Warp:
        """Draw a warp.

        Args:
            shape: (h, w) of the image.
        """
        shape = (shape[0] + self.border[1] * 2, shape[1] + self.border[0] * 2)
        return Warp(self._get_random_homography_matrix(*shape), None, shape)

    def warp_annotations(self, results: dict, warp: Warp) -> dict:
        """Warp boxes and keypoints as an image was.

        Args:
            results: As of `transform`.
            warp: The warp.

        Returns:
            The results with the annotations that are left.
        """
        matrix, _, shape = warp
        boxes = results['gt_bboxes']
        if len(boxes) == 0:
            return results
        warp_(boxes, matrix)
        if 'gt_keypoints' in results:
            results['gt_keypoints'].project_(matrix)
        if self.bbox_clip_border:
            boxes.clip_(shape)
            if 'gt_keypoints' in results:
                results['gt_keypoints'].clip_(shape)
        inside = boxes.is_inside(shape).numpy()  # (N,)
        for key in ('gt_bboxes', 'gt_bboxes_labels', 'gt_ignore_flags', 'gt_keypoints'):
            if key in results:
                results[key] = results[key][inside]
        return results


@TRANSFORMS.register_module()
class YOLOv5RandomAffine(BaseTransform):
    """Warps the image about its centre and drops boxes that became too small, too thin or mostly cut off.

    With `gt_masks` in the results the new boxes are the extents of the warped masks ("mask refine").

    Args:
        max_rotate_degree: Rotation, from - to +.
        max_translate_ratio: The centre lands within 0.5 - ratio to 0.5 + ratio of the output size.
        scaling_ratio_range: Lowest and highest scale.
        max_shear_degree: Shear along each axis, from - to +.
        border: (width, height) in pixels added on each side of the output; negative cuts a mosaic to its middle.
        border_val: Colour outside of the image.
        bbox_clip_border: Clip boxes and polygons to the output; bitmaps are always.
        min_bbox_size: A kept box is wider and higher than this, in pixels.
        min_area_ratio: A kept box has more than this share of its scaled area left.
        use_mask_refine: Without effect; masks in the results decide.
        max_aspect_ratio: A kept box has less than this ratio of sides.
        resample_num: Points per polygon when warping.
    """

    def __init__(
        self,
        max_rotate_degree: float = 10.0,
        max_translate_ratio: float = 0.1,
        scaling_ratio_range: tuple[float, float] = (0.5, 1.5),
        max_shear_degree: float = 2.0,
        border: tuple[int, int] = (0, 0),
        border_val: tuple[int, int, int] = (114, 114, 114),
        bbox_clip_border: bool = True,
        min_bbox_size: int = 2,
        min_area_ratio: float = 0.1,
        use_mask_refine: bool = False,
        max_aspect_ratio: float = 20.0,
        resample_num: int = 1000,
    ) -> None:
        assert 0 <= max_translate_ratio <= 1, f'max_translate_ratio is within 0 and 1, not {max_translate_ratio}'
        assert 0 < scaling_ratio_range[0] <= scaling_ratio_range[1], (
            f'scaling_ratio_range is two positive numbers in rising order, not {scaling_ratio_range}'
        )
        self.max_rotate_degree = max_rotate_degree
        self.max_translate_ratio = max_translate_ratio
        self.scaling_ratio_range = scaling_ratio_range
        self.max_shear_degree = max_shear_degree
        self.border = border
        self.border_val = border_val
        self.bbox_clip_border = bbox_clip_border
        self.min_bbox_size = min_bbox_size
        self.min_area_ratio = min_area_ratio
        self.use_mask_refine = use_mask_refine
        self.max_aspect_ratio = max_aspect_ratio
        self.resample_num = resample_num

    @cache_randomness
    def _get_random_homography_matrix(self, height: int, width: int) -> tuple[np.ndarray, float]:
        """Draw a warp of centred coordinates.

        Args:
            height: Of the output, in pixels.
            width: Of the output, in pixels.

        Returns:
            float32 (3, 3) matrix from pixels about the input's centre to output pixels, and its scale.
        """
        angle = math.radians(random.uniform(-self.max_rotate_degree, self.max_rotate_degree))
        scale = random.uniform(*self.scaling_ratio_range)
        shear_x = math.tan(math.radians(random.uniform(-self.max_shear_degree, self.max_shear_degree)))
        shear_y = math.tan(math.radians(random.uniform(-self.max_shear_degree, self.max_shear_degree)))
        shift_x = random.uniform(0.5 - self.max_translate_ratio, 0.5 + self.max_translate_ratio) * width
        shift_y = random.uniform(0.5 - self.max_translate_ratio, 0.5 + self.max_translate_ratio) * height

        cos, sin = math.cos(angle), math.sin(angle)
        # (3, 3) each, read from right to left: scaled, turned and sheared about the centre, then moved to the output.
        rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], dtype=np.float32)
        scaling = np.array([[scale, 0, 0], [0, scale, 0], [0, 0, 1]], dtype=np.float32)
        shear = np.array([[1, shear_x, 0], [shear_y, 1, 0], [0, 0, 1]], dtype=np.float32)
        translation = np.array([[1, 0, shift_x], [0, 1, shift_y], [0, 0, 1]], dtype=np.float32)
        return translation @ shear @ rotation @ scaling, scale

    @autocast_box_type()
    def transform(self, results: dict) -> dict | None:
        """Warp the image and its annotations.

        Args:
            results: Has `img`, `gt_bboxes`, `gt_bboxes_labels`, `gt_ignore_flags`; may have `gt_masks`.

        Returns:
            The results with the warped `img`, `img_shape` (h, w, c) and the annotations that are left; None, which asks
            for another image, if the border leaves no pixel.
        """
        image = results['img']
        warp = self.draw(image.shape[:2])
        if warp is None:
            return None
        image = cv2.warpAffine(image, warp.matrix[:2], dsize=warp.shape[::-1], borderValue=self.border_val)
        results['img'] = image
        results['img_shape'] = image.shape
        return self.warp_annotations(results, warp)

    def draw(self, shape: tuple[int, int]) -> Warp | None:
        """Draw a warp.

        Args:
            shape: (h, w) of the image.

        Returns:
            The warp; None, with a warning, if the border leaves no pixel.
        """
        height, width = shape[0] + self.border[1] * 2, shape[1] + self.border[0] * 2
        if min(height, width) < 1:  # cv2 would give an image of a size of its own
            warnings.warn(
                f'An image of {shape[1]}x{shape[0]} pixels is skipped: the border {self.border} of '
                f'YOLOv5RandomAffine leaves {width}x{height} of it; it is meant for mosaics'
            )
            return None
        # (3, 3) The warp is about the middle of the image, not its corner.
        centre = np.array([[1, 0, -shape[1] / 2], [0, 1, -shape[0] / 2], [0, 0, 1]], dtype=np.float32)
        matrix, scale = self._get_random_homography_matrix(height, width)
        return Warp(matrix @ centre, scale, (height, width))

    def warp_annotations(self, results: dict, warp: Warp) -> dict:
        """Warp boxes and masks as an image was.

        Args:
            results: As of `transform`.
            warp: The warp.

        Returns:
            The results with the annotations that are left.
        """
        warp_kind = self._warp_masks if 'gt_masks' in results else self._warp_boxes
        warp_kind(results, warp.matrix, warp.scale, *warp.shape)
        return results

    def _warp_boxes(self, results: dict, matrix: np.ndarray, scale: float, height: int, width: int) -> None:
        boxes = results['gt_bboxes']
        if len(boxes) == 0:
            return
        # What the box would be were it only scaled: the area that is left is measured against this.
        before = boxes.clone()
        rescale_and_translate_(before, (scale, scale))
        warp_(boxes, matrix)
        if self.bbox_clip_border:
            boxes.clip_((height, width))
        valid = self.filter_gt_bboxes(before, boxes).numpy()  # (N,)
        results['gt_bboxes'] = boxes[valid]
        results['gt_bboxes_labels'] = results['gt_bboxes_labels'][valid]
        results['gt_ignore_flags'] = results['gt_ignore_flags'][valid]

    def _warp_masks(self, results: dict, matrix: np.ndarray, scale: float, height: int, width: int) -> None:
        masks = results['gt_masks']
        if len(masks) == 0:
            results['gt_masks'] = masks.resize((height, width))
            return
        warp = self._warp_bitmaps if isinstance(masks, BitmapMasks) else self._warp_polygons
        masks, boxes = warp(masks, matrix, height, width)
        before = results['gt_bboxes'].clone()
        rescale_and_translate_(before, (scale, scale))
        valid = self.filter_gt_bboxes(before, boxes).numpy()
        if self.bbox_clip_border:
            boxes.clip_((height - 1e-3, width - 1e-3))
        results['gt_bboxes'] = boxes[valid]
        results['gt_bboxes_labels'] = results['gt_bboxes_labels'][valid]
        results['gt_ignore_flags'] = results['gt_ignore_flags'][valid]
        results['gt_masks'] = masks[valid]

    def _warp_bitmaps(
        self, masks: BitmapMasks, matrix: np.ndarray, height: int, width: int
    ) -> tuple[BitmapMasks, HorizontalBoxes]:
        masks = warp_bitmaps(masks, matrix, (height, width))
        return masks, masks.get_bboxes('hbox')

    def _warp_polygons(
        self, masks: PolygonMasks, matrix: np.ndarray, height: int, width: int
    ) -> tuple[PolygonMasks, HorizontalBoxes]:
        polygons = [[warp_polygon(part, matrix, self.resample_num) for part in parts] for parts in masks.masks]
        boxes = HorizontalBoxes(
            np.stack([_visible_extent(np.concatenate(parts), height, width) for parts in polygons]), clone=False
        )
        if self.bbox_clip_border:
            limit = np.array([width, height], dtype=np.float32)
            polygons = [[np.clip(part, 0, limit) for part in parts] for parts in polygons]
        masks = [[part.reshape(-1) for part in parts] for parts in polygons]
        return PolygonMasks(masks, height, width), boxes

    def filter_gt_bboxes(self, origin_bboxes: HorizontalBoxes, wrapped_bboxes: HorizontalBoxes):
        """Find the boxes worth keeping.

        Args:
            origin_bboxes: (N, 4) xyxy before the warp, times its scale.
            wrapped_bboxes: (N, 4) xyxy after it.

        Returns:
            (N,) bool tensor.
        """
        widths, heights = wrapped_bboxes.widths, wrapped_bboxes.heights  # (N,) each, in pixels
        area_ratio = widths * heights / (origin_bboxes.widths * origin_bboxes.heights + 1e-16)
        aspect_ratio = (widths / (heights + 1e-16)).maximum(heights / (widths + 1e-16))
        return (
            (widths > self.min_bbox_size)
            & (heights > self.min_bbox_size)
            & (area_ratio > self.min_area_ratio)
            & (aspect_ratio < self.max_aspect_ratio)
        )

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}(max_rotate_degree={self.max_rotate_degree}, '
            f'max_translate_ratio={self.max_translate_ratio}, scaling_ratio_range={self.scaling_ratio_range}, '
            f'max_shear_degree={self.max_shear_degree}, border={self.border}, border_val={self.border_val}, '
            f'bbox_clip_border={self.bbox_clip_border}, min_bbox_size={self.min_bbox_size}, '
            f'min_area_ratio={self.min_area_ratio}, max_aspect_ratio={self.max_aspect_ratio})'
        )


def _visible_extent(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the box (4,) xyxy around the points (n, 2) that lie in the image; zeros if there are none."""
    x, y = points.T  # (n,) each
    inside = (x >= 0) & (y >= 0) & (x <= width) & (y <= height)
    x, y = x[inside], y[inside]
    if not x.any():
        return np.zeros(4, dtype=np.float32)
    return np.array([x.min(), y.min(), x.max(), y.max()], dtype=np.float32)
