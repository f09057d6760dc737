"""Mosaic of nine images, of which a random window is kept."""

from collections.abc import Sequence

from numpy import random

from mmyolo.registry import TRANSFORMS

from .mosaic import BaseMosaic
from .tiles import Layout, fit_size


@TRANSFORMS.register_module()
class Mosaic9(BaseMosaic):
    """Puts eight images around one, clockwise from the top, and cuts out a window of twice the input size.

    Args:
        img_scale: (width, height) that each image is resized to fit.
        bbox_clip_border: Clip boxes to the window; otherwise drop the ones outside.
        pad_val: Value where there is no image, or one for each channel.
        pre_transform: See BaseMixImageTransform, as are the remaining arguments.
    """

    num_images = 9

    def __init__(
        self,
        img_scale: tuple[int, int] = (640, 640),
        bbox_clip_border: bool = True,
        pad_val: float | Sequence[float] = 114.0,
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

    def lay_out(self, shapes: Sequence[tuple[int, int]]) -> Layout:
        """Put eight images around the first, and draw the window.

        Args:
            shapes: (h, w) of the nine images.

        Returns:
            Where they lie on a canvas of (2 H, 2 W).
        """
        width, height = self.img_scale
        sizes, scales = zip(*(fit_size(shape, self.img_scale) for shape in shapes))
        offset_x = int(random.uniform(0, width))
        offset_y = int(random.uniform(0, height))
        corners = [(x - offset_x, y - offset_y) for x, y in _corners(sizes, width, height)]
        return Layout((height * 2, width * 2), scales, sizes, corners)

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
