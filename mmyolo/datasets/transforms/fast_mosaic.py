"""The mosaic recipe of the public configs as one transform that decodes about one image for each sample.

It stands for this part of a public pipeline, with the same arguments and the same random numbers in the same order::

    LoadImageFromFile, LoadAnnotations, Mosaic or Mosaic9, YOLOv5RandomAffine or RandomAffine, YOLOv5MixUp,
    YOLOv5HSVRandomAug, RandomFlip

and is faster because the further images come from those loaded last, large JPEGs are decoded at a fraction of their
size, and each image is warped once, straight to its place (see image_buffer.py, image_loader.py and draw_tiles.py).
Boxes, masks and keypoints are moved by the public transforms themselves, in pixels of the files.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from mmcv.transforms import BaseTransform, Compose
from mmdet.structures.bbox import autocast_box_type
from mmengine.dataset import BaseDataset
from numpy import random

from mmyolo.errors import ConfigConflictError
from mmyolo.registry import TRANSFORMS

from .base_mix import BaseMixImageTransform, FurtherImages
from .draw_tiles import draw_tiles, flip_matrix
from .flip import FLIP_CODES, flip_annotations
from .image_buffer import ImageBuffer
from .mosaic import BaseMosaic
from .random_affine import RandomAffine, Warp, YOLOv5RandomAffine
from .resize_mosaic import resize_mosaic
from .tiles import Layout, stack_annotations


class _Kind(NamedTuple):
    """A mosaic and the warp that follows it."""

    mosaic: BaseMosaic
    affine: YOLOv5RandomAffine | RandomAffine


class _Plan(NamedTuple):
    """A mosaic whose random numbers are drawn.

    Args:
        tiles: What was loaded of each image.
        layout: Where they lie on the mosaic.
        warp: From the mosaic to the result; None if nothing is left of it.
        kind: The transforms that made them.
    """

    tiles: list[dict]
    layout: Layout
    warp: Warp | None
    kind: _Kind


@TRANSFORMS.register_module()
class FastMosaic(FurtherImages, BaseTransform):
    """Loads an image and makes a mosaic with further ones, warped, mixed, coloured and flipped.

    Args:
        pre_transform: Loads an image and its annotations, which stay in pixels of the file: LoadAnnotations, and
            LoadCachedImage with `scale_annotations=False`.
        mosaics: Configs of a mosaic and its warp, as pairs; one is drawn for each sample if there are several.
        probs: Probabilities of the pairs; None if they are equal.
        mixup: Config of YOLOv5MixUp, which takes a second mosaic; None for none.
        hsv: Config of YOLOv5HSVRandomAug; None for none.
        flip: Config of RandomFlip; None for none.
        buffer_images: How many images to keep as further images of later samples. A data set that fits is drawn from as
            a whole; 0 draws from the whole data set in any case.
        buffer_bytes: Most bytes of their pixels.
        max_refetch: See BaseMixImageTransform.
    """

    def __init__(
        self,
        pre_transform: Sequence[dict],
        mosaics: Sequence[Sequence[dict]],
        probs: Sequence[float] | None = None,
        mixup: dict | None = None,
        hsv: dict | None = None,
        flip: dict | None = None,
        buffer_images: int = 128,
        buffer_bytes: int = 128 * 1024**2,
        max_refetch: int = 15,
    ) -> None:
        self.max_refetch = max_refetch
        self.pre_transform = Compose([_build(step) for step in pre_transform])
        self.kinds = [_Kind(*map(_build, pair)) for pair in mosaics]
        self.probs = probs
        self.mixup = _build(mixup)
        self.hsv = _build(hsv)
        self.flip = _build(flip)
        self.buffer = ImageBuffer(buffer_images, buffer_bytes) if buffer_images else None
        self.fill = self._fill()

    def _fill(self) -> int:
        """Return the value of pixels without an image, the same of all transforms."""
        values = {
            float(value) for kind in self.kinds for value in (kind.mosaic.pad_val, *np.ravel(kind.affine.border_val))
        }
        if len(values) != 1:
            raise ConfigConflictError(
                f'FastMosaic fills with one value, but pad_val and border_val of its transforms are {sorted(values)}'
            )
        return int(values.pop())

    @autocast_box_type()
    def transform(self, results: dict) -> dict | None:
        """Load and mix.

        Args:
            results: What the data set says of an image, with `dataset`.

        Returns:
            The results with `img` (h, w, 3) uint8 BGR, `img_shape`, the annotations, `flip` and `flip_direction`; None,
            which asks for another image, if the `pre_transform` drops this one or the border of the warp leaves no
            pixel.
        """
        assert 'dataset' in results, (
            'FastMosaic mixes images of the data set: use a YOLOv5*Dataset outside of test mode, which puts itself '
            'into the results'
        )
        dataset = results.pop('dataset')
        first = self._load_first(dataset, results)
        if first is None:
            return None
        # All random numbers come first, in the order of the public pipeline, since the flip is part of the warp.
        plans, ratio = [self._plan(first, dataset)], None
        if self.mixup is not None and random.uniform(0, 1) <= self.mixup.prob:
            (other,) = self._draw_images(dataset, self.mixup)
            plans.append(self._plan(other, dataset))
            ratio = self.mixup.draw_ratio()
        if any(plan.warp is None for plan in plans):
            return None
        gains = None if self.hsv is None else self.hsv.draw_gains()
        direction = None if self.flip is None else self.flip.draw_direction()

        parts = [_render(plan, direction, self.fill) for plan in plans]
        results = parts[0] if ratio is None else self.mixup.blend(*parts, ratio)
        if gains is not None:
            self.hsv.apply(results, gains)
        if direction is not None:
            flip_annotations(results, direction)
        results.update(flip=direction is not None, flip_direction=direction, dataset=dataset)
        return results

    def _plan(self, first: dict, dataset: BaseDataset) -> _Plan:
        """Draw a mosaic around an image."""
        kind = self.kinds[random.choice(len(self.kinds), p=self.probs) if len(self.kinds) > 1 else 0]
        random.uniform(0, 1)  # with which the public mosaic decides whether to mix at all
        tiles = [first, *self._draw_images(dataset, kind.mosaic)]
        layout = kind.mosaic.lay_out([tile['ori_shape'] for tile in tiles])
        return _Plan(tiles, layout, kind.affine.draw(layout.shape), kind)

    def _draw_images(self, dataset: BaseDataset, mix: BaseMixImageTransform) -> list[dict]:
        """Draw as many further images as a transform takes, from the last ones or from the whole data set."""
        if self.buffer is not None and self.buffer.full:
            keys = self.buffer.keys()
            return [self.buffer.get(keys[index]) for index in mix.draw_indexes(keys)]
        return self._refetch(lambda: [self._load(dataset, index) for index in mix.draw_indexes(dataset)])

    def _load_first(self, dataset: BaseDataset, info: dict) -> dict | None:
        """Load the image of the sample itself, which becomes the last one of the buffer."""
        index = info['sample_idx']
        results = None if self.buffer is None else self.buffer.get(index)
        if results is None:
            results = self._prepare(dataset, info)
        if results is not None and self.buffer is not None:
            self.buffer.put(index, results)
        return results

    def _load(self, dataset: BaseDataset, index: int) -> dict | None:
        results = None if self.buffer is None else self.buffer.get(index)
        if results is None:
            results = super()._load(dataset, index)
            if results is not None and self.buffer is not None:
                self.buffer.put(results['sample_idx'], results)
        return results

    def _prepare(self, dataset: BaseDataset, info: dict) -> dict | None:
        results = super()._prepare(dataset, info)
        if results is not None:
            results.pop('instances', None)  # turned into arrays by now
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(mosaics={self.kinds}, mixup={self.mixup}, hsv={self.hsv}, flip={self.flip})'


def _build(config: dict | None) -> Any:
    return None if config is None else TRANSFORMS.build(config)


def _render(plan: _Plan, direction: str | None, fill: int) -> dict:
    """Draw the pixels of a mosaic, flipped, and move its annotations, not flipped yet."""
    tiles, layout, warp, kind = plan
    image = _draw([tile['img'] for tile in tiles], layout, warp, direction, fill)
    results = dict(tiles[0], img=image, img_shape=image.shape)
    results = stack_annotations(results, tiles, layout, kind.mosaic.bbox_clip_border)
    return kind.affine.warp_annotations(results, warp)


def _draw(images: list[np.ndarray], layout: Layout, warp: Warp, direction: str | None, fill: int) -> np.ndarray:
    """Draw the pixels of a mosaic, warped and flipped, in the cheapest way."""
    image = resize_mosaic(images, layout, warp.matrix, warp.shape, fill)
    if image is not None:
        return image if direction is None else cv2.flip(image, FLIP_CODES[direction])
    matrix = flip_matrix(direction, warp.shape) @ warp.matrix
    return draw_tiles(images, layout, matrix, warp.shape, fill)
