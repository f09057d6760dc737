"""Random sizes and crops as DETR and ViDT train with them; pixels are those of PIL, which smooths when it shrinks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.registry import TRANSFORMS
from PIL import Image

DIVISOR = 16  # both sides become multiples of it


def resized_shape(
    height: int, width: int, size: int, max_size: int | None = None, divisor: int = DIVISOR
) -> tuple[int, int]:
    """Return height and width after a resize.

    Args:
        height: Before.
        width: Before.
        size: Of the short side.
        max_size: The long side is at most so long, which may make the short one shorter; None for no limit.
        divisor: Both sides are rounded down to a multiple of it, and are at least it.

    Returns:
        Height and width. The aspect ratio changes by up to a divisor on each side.
    """
    short, long = sorted((height, width))
    if max_size is not None and long / short * size > max_size:
        size = round(max_size * short / long)
    other = int(size * long / short) if size else max_size  # of a line, whose short side would be nothing
    sides = {True: size, False: other}
    return tuple(max(side // divisor * divisor, divisor) for side in (sides[height <= width], sides[height > width]))


@TRANSFORMS.register_module()
class ViDTResize(BaseTransform):
    """Resize the short side to one of several lengths.

    Required and changed: img, and gt_bboxes and gt_masks where they are. Added: img_shape, scale, scale_factor.

    Args:
        sizes: Lengths of the short side, one of which is drawn; or one length.
        max_size: See `resized_shape`.
    """

    def __init__(self, sizes: int | Sequence[int], max_size: int | None = None) -> None:
        self.sizes = [sizes] if isinstance(sizes, int) else list(sizes)
        self.max_size = max_size

    @cache_randomness
    def _draw(self) -> int:
        return self.sizes[np.random.randint(len(self.sizes))] if len(self.sizes) > 1 else self.sizes[0]

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Resize a sample."""
        shape = resized_shape(*results['img'].shape[:2], self._draw(), self.max_size)
        return _resize_and_crop(results, shape, (0, 0, *shape))


@TRANSFORMS.register_module()
class ViDTRandomSizeCrop(BaseTransform):
    """Cut out a rectangle of random size and place; objects that it touches stay, cut off at its edges.

    Required and changed: img, and gt_bboxes, gt_bboxes_labels, gt_ignore_flags and gt_masks where they are. Added:
    img_shape, scale, scale_factor.

    Args:
        min_size: Each side is at least so long, unless the image is smaller.
        max_size: And at most so long.
        sizes: The short side is resized to one of these before; only what is cut out is computed.
    """

    def __init__(self, min_size: int, max_size: int, sizes: Sequence[int] | None = None) -> None:
        self.min_size = min_size
        self.max_size = max_size
        self.sizes = sizes

    @cache_randomness
    def _draw_size(self) -> int:
        return self.sizes[np.random.randint(len(self.sizes))]

    @cache_randomness
    def _draw_crop(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Return top, left, height and width."""
        sides = [
            np.random.randint(min(self.min_size, side), min(side, self.max_size) + 1) for side in (width, height)
        ]  # fmt: skip
        w, h = sides
        return np.random.randint(height - h + 1), np.random.randint(width - w + 1), h, w

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Crop a sample."""
        shape = results['img'].shape[:2]
        if self.sizes is not None:
            shape = resized_shape(*shape, self._draw_size())
        return _resize_and_crop(results, shape, self._draw_crop(*shape))


def _resize_and_crop(
    results: dict[str, Any], shape: tuple[int, int], crop: tuple[int, int, int, int]
) -> dict[str, Any]:
    """Resize a sample to a shape and keep a part of that.

    Args:
        results: The sample.
        shape: Height and width of the whole after the resize.
        crop: Top, left, height and width of the part, in pixels after the resize.

    Returns:
        The sample, changed.
    """
    top, left, height, width = crop
    before = results['img'].shape[:2]
    results['img'] = _resize_part(results['img'], shape, crop)
    results['img_shape'] = (height, width)
    results['scale'] = (shape[1], shape[0])
    results['scale_factor'] = (shape[1] / before[1], shape[0] / before[0])
    is_cut = (height, width) != tuple(shape)
    if 'gt_masks' in results:
        if before != tuple(shape):
            results['gt_masks'] = results['gt_masks'].resize(shape)
        if is_cut:
            results['gt_masks'] = results['gt_masks'].crop(np.array([left, top, left + width, top + height]))
    if 'gt_bboxes' in results:
        boxes = results['gt_bboxes']
        boxes.rescale_(results['scale_factor'])
        if is_cut:
            boxes.translate_((-left, -top))
            boxes.clip_((height, width))
            _keep_objects(results, ((boxes.widths > 0) & (boxes.heights > 0)).numpy())
    return results


def _resize_part(image: np.ndarray, shape: tuple[int, int], crop: tuple[int, int, int, int]) -> np.ndarray:
    """Return a part of an image that is resized to a shape; the same pixels as of the whole, without computing it."""
    top, left, height, width = crop
    if image.shape[:2] == tuple(shape):
        return np.ascontiguousarray(image[top : top + height, left : left + width])
    y, x = (old / new for old, new in zip(image.shape[:2], shape))
    region = (left * x, top * y, min((left + width) * x, image.shape[1]), min((top + height) * y, image.shape[0]))
    part = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR, box=region)
    return np.array(part)  # a copy, which may be written to


def _keep_objects(results: dict[str, Any], keep: np.ndarray) -> None:
    for key in ('gt_bboxes', 'gt_bboxes_labels', 'gt_ignore_flags', 'gt_masks'):
        if key in results:
            results[key] = results[key][keep]
