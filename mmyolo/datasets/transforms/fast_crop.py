"""The recipe of PPYOLOE as one transform.

It stands for this part of a public pipeline, with the same arguments and the same random numbers in the same order, and
gives the same pixels::

    LoadImageFromFile, LoadAnnotations, PPYOLOERandomDistort, Expand, PPYOLOERandomCrop, RandomFlip

Expand puts the image on a canvas of up to 16 times its area, in float32, most of which the crop then removes. Here the
crop is drawn first, and only what is seen is coloured, straight into a canvas of the crop's size whose channels lie one
behind the other, as the network takes them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from mmcv.transforms import BaseTransform, Compose
from mmdet.datasets.transforms import Expand
from mmdet.structures.bbox import autocast_box_type

from mmyolo.registry import TRANSFORMS

from .boxes import rescale_and_translate_
from .fast_image import ColourAndFlip, build
from .flip import FLIP_CODES
from .ppyoloe_crop import crop_annotations
from .ppyoloe_distort import transform_colours


class Canvas(NamedTuple):
    """What an image becomes a part of.

    Args:
        shape: (h, w).
        corner: (x, y) of the image on it.
        colours: (3, 4) numbers, what to multiply BGR of the image by, and what to add.
        mean: BGR beside the image.
    """

    shape: tuple[int, int]
    corner: tuple[int, int]
    colours: list[list[float]]
    mean: list[float]


@TRANSFORMS.register_module()
class FastCrop(BaseTransform):
    """Loads an image, changes its colours, expands, crops and flips it.

    Args:
        pre_transform: Loads the image and its annotations: LoadAnnotations and LoadCachedImage.
        distort: Config of PPYOLOERandomDistort.
        expand: Config of Expand.
        crop: Config of PPYOLOERandomCrop.
        flip: Config of RandomFlip; None for none.
        on_device: Leave colours and canvas to PPYOLOEDetDataPreprocessor: `img` is what is seen of the image, as bytes.
    """

    def __init__(
        self,
        pre_transform: Sequence[dict],
        distort: dict,
        expand: dict,
        crop: dict,
        flip: dict | None = None,
        on_device: bool = False,
    ) -> None:
        self.pre_transform = Compose([build(step) for step in pre_transform])
        self.distort, self.expand, self.crop = build(distort), build(expand), build(crop)
        self.end = ColourAndFlip(None, flip)
        self.on_device = on_device

    @autocast_box_type()
    def transform(self, results: dict) -> dict | None:
        """Load and crop.

        Args:
            results: What the data set says of an image.

        Returns:
            The results with `img` (h, w, 3) float32 BGR, whose values may leave 0 to 255, `img_shape`, the annotations,
            `flip` and `flip_direction`, and with `on_device` `canvas_left`, a Canvas; None, which asks for another
            image, if the `pre_transform` drops this one.
        """
        results = self.pre_transform(results)
        if results is None:
            return None
        image = results['img']
        colours = self.distort.draw()
        shape, (x, y) = draw_canvas(self.expand, image.shape[:2])
        rescale_and_translate_(results['gt_bboxes'], (1, 1), (x, y))
        drawn = self.crop.draw(results, shape)
        window = (0, 0, *shape[::-1])
        if drawn is not None:
            window, keep = drawn
            results = crop_annotations(results, window, keep)
        _, direction = self.end.draw()
        seen, corner = _cut(image, (x, y), window, direction)
        canvas = Canvas(
            (window[3] - window[1], window[2] - window[0]), corner, colours.tolist(), list(self.expand.mean)
        )
        results['img_shape'] = (*canvas.shape, 3)
        results['img'] = seen if self.on_device else _draw(seen, canvas)
        results = self.end.apply(results, None, direction)
        if self.on_device:
            results['canvas_left'] = canvas
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(distort={self.distort}, expand={self.expand}, crop={self.crop}, {self.end})'


def draw_canvas(expand: Expand, shape: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Draw the canvas of Expand.

    Args:
        expand: It.
        shape: (h, w) of the image.

    Returns:
        (h, w) of the canvas and (x, y) of the image on it.
    """
    if expand._random_prob() > expand.prob:
        return shape, (0, 0)
    ratio = expand._random_ratio()
    corner = expand._random_left_top(ratio, *shape)
    return (int(shape[0] * ratio), int(shape[1] * ratio)), corner


def _cut(
    image: np.ndarray, corner: tuple[int, int], window: tuple[int, int, int, int], direction: str | None
) -> tuple[np.ndarray, tuple[int, int]]:
    """Cut out what a window of the canvas shows of an image.

    Args:
        image: (h, w, 3).
        corner: (x, y) of the image on the canvas.
        window: xyxy on the canvas.
        direction: In which to flip the window; None leaves it as it is.

    Returns:
        What is seen of the image, flipped, with a side of 0 if nothing is; and its (x, y) in the flipped window.
    """
    width, height = window[2] - window[0], window[3] - window[1]
    x, y = (_seen(image.shape[1 - axis], corner[axis], window[axis], window[axis + 2]) for axis in (0, 1))
    seen = image[y, x]
    if not seen.size:
        return seen[:0, :0], (0, 0)
    left, top = corner[0] + x.start - window[0], corner[1] + y.start - window[1]
    if direction is not None:
        seen = cv2.flip(seen, FLIP_CODES[direction])
        left = width - left - seen.shape[1] if direction != 'vertical' else left
        top = height - top - seen.shape[0] if direction != 'horizontal' else top
    return seen, (left, top)


def _draw(seen: np.ndarray, canvas: Canvas) -> np.ndarray:
    """Draw a canvas (h, w, 3) float32, in memory (3, h, w)."""
    planes = np.empty((3, *canvas.shape), dtype=np.float32)
    if seen.shape[:2] != canvas.shape:
        planes[:] = np.array(canvas.mean, dtype=np.float32)[:, None, None]
    if seen.size:
        left, top = canvas.corner
        inside = planes[:, top : top + seen.shape[0], left : left + seen.shape[1]]
        transform_colours(seen, np.array(canvas.colours), list(inside))
    return planes.transpose(1, 2, 0)


def _seen(side: int, start: int, low: int, high: int) -> slice:
    """Return the pixels of an image of this side, beginning at `start`, that lie between `low` and `high`."""
    first = min(max(low - start, 0), side)
    return slice(first, min(max(high - start, first), side))
