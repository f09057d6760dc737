"""Images and results of the numbers that the public implementation was observed to give."""

import numpy as np
import torch
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import PolygonMasks

import mmyolo.datasets  # noqa: F401

SIZES = ((90, 120), (128, 96), (100, 100), (60, 140))


def make_image(height: int, width: int, index: int = 0) -> np.ndarray:
    """(height, width, 3) uint8."""
    return (np.arange(height * width * 3) * (7 + index) % 251).astype(np.uint8).reshape(height, width, 3)


def make_results(index: int, size: tuple = None, **kwargs) -> dict:
    """Results of an image with two boxes, labels index and index + 1."""
    height, width = size or SIZES[index]
    boxes = torch.tensor([[10.0 + index, 12, 60, 70 + index], [5, 5, 30, 25]])
    return dict(
        img=make_image(height, width, index),
        img_shape=(height, width),
        ori_shape=(height, width),
        gt_bboxes=HorizontalBoxes(boxes),
        gt_bboxes_labels=np.array([index, index + 1]),
        gt_ignore_flags=np.zeros(2, dtype=bool),
        **kwargs,
    )


def add_masks(results: dict) -> dict:
    """Gives every box the polygon of its own outline."""
    polygons = [
        [np.array([x1, y1, x2, y1, x2, y2, x1, y2], dtype=np.float32)]
        for x1, y1, x2, y2 in results['gt_bboxes'].numpy()
    ]
    results['gt_masks'] = PolygonMasks(polygons, *results['img'].shape[:2])
    return results


class ListDataset:
    """The part of a data set that mix transforms use."""

    def __init__(self, items: list) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def get_data_info(self, index: int) -> dict:
        return self.items[index]()
