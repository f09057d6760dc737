"""Mosaic of four images (YOLOv4, section 3.4), as YOLOv5 does it.

Differs from mmyolo 0.6.0 on purpose: polygons are clipped to the canvas also where it is not square.
"""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from mmengine.dataset import BaseDataset
from numpy import random

from mmyolo.registry import TRANSFORMS

from .base_mix import BaseMixImageTransform
from .masks import place
from .tiles import Layout, fit_size, resize_to, stack_annotations


class BaseMosaic(BaseMixImageTransform):
    """What mosaics have in common: a fixed number of images, each resized to fit a cell.

    Args:
        img_scale: (width, height) of a cell.
        bbox_clip_border: Clip boxes to the result; otherwise drop the ones outside.
        pad_val: Value where there is no image, or one for each channel.
        prob: Probability of mixing.
        **kwargs: Of BaseMixImageTransform.
    """

    num_images: int

    def __init__(
        self,
        img_scale: tuple[int, int],
        bbox_clip_border: bool,
        pad_val: float | Sequence[float],
        prob: float,
        **kwargs,
    ) -> None:
        assert 0 <= prob <= 1.0, f'prob is within 0 and 1, not {prob}'
        super().__init__(prob=prob, **kwargs)
        self.img_scale = self._check_scale(img_scale)
        self.bbox_clip_border = bbox_clip_border
        self.pad_val = pad_val

    def get_indexes(self, dataset: BaseDataset | list) -> list:
        """Draw indexes.

        Args:
            dataset: The data set or the cache.

        Returns:
            `num_images` - 1 indexes, not necessarily different.
        """
        return [random.randint(0, len(dataset)) for _ in range(self.num_images - 1)]

    @abstractmethod
    def lay_out(self, shapes: Sequence[tuple[int, int]]) -> Layout:
        """Put the images on a canvas, with what has to be drawn at random.

        Args:
            shapes: (h, w) of the `num_images` images.

        Returns:
            Where they lie.
        """

    def mix_img_transform(self, results: dict) -> dict:
        """Make the mosaic.

        Args:
            results: With `mix_results` of `num_images` - 1 images.

        Returns:
            The results with `img` (2 H, 2 W, C), `img_shape` and the annotations of all images.
        """
        tiles = [results, *results['mix_results']]
        images = [tile['img'] for tile in tiles]
        layout = self.lay_out([image.shape[:2] for image in images])
        canvas = np.full((*layout.shape, *images[0].shape[2:]), self.pad_val, dtype=images[0].dtype)  # (2 H, 2 W, C)
        for image, size, (x, y) in zip(images, layout.sizes, layout.corners):
            place(canvas, resize_to(image, size), x, y)  # what sticks out of the canvas is cut off
        results['img'] = canvas
        results['img_shape'] = canvas.shape
        return stack_annotations(results, tiles, layout, self.bbox_clip_border)


@TRANSFORMS.register_module()
class Mosaic(BaseMosaic):
    """Puts four images around a random centre on a canvas of twice the input size.

    ::

                    centre_x
           +----------------------------+
           |           |  pad           |
           |  results  |-----------+    |
           |           | further 1 |    |
        -- +-----------+-----------+----+  centre_y
           | further 2 | further 3      |
           |           |                |
           +----------------------------+

    Args:
        img_scale: (width, height) that each image is resized to fit; the canvas is twice as wide and high.
        center_ratio_range: The centre is drawn from this range, times `img_scale`.
        bbox_clip_border: Clip boxes to the canvas; otherwise drop the ones outside.
        pad_val: Value of the canvas where there is no image, or one for each channel.
        pre_transform: See BaseMixImageTransform, as are the remaining arguments.
    """

    num_images = 4

    def __init__(
        self,
        img_scale: tuple[int, int] = (640, 640),
        center_ratio_range: tuple[float, float] = (0.5, 1.5),
        bbox_clip_border: bool = True,
        pad_val: float | Sequence[float] = 114.0,
        pre_transform: Sequence[dict] = None,
        prob: float = 1.0,
        use_cached: bool = False,
        max_cached_images: int = 40,
        random_pop: bool = True,
        max_refetch: int = 15,
    ) -> None:
        super().__init__(
            img_scale,
            bbox_clip_border,
            pad_val,
            prob,
            pre_transform=pre_transform,
            use_cached=use_cached,
            max_cached_images=max_cached_images,
            random_pop=random_pop,
            max_refetch=max_refetch,
        )
        self.center_ratio_range = center_ratio_range

    def lay_out(self, shapes: Sequence[tuple[int, int]]) -> Layout:
        """Draw a centre and put the images around it.

        Args:
            shapes: (h, w) of the four images.

        Returns:
            Where they lie on a canvas of (2 H, 2 W).
        """
        width, height = self.img_scale
        centre_x = int(random.uniform(*self.center_ratio_range) * width)
        centre_y = int(random.uniform(*self.center_ratio_range) * height)
        sizes, scales = zip(*(fit_size(shape, self.img_scale) for shape in shapes))  # h <= H and w <= W
        # Tiles 0 and 2 end at the centre to their right, 0 and 1 at the centre below them.
        corners = [
            (centre_x - w if index % 2 == 0 else centre_x, centre_y - h if index < 2 else centre_y)
            for index, (h, w) in enumerate(sizes)
        ]
        return Layout((height * 2, width * 2), scales, sizes, corners)

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}(img_scale={self.img_scale}, center_ratio_range={self.center_ratio_range}, '
            f'pad_val={self.pad_val}, prob={self.prob})'
        )
