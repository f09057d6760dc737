"""From polygons to the low-resolution masks that instance heads train on.

Unlike the public release, parts of an instance may have different numbers of points, and the flags of ignored instances
are put in the same order as their boxes.
"""

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.structures.mask import PolygonMasks

from mmyolo.errors import ArgumentTypeError
from mmyolo.registry import TRANSFORMS

from .polygons import fill_polygons


@TRANSFORMS.register_module()
class Polygon2Mask(BaseTransform):
    """Draws the polygons of an image.

    Args:
        downsample_ratio: how many times smaller than the image masks are.
        mask_overlap: Draw all instances into one map of numbers, smaller ones on top; otherwise a map for each.
        coco_style: Without effect, as in public mmyolo.
    """

    def __init__(self, downsample_ratio: int = 4, mask_overlap: bool = True, coco_style: bool = False) -> None:
        self.downsample_ratio = downsample_ratio
        self.mask_overlap = mask_overlap
        self.coco_style = coco_style

    def transform(self, results: dict) -> dict:
        """Draw.

        Args:
            results: Has `img` (H, W, C) or `img_shape`, `gt_masks` (polygons), `gt_bboxes` and `gt_bboxes_labels`; may
                have `gt_ignore_flags`.

        Returns:
            With `mask_overlap` the results without `gt_masks` but with `gt_panoptic_seg` (1, h, w), 0 for background
            and from 1 the number of the instance, uint8 or, above 255 instances, int32; instances are sorted by area,
            largest first. Otherwise with `gt_masks` (N, h, w) uint8, in the given order.
        """
        polygons = results['gt_masks']
        if not isinstance(polygons, PolygonMasks):
            raise ArgumentTypeError(
                f'Polygon2Mask draws polygons, not {type(polygons).__name__}: load masks with poly2mask=False'
            )
        height, width = results['img_shape'][:2]
        masks = self.polygons2masks((height, width), polygons)
        if not self.mask_overlap:
            results['gt_masks'] = torch.from_numpy(masks)
            return results

        order = np.argsort(-masks.sum(axis=(1, 2), dtype=np.int64), kind='stable')
        numbers = np.zeros((1, *masks.shape[1:]), dtype=np.int32 if len(masks) > 255 else np.uint8)
        for number, index in enumerate(order, 1):
            numbers[0][masks[index] > 0] = number
        for key in ('gt_bboxes', 'gt_bboxes_labels', 'gt_ignore_flags'):
            if key in results:
                results[key] = results[key][order]
        results.pop('gt_masks')
        results['gt_panoptic_seg'] = torch.from_numpy(numbers)
        return results

    def polygons2masks(self, img_shape: tuple, polygons: PolygonMasks) -> np.ndarray:
        """Draw each instance into a map of its own.

        Args:
            img_shape: Height and width of the image.
            polygons: N instances.

        Returns:
            (N, height // downsample_ratio, width // downsample_ratio) uint8, 0 or 1.
        """
        height, width = img_shape[0] // self.downsample_ratio, img_shape[1] // self.downsample_ratio
        masks = np.zeros((len(polygons), height, width), dtype=np.uint8)
        for mask, parts in zip(masks, polygons.masks):
            full = fill_polygons([parts], *img_shape)
            mask[:] = cv2.resize(full, (width, height), interpolation=cv2.INTER_LINEAR)
        return masks

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(downsample_ratio={self.downsample_ratio}, mask_overlap={self.mask_overlap}, '
            f'coco_style={self.coco_style})'
        )
