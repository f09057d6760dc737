"""Mosaic of nine images, of which a random window is kept."""

from collections.abc import Sequence

import numpy as np
from numpy import random

from mmyolo.registry import TRANSFORMS

from .masks import place
from .mosaic import BaseMosaic
from .tiles import resize_to_fit, stack_annotations


@TRANSFORMS.register_module()
class Mosaic9(BaseMosaic):
    """Puts eight images around one, clockwise from the top, and cuts out a window of twice the input size.

    Args:
        img_scale: (width, height) that each image is resized to fit.
        bbox_clip_border: Clip boxes to the window; otherwise drop the ones outside.
        pad_val: Value where there is no image.
        pre_transform: See BaseMixImageTransform, as are the remaining arguments.
    """

    num_images = 9

    def __init__(
        self,
        img_scale: tuple[int, int] = (640, 640),
        bbox_clip_border: bool = True,
        pad_val: float | int = 114.0,
        pre_transform: Sequence[dict] = None,
        prob: float = 1.0,
        use_cached: bool = False,
        max_cached_images: int = 50,
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

    def mix_img_transform(self, results: dict) -> dict:
        """Make the mosaic.

        Args:
            results: With `mix_results` of eight images.

        Returns:
            The results with `img` (2 H, 2 W, C), `img_shape` and the annotations of all nine images.
        """
        width, height = self.img_scale
        tiles = [results, *results['mix_results']]
        images, scales = zip(*(resize_to_fit(tile['img'], self.img_scale) for tile in tiles))
        sizes = [image.shape[:2] for image in images]
        corners = _corners(sizes, width, height)
        # (3 H, 3 W, C)
        canvas = np.full((height * 3, width * 3) + images[0].shape[2:], self.pad_val, dtype=images[0].dtype)
        for image, (x, y) in zip(images, corners):
            place(canvas, image, x, y)

        offset_x = int(random.uniform(0, width))
        offset_y = int(random.uniform(0, height))
        window = canvas[offset_y : offset_y + height * 2, offset_x : offset_x + width * 2]  # (2 H, 2 W, C)
        results['img'] = np.ascontiguousarray(window)
        results['img_shape'] = window.shape
        shifts = [(x - offset_x, y - offset_y) for x, y in corners]
        return stack_annotations(results, tiles, scales, sizes, shifts, self.bbox_clip_border)

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(img_scale={self.img_scale}, pad_val={self.pad_val}, prob={self.prob})'


def _corners(shapes: Sequence[tuple[int, int]], width: int, height: int) -> list[tuple[int, int]]:
    """Return the upper left corners (x, y) on a canvas of three by three.

    Args:
        shapes: (h, w) of the images: centre, then clockwise from the top.
        width: Of a cell.
        height: Of a cell.
    """
    (centre_h, centre_w) = shapes[0]
    corners = []
    for index, (h, w) in enumerate(shapes):
        before_h, before_w = shapes[index - 1]
        corners.append(
            (
                (width, height),
                (width, height - h),
                (width + before_w, height - h),
                (width + centre_w, height),
                (width + centre_w, height + before_h),
                (width + centre_w - w, height + centre_h),
                (width + centre_w - before_w - w, height + centre_h),
                (width - w, height + centre_h - h),
                (width - w, height + centre_h - before_h - h),
            )[index]
        )
    return corners
