"""The recipe of the last epochs of public configs, one image without others, as one transform.

It stands for this part of a public pipeline, with the same arguments and the same random numbers in the same order::

    LoadImageFromFile, LoadAnnotations, resizes and a padding, YOLOv5RandomAffine, YOLOv5HSVRandomAug, RandomFlip

or that of YOLOX (Resize, Pad) and RTMDet (RandomResize, RandomCrop). Large JPEGs are decoded at a fraction of their
size, and the image is warped once, straight to its place (see image_loader.py, geometry.py and drawing.py).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform, Compose
from mmdet.structures.bbox import autocast_box_type

from mmyolo.registry import TRANSFORMS

from .flip import flip_annotations
from .geometry import Geometry


class ColourAndFlip:
    """The end of a pipeline: colour jitter, then a flip that is part of the drawing.

    Args:
        hsv: Config of YOLOv5HSVRandomAug or YOLOXHSVRandomAug; None for none.
        flip: Config of RandomFlip; None for none.
    """

    def __init__(self, hsv: dict | None, flip: dict | None) -> None:
        self.hsv = build(hsv)
        self.flip = build(flip)

    def draw(self) -> tuple[np.ndarray | None, str | None]:
        """Draw the tables of the colours and the direction of the flip, None where there is nothing to do."""
        tables = None if self.hsv is None else self.hsv.draw_tables()
        return tables, None if self.flip is None else self.flip.draw_direction()

    def apply(self, results: dict, tables: np.ndarray | None, direction: str | None) -> dict:
        """Jitter the colours and flip the annotations.

        Args:
            results: With `img`, drawn flipped, `img_shape`, and annotations that are not flipped.
            tables: As drawn.
            direction: As drawn.

        Returns:
            The results with `flip` and `flip_direction`.
        """
        if tables is not None:
            self.hsv.apply(results, tables)
        if direction is not None:
            flip_annotations(results, direction)
        results.update(flip=direction is not None, flip_direction=direction)
        return results

    def __repr__(self) -> str:
        return f'hsv={self.hsv}, flip={self.flip}'


@TRANSFORMS.register_module()
class FastImage(BaseTransform):
    """Loads an image, warps, colours and flips it.

    Args:
        pre_transform: Loads the image and its annotations, which stay in pixels of the file: LoadAnnotations, and
            LoadCachedImage with `scale_annotations=False`.
        steps: Configs of the transforms that move it, see Geometry.
        hsv: See ColourAndFlip.
        flip: See ColourAndFlip.
    """

    def __init__(
        self, pre_transform: Sequence[dict], steps: Sequence[dict], hsv: dict | None = None, flip: dict | None = None
    ) -> None:
        self.pre_transform = Compose([build(step) for step in pre_transform])
        self.geometry = Geometry(steps)
        self.end = ColourAndFlip(hsv, flip)

    @autocast_box_type()
    def transform(self, results: dict) -> dict | None:
        """Load and warp.

        Args:
            results: What the data set says of an image.

        Returns:
            The results with `img` (h, w, 3) uint8 BGR, `img_shape`, the annotations, `flip` and `flip_direction`; None,
            which asks for another image, if the `pre_transform` drops this one or nothing is left of it.
        """
        loaded = self.pre_transform(results)
        placed = None if loaded is None else self.geometry.place([loaded])
        if placed is None:
            return None
        drawing, results = placed
        # All random numbers come first, since the flip is part of the drawing.
        tables, direction = self.end.draw()
        results['img'] = drawing.draw(direction)
        return self.end.apply(results, tables, direction)

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(geometry={self.geometry}, {self.end})'


def build(config: dict | None) -> Any:
    """Build a transform; None stays None.

    Args:
        config: Of it.
    """
    return None if config is None else TRANSFORMS.build(config)
