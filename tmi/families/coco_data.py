"""What families share of the data of a training: data sets of COCO files, the shared image cache, evaluators."""

from collections.abc import Mapping
from typing import Any

from mmengine.config import ConfigDict

from tmi.training.data import TrainingData

PROPOSAL_NUMS = (100, 1, 10)
# Of a model package, which names nothing of the task.
PACKAGE_FILES: Mapping[str, Any] = {'ann_file': 'annotations.json', 'data_prefix': {'img': 'images/'}}


def coco_dataset(class_names: tuple[str, ...]) -> dict[str, Any]:
    """Return what the configs of both data sets have in common.

    Args:
        class_names: In the order of the outputs.
    """
    return {
        'type': 'YOLOv5CocoDataset',
        'data_root': '',
        'data_prefix': {'img': ''},
        'metainfo': {'classes': class_names},
    }


def training_files(data: TrainingData) -> dict[str, Any]:
    """Return the part of a training set's config that names its images; those without objects count too."""
    # The configs drop images with a side under 32 pixels; here every image counts.
    return {'ann_file': str(data.train_file), 'filter_cfg': {'filter_empty_gt': False, 'min_size': 1}}


def set_evaluators(cfg: ConfigDict, data: TrainingData, metric: str | list[str]) -> None:
    """Set the evaluators of validation and test.

    Args:
        cfg: A complete config, changed in place.
        data: The two sets.
        metric: What they measure.
    """
    cfg.val_evaluator = {
        'type': 'FastCocoMetric',
        'proposal_nums': PROPOSAL_NUMS,
        'ann_file': str(data.val_file),
        'metric': metric,
    }
    cfg.test_evaluator = dict(cfg.val_evaluator)


def package_evaluator(metric: str | list[str]) -> dict[str, Any]:
    """Return the evaluator of a model package, in the words of public mmyolo.

    Args:
        metric: What it measures.
    """
    return {
        'type': 'mmdet.CocoMetric',
        'proposal_nums': PROPOSAL_NUMS,
        'ann_file': PACKAGE_FILES['ann_file'],
        'metric': metric,
    }


def cached_loading(data: TrainingData, max_size: int) -> dict[str, Any]:
    """Return the config of the transform that loads images through the memory that all processes share.

    Args:
        data: The two sets.
        max_size: The longer side is shrunk to this.
    """
    return {
        'type': 'LoadCachedImage',
        'max_size': max_size,
        'cache_bytes': data.cache_bytes(max_size),
        'cache_file': None,
    }


def use_image_cache(pipeline: list[dict[str, Any]], cached: dict[str, Any]) -> list[dict[str, Any]]:
    """Load images through the shared memory in a pipeline and the ones nested in it.

    Args:
        pipeline: Configs of transforms, where LoadImageFromFile stands right before LoadAnnotations.
        cached: Config of LoadCachedImage, which scales annotations and so stands behind them.

    Returns:
        The new pipeline.
    """
    result: list[dict[str, Any]] = []
    waiting = False
    for transform in pipeline:
        if transform['type'] == 'LoadImageFromFile':
            waiting = True
            continue
        transform = dict(transform)
        if transform.get('pre_transform'):
            transform['pre_transform'] = use_image_cache(transform['pre_transform'], cached)
        if transform['type'] == 'RandomChoice':
            transform['transforms'] = [use_image_cache(one, cached) for one in transform['transforms']]
        result.append(transform)
        if waiting:
            result.append(dict(cached))
            waiting = False
    return result
