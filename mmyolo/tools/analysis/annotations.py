"""The annotations of a data set as a config describes it, without reading an image."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset

from mmyolo.registry import DATASETS
from mmyolo.utils.terminal import progress


def build_without_pipelines(dataset: ConfigDict) -> BaseDataset:
    """Build a data set that gives annotations only, so its transforms need not be installed.

    Args:
        dataset: The config of the data set; wrappers around others are built too.
    """
    dataset = copy.deepcopy(dataset)
    _empty_pipelines(dataset)
    return DATASETS.build(dataset)


def _empty_pipelines(node: Any) -> None:
    if isinstance(node, dict):
        if 'pipeline' in node:
            node['pipeline'] = []
        for key in ('dataset', 'datasets'):
            _empty_pipelines(node.get(key))
    elif isinstance(node, (list, tuple)):
        for entry in node:
            _empty_pipelines(entry)


def data_infos(dataset: BaseDataset, description: str) -> Iterator[dict]:
    """Give what a data set knows about each image, with a progress bar."""
    for index in progress(range(len(dataset)), description):
        yield dataset.get_data_info(index)


def boxes_of(info: dict) -> tuple[np.ndarray, np.ndarray]:
    """Collect the objects of one image.

    Args:
        info: What the data set knows about it.

    Returns:
        Boxes (n, 4), xyxy in pixels of the image, and labels (n, ). Objects to be ignored are left out.
    """
    instances: list[dict] = [instance for instance in info['instances'] if not instance.get('ignore_flag')]
    boxes = np.array([instance['bbox'] for instance in instances], dtype=np.float64).reshape(-1, 4)
    return boxes, np.array([instance['bbox_label'] for instance in instances], dtype=np.int64)
