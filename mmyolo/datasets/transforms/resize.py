"""Bringing an image to the input size: resize with the aspect ratio kept, then pad ("letterbox").

Differs from mmyolo 0.6.0 on purpose: a side of a thin image becomes 1 pixel, not 0, here and in `mmdet.Resize` (see
thin_images.py). In LetterResize: `pad_val` may be a plain number; a segmentation map is padded
too, with `pad_val['seg']`; `homography_matrix` holds the shift by the padding; `scale_factor` of YOLOv5KeepRatioResize
is relative to the file even if the image came already resized.
"""

from collections.abc import Sequence
from numbers import Number

import cv2
import mmcv
import numpy as np
from mmdet.datasets.transforms import Resize as MMDETResize
from mmdet.structures.bbox import autocast_box_type
from mmdet.structures.mask import BitmapMasks

from mmyolo.errors import ArgumentTypeError
from mmyolo.registry import TRANSFORMS

from .masks import shift_masks


@TRANSFORMS.register_module()
class Resize(MMDETResize):
    """mmdet's Resize that scales keypoints too."""

    def _resize_bboxes(self, results: dict) -> None:
        super()._resize_bboxes(results)
        keypoints = results.get('gt_keypoints')
        if keypoints is not None:
            keypoints.rescale_(results['scale_factor'])
            if self.clip_object_border:
                keypoints.clip_(results['img_shape'])


@TRANSFORMS.register_module()
class YOLOv5KeepRatioResize(MMDETResize):
    """Resizes the image to the largest size that fits in `scale`.

    Shrinks by area, enlarges bilinearly, and truncates the new sides to whole pixels.

    Args:
        scale: (width, height) in pixels, or one number for both.
        keep_ratio: Only True.
        **kwargs: Of mmdet's Resize.
    """

    def __init__(self, scale: int | tuple[int, int], keep_ratio: bool = True, **kwargs) -> None:
        assert keep_ratio is True, 'YOLOv5KeepRatioResize keeps the aspect ratio: use mmdet.Resize for keep_ratio=False'
        super().__init__(scale=scale, keep_ratio=True, **kwargs)

    def _resize_img(self, results: dict) -> None:
        assert self.keep_ratio is True, 'YOLOv5KeepRatioResize needs keep_ratio=True'
        image = results.get('img')
        if image is None:
            return
        height, width = image.shape[:2]
        size, ratio = self.new_size((height, width))
        if ratio != 1:
            image = mmcv.imresize(
                image, size[::-1], interpolation='area' if ratio < 1 else 'bilinear', backend=self.backend
            )
        results['img'] = image
        results['img_shape'] = image.shape[:2]
        results['scale_factor'] = (image.shape[1] / width, image.shape[0] / height)

    def new_size(self, shape: tuple[int, int]) -> tuple[tuple[int, int], float]:
        """Return the (h, w) that an image of (h, w) gets, and the ratio before truncation.

        Args:
            shape: (h, w) of the image.
        """
        height, width = shape
        ratio = min(max(self.scale) / max(height, width), min(self.scale) / min(height, width))
        return (max(int(height * ratio), 1), max(int(width * ratio), 1)), ratio

    def _resize_masks(self, results: dict) -> None:
        masks = results.get('gt_masks')
        if isinstance(masks, BitmapMasks):  # mmdet would round their sides, while those of the image are truncated
            results['gt_masks'] = masks.resize(results['img_shape'])
        else:
            super()._resize_masks(results)

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Resize the image and its annotations.

        Args:
            results: Has `img`; may have `gt_bboxes`, `gt_masks`, `gt_seg_map` and `scale_factor` of an earlier
                resize.

        Returns:
            The results with `img`, `img_shape` (h, w), `scale_factor` (w, h) relative to the file, `homography_matrix`
            and the annotations in the new pixels.
        """
        before = results.pop('scale_factor', (1.0, 1.0))
        results = super().transform(results)
        factor = results['scale_factor']
        results['scale_factor'] = (factor[0] * before[0], factor[1] * before[1])
        return results


@TRANSFORMS.register_module()
class LetterResize(MMDETResize):
    """Resizes the image to fit into `scale` and pads it to exactly that size, in the middle.

    With `batch_shape` (h, w) in the results that is the target instead of `scale`.

    Args:
        scale: (width, height) in pixels, or one number for both.
        pad_val: Padding of the image, the mask and the segmentation map; a number, or one for each channel, sets that
            of the image. A whole number pads all channels with it. A float pads the first channel with it and the
            others with 0, which is what public checkpoints were trained with where a config says 114.0.
        use_mini_pad: Pad to the next multiple of 32 only.
        stretch_only: Resize both sides to the target, pad nothing.
        allow_scale_up: Enlarge small images; False only shrinks.
        half_pad_param: Record the padding as halves, which need not be whole numbers.
        **kwargs: Of mmdet's Resize.
    """

    def __init__(
        self,
        scale: int | tuple[int, int],
        pad_val: Number | Sequence[Number] | dict = {'img': 0, 'mask': 0, 'seg': 255},
        use_mini_pad: bool = False,
        stretch_only: bool = False,
        allow_scale_up: bool = True,
        half_pad_param: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(scale=scale, keep_ratio=True, **kwargs)
        if isinstance(pad_val, (Number, list, tuple)):
            pad_val = {'img': pad_val}
        if not isinstance(pad_val, dict):
            raise ArgumentTypeError(
                f'LetterResize: pad_val is a number, three numbers or a dict with img, mask and seg, not {pad_val!r}'
            )
        self.pad_val = {'img': 0, 'mask': 0, 'seg': 255, **pad_val}
        self.use_mini_pad = use_mini_pad
        self.stretch_only = stretch_only
        self.allow_scale_up = allow_scale_up
        self.half_pad_param = half_pad_param

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Letterbox the image and its annotations.

        Args:
            results: Has `img`; may have `batch_shape`, `gt_bboxes`, `gt_masks`, `gt_seg_map`, and
                `scale_factor` and `pad_param` of an earlier resize.

        Returns:
            The results with `img`, `img_shape` (h, w, c), `scale_factor` (w, h) relative to the file, `pad_param`
            float32 [top, bottom, left, right] in pixels, `scale`, `homography_matrix` and the moved annotations.
        """
        image = results['img']
        height, width = image.shape[:2]
        target = tuple(results['batch_shape']) if 'batch_shape' in results else self.scale[::-1]
        size, (pad_h, pad_w) = self.size_and_padding((height, width), target)
        top, left = pad_h // 2, pad_w // 2
        borders = (top, pad_h - top, left, pad_w - left)
        factor = (size[1] / width, size[0] / height)  # what the sides really got, after rounding to whole pixels

        if size != (height, width):
            image = mmcv.imresize(image, size[::-1], interpolation=self.interpolation, backend=self.backend)
        image = _pad(image, borders, self.pad_val['img'])
        results['img'] = image
        results['img_shape'] = image.shape
        results['scale'] = tuple(target)[::-1]
        results['keep_ratio'] = self.keep_ratio
        self._move_annotations(results, size, factor, borders)

        shift = np.array([[factor[0], 0, left], [0, factor[1], top], [0, 0, 1]], dtype=np.float32)  # (3, 3)
        earlier = results.get('homography_matrix')
        results['homography_matrix'] = shift if earlier is None else shift @ earlier
        self._record_padding(results, size, borders, (height, width))
        before = results.get('scale_factor', (1.0, 1.0))
        results['scale_factor'] = (before[0] * factor[0], before[1] * factor[1])
        return results

    def size_and_padding(self, shape: tuple[int, int], target: tuple[int, int]) -> tuple[tuple, tuple]:
        """Return what becomes of an image.

        Args:
            shape: (h, w) of the image.
            target: (h, w) to fit into.

        Returns:
            Both (h, w): the size to resize to, and the padding in all.
        """
        ratio = min(target[0] / shape[0], target[1] / shape[1])
        if not self.allow_scale_up:
            ratio = min(ratio, 1.0)
        size = (max(int(round(shape[0] * ratio)), 1), max(int(round(shape[1] * ratio)), 1))
        padding = (int(target[0]) - size[0], int(target[1]) - size[1])
        if self.use_mini_pad:
            return size, (padding[0] % 32, padding[1] % 32)
        if self.stretch_only:
            return (int(target[0]), int(target[1])), (0, 0)
        return size, padding

    def _move_annotations(self, results: dict, size: tuple, factor: tuple, borders: tuple) -> None:
        top, _, left, _ = borders
        shape = results['img_shape'][:2]
        boxes = results.get('gt_bboxes')
        if boxes is not None:
            boxes.rescale_(factor)
            boxes.translate_((left, top))
            if self.clip_object_border:
                boxes.clip_(shape)
        masks = results.get('gt_masks')
        if masks is not None:
            results['gt_masks'] = shift_masks(masks.resize(size), shape, left, top, self.pad_val['mask'])
        seg_map = results.get('gt_seg_map')
        if seg_map is not None:
            seg_map = mmcv.imresize(seg_map, size[::-1], interpolation='nearest', backend=self.backend)
            results['gt_seg_map'] = _pad(seg_map, borders, self.pad_val['seg'])

    def _record_padding(self, results: dict, size: tuple, borders: tuple, shape: tuple) -> None:
        if self.half_pad_param:
            half_h, half_w = sum(borders[:2]) / 2, sum(borders[2:]) / 2
            borders = (half_h, half_h, half_w, half_w)
        padding = np.array(borders, dtype=np.float32)
        if 'pad_param' in results:
            ratio_h, ratio_w = size[0] / shape[0], size[1] / shape[1]
            # Padding of an earlier step has been resized with the image.
            padding += results['pad_param'] * np.array([ratio_h, ratio_h, ratio_w, ratio_w], dtype=np.float32)
        results['pad_param'] = padding

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}(scale={self.scale}, pad_val={self.pad_val}, '
            f'use_mini_pad={self.use_mini_pad}, stretch_only={self.stretch_only}, '
            f'allow_scale_up={self.allow_scale_up}, half_pad_param={self.half_pad_param})'
        )


def _pad(image: np.ndarray, borders: tuple, value: Number | tuple[Number, ...]) -> np.ndarray:
    """Pad (top, bottom, left, right) pixels; OpenCV reads a lone number as the value of the first channel."""
    if not any(borders):
        return image
    if isinstance(value, int) and image.ndim == 3:
        value = (value,) * image.shape[2]
    return cv2.copyMakeBorder(image, *borders, cv2.BORDER_CONSTANT, value=value)
