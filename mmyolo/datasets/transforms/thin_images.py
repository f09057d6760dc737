"""Resizing thin images with mmcv and mmdet: the short side of 4000 x 3 pixels, fit into 640, becomes 1 pixel and not 0.

OpenCV cannot resize to a side of 0, and such an image would end a training or an inference. mmcv computes every size
that
keeps the aspect ratio in one function, and mmdet has a second one, so they are replaced where they are used: then
`mmdet.Resize`, `mmdet.RandomResize`, masks and the transforms of mmcv have no side of 0 either. All other sizes stay.
"""

import functools
from collections.abc import Callable

from mmcv.image import geometric
from mmcv.transforms import processing
from mmdet.datasets.transforms import transforms

_USED_BY = (
    (geometric, '_scale_size'),
    (processing, '_scale_size'),
    (transforms, '_scale_size'),
    (transforms, '_fixed_scale_size'),
)


def keep_one_pixel() -> None:
    """Have mmcv and mmdet give sides of at least 1 pixel; calling it again changes nothing."""
    for module, name in _USED_BY:
        compute = getattr(module, name)
        if not hasattr(compute, 'keeps_one_pixel'):
            setattr(module, name, _at_least_one(compute))


def _at_least_one(compute: Callable[..., tuple[int, int]]) -> Callable[..., tuple[int, int]]:

    @functools.wraps(compute)
    def compute_size(*args, **kwargs) -> tuple[int, int]:
        width, height = compute(*args, **kwargs)
        return max(width, 1), max(height, 1)

    compute_size.keeps_one_pixel = True
    return compute_size
