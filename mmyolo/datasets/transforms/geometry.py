"""The part of a public pipeline that moves pixels, from the loaded images to the result, as one drawing.

The random numbers are those of the public transforms, in their order, and they or their formulas move the annotations,
in pixels of the files.
"""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform, Pad, RandomResize
from mmdet.datasets.transforms import RandomCrop, Resize

from mmyolo.errors import ConfigConflictError
from mmyolo.registry import TRANSFORMS

from .drawing import Drawing
from .letterbox import Letterbox, pixel_of
from .mosaic import BaseMosaic
from .random_affine import RandomAffine, YOLOv5RandomAffine
from .resize_and_crop import CropWarp, ResizeWarp
from .tiles import stack_annotations


class Geometry:
    """Where transforms put pixels and annotations.

    Args:
        steps: Configs of the transforms: a mosaic, or resizes that a padding may follow, then a random affine, or
            RandomResize and RandomCrop. Further images of the mosaic and its `prob` are not looked at.

    Raises:
        ConfigConflictError: The transforms are others, or in another order.
    """

    def __init__(self, steps: Sequence[dict]) -> None:
        self.transforms: list[BaseTransform] = [TRANSFORMS.build(step) for step in steps]
        rest = list(self.transforms)
        self.mosaic: BaseMosaic | None = rest.pop(0) if rest and isinstance(rest[0], BaseMosaic) else None
        letterbox = []
        while self.mosaic is None and rest and isinstance(rest[0], (Resize, Pad)):
            letterbox.append(rest.pop(0))
        self.letterbox = Letterbox(letterbox)
        self.warps = [_warp(transform) for transform in rest]
        if self.mosaic is not None:
            self.pad = pixel_of(np.broadcast_to(self.mosaic.pad_val, 3))
        else:
            self.pad = self.letterbox.pad
        affine = [transform for transform in rest if hasattr(transform, 'border_val')]
        self.border = pixel_of(affine[0].border_val) if affine else self.pad

    def place(self, tiles: Sequence[dict]) -> tuple[Drawing, dict] | None:
        """Draw the random numbers and move the annotations.

        Args:
            tiles: What was loaded of the image, or of all images of the mosaic; they stay as they are. A single one is
                no mosaic.

        Returns:
            The drawing, and the results without its pixels; None, which asks for another image, if nothing is left.
        """
        shapes = [tile['ori_shape'] for tile in tiles]
        if self.mosaic is not None and len(tiles) > 1:
            layout = self.mosaic.lay_out(shapes)
            results = stack_annotations(dict(tiles[0]), tiles, layout, self.mosaic.bbox_clip_border)
        else:
            layout = self.letterbox.lay_out(shapes[0])
            results = self.letterbox.place_annotations(tiles[0], shapes[0], layout)
        matrix, shape = np.eye(3), layout.shape
        for step in self.warps:
            warp = step.draw(shape)
            if warp is None:
                return None
            results = step.warp_annotations(results, warp)
            if results is None:
                return None
            matrix, shape = warp.matrix @ matrix, warp.shape
        results['img_shape'] = (*shape, 3)
        pad = self.border if self.pad is None else self.pad
        images = [tile['img'] for tile in tiles]
        return Drawing(images, layout, matrix, shape, pad or (0, 0, 0), self.border or (0, 0, 0)), results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}({self.transforms})'


def _warp(transform: BaseTransform) -> RandomAffine | YOLOv5RandomAffine | ResizeWarp | CropWarp:
    if isinstance(transform, (RandomAffine, YOLOv5RandomAffine)):
        return transform
    if isinstance(transform, RandomResize):
        return ResizeWarp(transform)
    if isinstance(transform, RandomCrop):
        return CropWarp(transform)
    raise ConfigConflictError(
        f'{type(transform).__name__} has no place among the transforms of a fast pipeline: they are a mosaic, or '
        'Resize, YOLOv5KeepRatioResize, LetterResize and Pad, then YOLOv5RandomAffine, RandomAffine, RandomResize or '
        'RandomCrop'
    )
