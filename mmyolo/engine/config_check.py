"""Whether the parts of a config fit each other and the data, asked once before the first step of a training.

A head of 2 classes trains on labels of 3 without a word on a CPU, a validation set of other classes is evaluated under
wrong names, and an annotation file of another split gives some number. Heads of other packages and data sets of unknown
kinds are not changed.
"""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmyolo.errors import ConfigConflictError

from .pipeline_size import Size, check_borders, pipelines

MAX_NAMES = 10  # in a sentence
# Takes its number of classes for the label of the background alone: one too high changes nothing.
HARMLESS_IF_HIGHER = ('BatchDynamicSoftLabelAssigner',)
# Where a part of a head comes from in the config.
KEYS = dict(
    assigner='model.train_cfg.assigner.num_classes', initial_assigner='model.train_cfg.initial_assigner.num_classes'
)


def check_training(runner: Runner) -> None:
    """Hold the parts of a training that is about to begin against each other.

    Args:
        runner: Its training and validation loops are built.

    Raises:
        ConfigConflictError: If two of them contradict each other.
    """
    datasets = leaves(runner.train_dataloader.dataset)
    _check_pipelines(runner.cfg, datasets)
    _check_steps(runner)
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    head = getattr(model, 'bbox_head', None)
    if not type(head).__module__.startswith('mmyolo.'):
        return
    classes = classes_of(datasets)
    if classes is not None:
        check_num_classes(head, classes)
    if runner.val_loop is not None:
        validation = leaves(runner.val_dataloader.dataset)
        _check_same_classes(classes, classes_of(validation))
        _check_evaluators(runner, validation)


def leaves(dataset: Any) -> list[Any]:
    """Return the data sets that hold images, below wrappers such as ConcatDataset and RepeatDataset."""
    if isinstance(dataset, BaseDataset):
        return [dataset]
    parts = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    return [leaf for part in parts if part is not None for leaf in leaves(part)]


def classes_of(datasets: Sequence[Any]) -> tuple[str, ...] | None:
    """Return the names of the classes, None where a data set has none."""
    names = datasets[0].metainfo.get('classes') if datasets else None
    return tuple(names) if isinstance(names, (list, tuple)) and names else None


def check_num_classes(head: nn.Module, classes: Sequence[str]) -> None:
    """Check the number of classes of a head and of its parts.

    Args:
        head: Of this package.
        classes: Names of the classes of the training data.

    Raises:
        ConfigConflictError: If one of them has another number.
    """
    count = len(classes)
    for key, number, part in _numbers(head):
        if number == count:
            continue
        sentence = (
            f'{key} is {number}, but the training data have {_count(count)} ({_names(classes)}): set num_classes '
            f'to {count} everywhere in the model, or list the classes in metainfo.classes of every data set.'
        )
        if type(part).__name__ in HARMLESS_IF_HIGHER and number > count:
            print_log(sentence, 'current', logging.WARNING)
        else:
            raise ConfigConflictError(sentence)
    for name, loss in head.named_children():
        weights = getattr(loss, 'class_weight', None)
        if isinstance(weights, (list, tuple)) and len(weights) not in (1, count, count + 1):
            raise ConfigConflictError(
                f'model.bbox_head.{name}.class_weight has {len(weights)} numbers, but the training '
                f'data have {_count(count)}: give one number per class.'
            )


def _numbers(head: nn.Module) -> Iterator[tuple[str, int, Any]]:
    """Key, number and owner of every num_classes of a head."""
    if isinstance(getattr(head, 'num_classes', None), int):
        yield 'model.bbox_head.head_module.num_classes', head.num_classes, head
    parts = {**vars(head), **dict(head.named_children())}
    for name, part in parts.items():
        number = getattr(part, 'num_classes', None)
        if name not in ('head_module',) and isinstance(number, int) and not isinstance(number, bool):
            yield KEYS.get(name, f'model.bbox_head.{name}.num_classes'), number, part


def _check_pipelines(cfg: Mapping, datasets: Sequence[Any]) -> None:
    """Check the borders in the pipelines of the training data, those of its last epochs too."""
    known: dict[str, Size] = {}

    def largest() -> Size:
        if 'size' not in known:
            known['size'] = _largest_image(datasets)
        return known['size']

    for key in ('train_dataloader', 'custom_hooks'):
        for place, pipeline in pipelines(cfg.get(key), key):
            check_borders(pipeline, place, largest)


def _largest_image(datasets: Sequence[Any]) -> Size:
    sizes = []
    for dataset in datasets:
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            if not info.get('width') or not info.get('height'):
                return None
            sizes.append((info['width'], info['height']))
    return (max(width for width, _ in sizes), max(height for _, height in sizes)) if sizes else None


def _check_steps(runner: Runner) -> None:
    """Check that an epoch has at least one step."""
    loader = runner.train_dataloader
    if hasattr(loader.dataset, '__len__') and len(loader) == 0:
        raise ConfigConflictError(
            f'train_dataloader.batch_size is {loader.batch_size}, but only {len(loader.dataset)} images are left for '
            'training and drop_last leaves incomplete batches out: lower batch_size or set drop_last=False.'
        )


def _check_same_classes(training: Sequence[str] | None, validation: Sequence[str] | None) -> None:
    """Check that a label means the same in training and validation."""
    if training is None or validation is None or tuple(training) == tuple(validation):
        return
    raise ConfigConflictError(
        f'val_dataloader.dataset.metainfo.classes are {len(validation)} ({_names(validation)}), but the training data '
        f'have {len(training)} ({_names(training)}): give both the same classes in the same order.'
    )


def _check_evaluators(runner: Runner, datasets: Sequence[Any]) -> None:
    """Check that the annotations of an evaluator are those of the validation data."""
    configs = runner.cfg.get('val_evaluator')
    configs = configs if isinstance(configs, (list, tuple)) else [configs]
    if len(datasets) != 1 or not getattr(datasets[0], 'ann_file', None):
        return
    dataset = datasets[0]
    for config, metric in zip(configs, runner.val_loop.evaluator.metrics):
        ann_file = config.get('ann_file') if isinstance(config, Mapping) else None
        if not isinstance(ann_file, str) or os.path.realpath(ann_file) == os.path.realpath(dataset.ann_file):
            continue
        images = getattr(getattr(metric, '_coco_api', None), 'imgs', None)
        if images is None:
            continue
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            known = images.get(info['img_id'])
            if known is None or not _ends_with(info['img_path'], known['file_name']):
                raise ConfigConflictError(
                    f'val_evaluator.ann_file is {ann_file}, which has not the image {info["img_path"]} of '
                    f'val_dataloader.dataset.ann_file, {dataset.ann_file}: name the same file in both.'
                )


def _ends_with(path: str, name: str) -> bool:
    return PurePath(path).name == PurePath(name).name


def _count(count: int) -> str:
    return '1 class' if count == 1 else f'{count} classes'


def _names(names: Sequence[str]) -> str:
    shown = ', '.join(map(repr, names[:MAX_NAMES]))
    return f'{shown}, ...' if len(names) > MAX_NAMES else shown
