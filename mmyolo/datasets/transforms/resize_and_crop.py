"""RandomResize and RandomCrop of mmdet as warps: where they move the image and its boxes, apart from the pixels."""

import numpy as np
from mmcv.transforms import RandomResize
from mmdet.datasets.transforms import RandomCrop

from .boxes import rescale_and_translate_
from .draw_tiles import stretch_matrix
from .letterbox import resize_boxes, resized
from .random_affine import Warp


class ResizeWarp:
    """RandomResize.

    Args:
        transform: It, with a Resize by `scale`.
    """

    def __init__(self, transform: RandomResize) -> None:
        self.transform = transform

    def draw(self, shape: tuple[int, int]) -> Warp:
        """Draw a size.

        Args:
            shape: (h, w) of the image.
        """
        resize = self.transform.resize
        resize.scale = self.transform._random_scale()
        size = resized(resize, shape)
        return Warp(stretch_matrix(shape, size), None, size)

    def warp_annotations(self, results: dict, warp: Warp) -> dict:
        """Resize boxes as an image was.

        Args:
            results: Has `gt_bboxes`, changed in place.
            warp: What was drawn.

        Returns:
            The results.
        """
        factor = (warp.matrix[0, 0], warp.matrix[1, 1])
        resize_boxes(results, factor, warp.shape, self.transform.resize.clip_object_border)
        return results


class CropWarp:
    """RandomCrop.

    Args:
        transform: It, without `recompute_bbox`.
    """

    def __init__(self, transform: RandomCrop) -> None:
        self.transform = transform

    def draw(self, shape: tuple[int, int]) -> Warp:
        """Draw a crop.

        Args:
            shape: (h, w) of the image.
        """
        size = self.transform._get_crop_size(shape)
        y, x = self.transform._rand_offset(tuple(max(side - part, 0) for side, part in zip(shape, size)))
        return Warp(np.array([[1.0, 0, -x], [0, 1, -y], [0, 0, 1]]), None, size)

    def warp_annotations(self, results: dict, warp: Warp) -> dict | None:
        """Move boxes as an image was cropped.

        Args:
            results: Has `gt_bboxes`, `gt_bboxes_labels` and `gt_ignore_flags`.
            warp: What was drawn.

        Returns:
            The results with the annotations that are left; None, which asks for another image, if there are none and
            the transform says so.
        """
        boxes = results['gt_bboxes']
        rescale_and_translate_(boxes, (1, 1), tuple(warp.matrix[:2, 2]))
        if self.transform.bbox_clip_border:
            boxes.clip_(warp.shape)
        inside = boxes.is_inside(warp.shape).numpy()  # (N,)
        if not inside.any() and not self.transform.allow_negative_crop:
            return None
        for key in ('gt_bboxes', 'gt_bboxes_labels', 'gt_ignore_flags'):
            results[key] = results[key][inside]
        return results
