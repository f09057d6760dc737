"""The mosaic recipes of the public configs as one transform that decodes about one image for each sample.

It stands for this part of a public pipeline, with the same arguments and the same random numbers in the same order::

    LoadImageFromFile, LoadAnnotations, Mosaic or Mosaic9, YOLOv5RandomAffine or RandomAffine, YOLOv5MixUp or
    YOLOXMixUp, YOLOv5HSVRandomAug or YOLOXHSVRandomAug, RandomFlip

and for that of RTMDet, whose mosaic takes its further images from those seen last (`use_cached`) and is followed by
RandomResize and RandomCrop. It is faster because further images come from those loaded last, large JPEGs are decoded
at a fraction of their size, and each image is warped once, straight to its place (see image_buffer.py, image_loader.py,
geometry.py and drawing.py). Boxes, masks and keypoints are moved by the public transforms themselves, in pixels of the
files.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from mmcv.transforms import BaseTransform, Compose
from mmdet.structures.bbox import autocast_box_type
from mmengine.dataset import BaseDataset
from numpy import random

from mmyolo.registry import TRANSFORMS

from .base_mix import BaseMixImageTransform, FurtherImages
from .drawing import Drawing
from .fast_image import ColourAndFlip, build
from .geometry import Geometry
from .image_buffer import ImageBuffer
from .letterbox import pixel_of
from .mixup import YOLOXMixUp


class _Second(NamedTuple):
    """An image to be blended into another one.

    Args:
        drawing: Its pixels.
        results: The rest of it.
        blend: Blends the results of both.
    """

    drawing: Drawing
    results: dict
    blend: Callable[[dict, dict], dict]


@TRANSFORMS.register_module()
class FastMosaic(FurtherImages, BaseTransform):
    """Loads an image and makes a mosaic with further ones, warped, mixed, coloured and flipped.

    Args:
        pre_transform: Loads an image and its annotations, which stay in pixels of the file: LoadAnnotations, and
            LoadCachedImage with `scale_annotations=False`.
        mosaics: Configs of a mosaic and what follows it (see Geometry), as lists; one is drawn for each sample if there
            are several.
        probs: Probabilities of these; None if they are equal.
        mixup: Config of YOLOv5MixUp, which takes a second mosaic, or of YOLOXMixUp; None for none.
        hsv: See ColourAndFlip.
        flip: See ColourAndFlip.
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
        self.pre_transform = Compose([build(step) for step in pre_transform])
        self.kinds = [Geometry(steps) for steps in mosaics]
        self.probs = probs
        self.mixup = build(mixup)
        self.end = ColourAndFlip(hsv, flip)
        self.buffer = ImageBuffer(buffer_images, buffer_bytes) if buffer_images else None

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
        placed = self._place(first, dataset)
        if placed is None:
            return None
        # All random numbers come first, in the order of the public pipeline, since the flip is part of the drawings.
        drawing, results = placed
        second = None
        if self.mixup is not None and random.uniform(0, 1) <= self.mixup.prob:
            (other,) = self._draw_images(dataset, self.mixup)
            if isinstance(self.mixup, YOLOXMixUp):
                second = self._scale_second(other, drawing.shape)
            else:
                second = self._place_second(other, dataset)
                if second is None:
                    return None
        tables, direction = self.end.draw()
        results['img'] = drawing.draw(direction)
        if second is not None:
            results = second.blend(results, dict(second.results, img=second.drawing.draw(direction)))
        results = self.end.apply(results, tables, direction)
        results['dataset'] = dataset
        return results

    def _place(self, first: dict, dataset: BaseDataset) -> tuple[Drawing, dict] | None:
        """Draw a mosaic around an image, and where everything of it lies; None if nothing is left."""
        kind = self.kinds[random.choice(len(self.kinds), p=self.probs) if len(self.kinds) > 1 else 0]
        random.uniform(0, 1)  # with which the public mosaic decides whether to mix at all
        if kind.mosaic.use_cached:
            further = kind.mosaic.draw_cached(first, dict, dict)  # nothing changes what is within
            return kind.place([first, *(further or ())])
        return kind.place([first, *self._draw_images(dataset, kind.mosaic)])

    def _place_second(self, other: dict, dataset: BaseDataset) -> _Second | None:
        """Make a second mosaic; None if nothing is left of it."""
        placed = self._place(other, dataset)
        ratio = self.mixup.draw_ratio()
        return None if placed is None else _Second(*placed, partial(self.mixup.blend, ratio=ratio))

    def _scale_second(self, other: dict, shape: tuple[int, int]) -> _Second | None:
        """Scale, flip and crop a second image to the shape (h, w) of the first; None if it has no boxes."""
        if len(other['gt_bboxes']) == 0:
            return None
        window = self.mixup.draw(shape)
        layout, matrix = self.mixup.lay_out(other['ori_shape'], window)
        pad = pixel_of(np.broadcast_to(self.mixup.pad_val, 3))
        drawing = Drawing([other['img']], layout, matrix, shape, pad, pad)
        return _Second(drawing, other, partial(self.mixup.blend, ratio=layout.scales[0], window=window))

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
        return f'{self.__class__.__name__}(mosaics={self.kinds}, mixup={self.mixup}, {self.end})'
