"""Where transforms that resize an image and pad it put it and its boxes, apart from the pixels."""

from collections.abc import Sequence
from numbers import Number
from typing import Any

import mmcv
import numpy as np
from mmcv.transforms import Pad
from mmdet.datasets.transforms import Resize

from .boxes import rescale_and_translate_
from .draw_tiles import Pixel
from .resize import LetterResize, YOLOv5KeepRatioResize
from .tiles import Layout


def pixel_of(value: Any) -> Pixel:
    """Return the BGR that OpenCV makes of a colour.

    Args:
        value: Three numbers; a lone one is that of the first channel, the others are 0.
    """
    values = [value, 0, 0] if isinstance(value, Number) else list(value)
    return tuple(int(np.clip(np.rint(one), 0, 255)) for one in values[:3])


class Letterbox:
    """Resizes that may be followed by a padding; none of them leaves the image as it is.

    Args:
        steps: YOLOv5KeepRatioResize, Resize and LetterResize, then LetterResize or Pad.
    """

    def __init__(self, steps: Sequence[Resize | Pad]) -> None:
        self.steps = steps
        self.pad: Pixel | None = None
        """BGR beside the image; None without padding."""
        for step in steps:
            if isinstance(step, (LetterResize, Pad)):
                value = step.pad_val.get('img', 0)
                self.pad = pixel_of((value,) * 3 if isinstance(value, int) else value)

    def lay_out(self, shape: tuple[int, int]) -> Layout:
        """Put an image on a canvas.

        Args:
            shape: (h, w) of the image.

        Returns:
            Where it lies.
        """
        size, canvas, (left, top) = shape, shape, (0, 0)
        for step in self.steps:
            if isinstance(step, YOLOv5KeepRatioResize):
                size, _ = step.new_size(size)
            elif isinstance(step, LetterResize):
                size, (pad_h, pad_w) = step.size_and_padding(size, step.scale[::-1])
                left, top = pad_w // 2, pad_h // 2
                canvas = (size[0] + pad_h, size[1] + pad_w)
                continue
            elif isinstance(step, Resize):
                size = resized(step, size)
            else:
                canvas = _padded(step, size)
                continue
            canvas = size
        return Layout(canvas, [min(size[0] / shape[0], size[1] / shape[1])], [size], [(left, top)])

    def place_annotations(self, results: dict, shape: tuple[int, int], layout: Layout) -> dict:
        """Move boxes with their image.

        Args:
            results: Of the image, with `gt_bboxes` in its pixels; they stay as they are.
            shape: (h, w) of the image.
            layout: Where it lies.

        Returns:
            New results.
        """
        results = dict(results, gt_bboxes=results['gt_bboxes'].clone())
        if self.steps:
            (size,), (corner,) = layout.sizes, layout.corners
            clip, alone = self.steps[0].clip_object_border, isinstance(self.steps[0], LetterResize)
            resize_boxes(results, (size[1] / shape[1], size[0] / shape[0]), size, clip and not alone)
            rescale_and_translate_(results['gt_bboxes'], (1, 1), corner)
            if clip and alone:  # which clips to the canvas, not to the image
                results['gt_bboxes'].clip_(layout.shape)
        return results


def resized(step: Resize, shape: tuple[int, int]) -> tuple[int, int]:
    """Return the (h, w) that a Resize gives an image of (h, w).

    Args:
        step: With `scale` (width, height).
        shape: (h, w) of the image.
    """
    size = mmcv.rescale_size(shape[::-1], step.scale) if step.keep_ratio else step.scale
    return size[1], size[0]


def resize_boxes(results: dict, factor: tuple[float, float], size: tuple[int, int], clip: bool) -> None:
    """Resize boxes with their image, in place.

    Args:
        results: Has `gt_bboxes`; gets `scale_factor` too.
        factor: Of x and y.
        size: (h, w) that the image gets.
        clip: Clip the boxes to the image.
    """
    results['scale_factor'] = factor
    rescale_and_translate_(results['gt_bboxes'], factor)
    if clip:
        results['gt_bboxes'].clip_(size)


def _padded(step: Pad, shape: tuple[int, int]) -> tuple[int, int]:
    """Return the (h, w) that Pad gives an image of (h, w)."""
    if step.pad_to_square:
        shape = (max(shape), max(shape))
    if step.size_divisor is not None:
        return tuple(-(-side // step.size_divisor) * step.size_divisor for side in shape)
    return shape if step.size is None else tuple(map(max, shape, step.size[::-1]))
