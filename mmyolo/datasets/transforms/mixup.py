"""MixUp: two images blended into one, with the boxes of both."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from mmdet.structures.bbox import BaseBoxes
from mmengine.dataset import BaseDataset
from numpy import random

from mmyolo.registry import TRANSFORMS

from .base_mix import BaseMixImageTransform
from .draw_tiles import flip_matrix, stretch_matrix
from .keypoint_structure import Keypoints
from .masks import Masks, join_masks, scale_masks, shift_masks
from .tiles import Layout, fit_size, resize_to

ROWS = 16  # that are blended at a time: the double precision numbers of a whole image do not stay near the processor


class _MixUp(BaseMixImageTransform):
    """One further image."""

    num_images = 2

    def get_indexes(self, dataset: BaseDataset | list) -> int:
        """Draw an index.

        Args:
            dataset: The data set or the cache.

        Returns:
            The index.
        """
        return random.randint(0, len(dataset))


@TRANSFORMS.register_module()
class YOLOv5MixUp(_MixUp):
    """Blends two images of one size with a ratio drawn from a beta distribution (mixup, section 2; YOLOv5).

    Args:
        alpha: Of the beta distribution.
        beta: Of the beta distribution.
        pre_transform: See BaseMixImageTransform, as are the remaining arguments.
    """

    def __init__(
        self,
        alpha: float = 32.0,
        beta: float = 32.0,
        pre_transform: Sequence[dict] = None,
        prob: float = 1.0,
        use_cached: bool = False,
        max_cached_images: int = 20,
        random_pop: bool = True,
        max_refetch: int = 15,
    ) -> None:
        super().__init__(
            pre_transform=pre_transform,
            prob=prob,
            use_cached=use_cached,
            max_cached_images=max_cached_images,
            random_pop=random_pop,
            max_refetch=max_refetch,
        )
        self.alpha = alpha
        self.beta = beta

    def draw_ratio(self) -> float:
        """Draw the share of the first image; near 0.5, so that both stay visible."""
        return random.beta(self.alpha, self.beta)

    def mix_img_transform(self, results: dict) -> dict:
        """Blend.

        Args:
            results: With `mix_results` of one image of the same size.

        Returns:
            The results with the blended `img` (uint8, truncated) and the annotations of both.
        """
        return self.blend(results, results['mix_results'][0], self.draw_ratio())

    @staticmethod
    def blend(results: dict, other: dict, ratio: float) -> dict:
        """Blend two images.

        Args:
            results: Of the first; gets the blended `img` and the annotations of both.
            other: Of the second, of the same size.
            ratio: Share of the first.

        Returns:
            The results.
        """
        image, other_image = results['img'], other['img']
        assert image.shape == other_image.shape, (
            f'YOLOv5MixUp blends images of one size, not {image.shape} and {other_image.shape}: '
            'put it behind the affine transform'
        )
        mixed = np.empty(image.shape, dtype=np.uint8)  # (H, W, C)
        for start in range(0, len(image), ROWS):
            part = slice(start, start + ROWS)
            mixed[part] = image[part] * ratio + other_image[part] * (1 - ratio)  # truncated
        results['img'] = mixed
        results['img_shape'] = image.shape
        boxes = results['gt_bboxes']
        results['gt_bboxes'] = boxes.cat((boxes, other['gt_bboxes']), dim=0)
        for key in ('gt_bboxes_labels', 'gt_ignore_flags'):
            results[key] = np.concatenate((results[key], other[key]))
        if 'gt_masks' in results:
            results['gt_masks'] = join_masks([results['gt_masks'], other['gt_masks']])
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(alpha={self.alpha}, beta={self.beta}, prob={self.prob})'


class Window(NamedTuple):
    """The part of the other image that YOLOXMixUp blends.

    Args:
        jitter: What the letterboxed image is scaled by.
        flip: Whether it is then flipped.
        scaled_shape: Its (h, w) then.
        corner: (x, y) of the window in it.
        shape: (h, w) of the window.
    """

    jitter: float
    flip: bool
    scaled_shape: tuple[int, int]
    corner: tuple[int, int]
    shape: tuple[int, int]


@TRANSFORMS.register_module()
class YOLOXMixUp(_MixUp):
    """Blends an image half and half with a scaled, flipped and cropped other one (YOLOX, section 2.1).

    Args:
        img_scale: (width, height) that the other image is letterboxed to first.
        ratio_range: Range of the factor that it is then scaled by.
        flip_ratio: The other image is flipped unless a uniform number is at most this.
        pad_val: Padding of the other image, a value or one for each channel.
        bbox_clip_border: Clip its boxes to the image; otherwise drop the ones outside.
        pre_transform: See BaseMixImageTransform, as are the remaining arguments.
    """

    def __init__(
        self,
        img_scale: tuple[int, int] = (640, 640),
        ratio_range: tuple[float, float] = (0.5, 1.5),
        flip_ratio: float = 0.5,
        pad_val: float | Sequence[float] = 114.0,
        bbox_clip_border: bool = True,
        pre_transform: Sequence[dict] = None,
        prob: float = 1.0,
        use_cached: bool = False,
        max_cached_images: int = 20,
        random_pop: bool = True,
        max_refetch: int = 15,
    ) -> None:
        super().__init__(
            pre_transform=pre_transform,
            prob=prob,
            use_cached=use_cached,
            max_cached_images=max_cached_images,
            random_pop=random_pop,
            max_refetch=max_refetch,
        )
        self.img_scale = self._check_scale(img_scale)
        self.ratio_range = ratio_range
        self.flip_ratio = flip_ratio
        self.pad_val = pad_val
        self.bbox_clip_border = bbox_clip_border

    def mix_img_transform(self, results: dict) -> dict:
        """Blend.

        Args:
            results: With `mix_results` of one image.

        Returns:
            The results with the blended `img` (uint8, truncated) and the annotations of both; unchanged if the other
            image has no boxes.
        """
        other = results['mix_results'][0]
        if len(other['gt_bboxes']) == 0:
            return results
        window = self.draw(results['img'].shape[:2])
        image, ratio = self._scaled(other['img'], window)  # (H * jitter, W * jitter, C)
        if window.flip:
            image = cv2.flip(image, 1)
        return self.blend(results, dict(other, img=self._crop(image, window)), ratio, window)

    def draw(self, shape: tuple[int, int]) -> Window:
        """Draw how the other image is scaled, flipped and cropped.

        Args:
            shape: (h, w) of the image.
        """
        jitter = random.uniform(*self.ratio_range)
        flip = random.uniform(0, 1) > self.flip_ratio
        width, height = self.img_scale
        scaled_shape = (max(int(height * jitter), 1), max(int(width * jitter), 1))
        y, x = (random.randint(0, scaled - side) if scaled > side else 0 for scaled, side in zip(scaled_shape, shape))
        return Window(jitter, flip, scaled_shape, (x, y), shape)

    def lay_out(self, shape: tuple[int, int], window: Window) -> tuple[Layout, np.ndarray]:
        """Find where the window shows an image.

        Args:
            shape: (h, w) of the other image.
            window: As drawn.

        Returns:
            The letterbox, and the (3, 3) from its pixels to those of the window.
        """
        size, ratio = fit_size(shape, self.img_scale)
        canvas = self.img_scale[::-1]
        matrix = flip_matrix('horizontal' if window.flip else None, window.scaled_shape) @ stretch_matrix(
            canvas, window.scaled_shape
        )
        matrix[:2, 2] -= window.corner
        return Layout(canvas, [ratio], [size], [(0, 0)]), matrix

    def blend(self, results: dict, other: dict, ratio: float, window: Window) -> dict:
        """Blend two images.

        Args:
            results: Of the first; gets the blended `img` and the annotations of both.
            other: Of the second, with the window as `img` and annotations in its own pixels, which stay as they are.
            ratio: What the second is scaled by to be letterboxed.
            window: As drawn.

        Returns:
            The results.
        """
        image, other_image = results['img'], other['img']
        if image.dtype == np.uint8:
            results['img'] = (image & other_image) + ((image ^ other_image) >> 1)  # the mean, truncated
        else:
            results['img'] = (0.5 * image.astype(np.float32) + 0.5 * other_image.astype(np.float32)).astype(np.uint8)
        results['img_shape'] = results['img'].shape

        where = (ratio * window.jitter, window.flip, window.scaled_shape, window.corner, window.shape)
        boxes = other['gt_bboxes'].clone()
        self._move_(boxes, *where)
        boxes = boxes.cat((results['gt_bboxes'], boxes), dim=0)
        keep = slice(None) if self.bbox_clip_border else boxes.is_inside(window.shape).numpy()
        if 'gt_keypoints' in results:
            keypoints = other['gt_keypoints'].clone()
            self._move_(keypoints, *where)
            results['gt_keypoints'] = keypoints.cat((results['gt_keypoints'], keypoints))[keep]
        if 'gt_masks' in results:
            masks = join_masks([results['gt_masks'], self._moved_masks(other['gt_masks'], *where)])
            results['gt_masks'] = masks[keep]
        results['gt_bboxes'] = boxes[keep]
        for key in ('gt_bboxes_labels', 'gt_ignore_flags'):
            results[key] = np.concatenate((results[key], other[key]))[keep]
        return results

    def _move_(
        self,
        objects: BaseBoxes | Keypoints,
        scale: float,
        flip: bool,
        scaled_shape: tuple[int, int],
        corner: tuple[int, int],
        shape: tuple[int, int],
    ) -> None:
        """Move boxes or keypoints as the other image is: scaled, flipped, cropped to `shape` at `corner` (x, y)."""
        objects.rescale_((scale, scale))
        if self.bbox_clip_border:
            objects.clip_(scaled_shape)
        if flip:
            objects.flip_(scaled_shape, direction='horizontal')
        objects.translate_((-corner[0], -corner[1]))
        if self.bbox_clip_border:
            objects.clip_(shape)

    @staticmethod
    def _moved_masks(
        masks: Masks,
        scale: float,
        flip: bool,
        scaled_shape: tuple[int, int],
        corner: tuple[int, int],
        shape: tuple[int, int],
    ) -> Masks:
        """As `_move_`, of masks; what lies outside is always cut off."""
        size = tuple(max(int(side * scale), 1) for side in (masks.height, masks.width))
        masks = shift_masks(scale_masks(masks, scale, size), scaled_shape, 0, 0)
        if flip:
            masks = masks.flip()
        return shift_masks(masks, shape, -corner[0], -corner[1])

    def _scaled(self, image: np.ndarray, window: Window) -> tuple[np.ndarray, float]:
        """Letterbox to the upper left of `img_scale`, then scale the whole; give the letterbox's ratio too."""
        size, ratio = fit_size(image.shape[:2], self.img_scale)
        image = resize_to(image, size)
        width, height = self.img_scale
        canvas = np.full((height, width) + image.shape[2:], self.pad_val, dtype=np.float32)  # (H, W, C)
        canvas[: image.shape[0], : image.shape[1]] = image
        return cv2.resize(canvas, window.scaled_shape[::-1], interpolation=cv2.INTER_LINEAR), ratio

    def _crop(self, image: np.ndarray, window: Window) -> np.ndarray:
        """Pad to the shape of the window at least and crop it."""
        (h, w), (x, y) = window.shape, window.corner
        height, width = max(image.shape[0], h), max(image.shape[1], w)
        padded = np.full((height, width) + image.shape[2:], self.pad_val, dtype=np.uint8)
        padded[: image.shape[0], : image.shape[1]] = image
        return padded[y : y + h, x : x + w]

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}(img_scale={self.img_scale}, ratio_range={self.ratio_range}, '
            f'flip_ratio={self.flip_ratio}, pad_val={self.pad_val}, prob={self.prob})'
        )
