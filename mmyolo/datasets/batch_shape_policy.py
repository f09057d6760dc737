"""Batch shapes for validation: images of alike aspect ratio share a batch and the least padding.

Differs from mmyolo 0.6.0 on purpose: images of equal aspect ratio keep their order (the sort is stable) and an empty
list is returned as it is.
"""

import numpy as np
from mmengine.dist import get_dist_info

from mmyolo.registry import TASK_UTILS


@TASK_UTILS.register_module()
class BatchShapePolicy:
    """Sorts images by aspect ratio and gives every batch its own padded shape.

    Args:
        batch_size: Images per batch on one device.
        img_size: Longer side of a resized image, in pixels.
        size_divisor: Both sides of a batch shape are a multiple of it (the largest stride of the model).
        extra_pad_ratio: Padding on top of the shape, as a share of `size_divisor`; 0.5 pads 640 x 640 to
            672 x 672.
    """

    def __init__(
        self, batch_size: int = 32, img_size: int = 640, size_divisor: int = 32, extra_pad_ratio: float = 0.5
    ) -> None:
        self.img_size = img_size
        self.size_divisor = size_divisor
        self.extra_pad_ratio = extra_pad_ratio
        _, world_size = get_dist_info()
        self.batch_size = batch_size * world_size

    def __call__(self, data_list: list[dict]) -> list[dict]:
        """Order the images and add their batch's shape.

        Args:
            data_list: One dict per image with `height` and `width` in pixels.

        Returns:
            The same dicts sorted by height / width, each with `batch_shape`, an int64 array (height, width).
        """
        if not data_list:
            return data_list
        ratios = np.array([info['height'] / info['width'] for info in data_list])
        order = np.argsort(ratios, kind='stable')
        ratios = ratios[order]
        data_list = [data_list[i] for i in order]
        for start in range(0, len(data_list), self.batch_size):
            batch = slice(start, start + self.batch_size)
            shape = self._batch_shape(ratios[batch])
            for info in data_list[batch]:
                info['batch_shape'] = shape
        return data_list

    def _batch_shape(self, ratios: np.ndarray) -> np.ndarray:
        sides = np.ones(2)
        if ratios.max() < 1:
            sides[0] = ratios.max()
        elif ratios.min() > 1:
            sides[1] = 1 / ratios.min()
        divisors = np.ceil(sides * self.img_size / self.size_divisor + self.extra_pad_ratio)
        return divisors.astype(np.int64) * self.size_divisor
