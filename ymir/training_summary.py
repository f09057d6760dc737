"""training-summary.json of this executor's trainings: the plan before the first step, then each validation.

The main process writes what was decided, the training process (rank 0) what came of it; never both at a time.
"""

import hashlib
import json
import logging
import math
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tmi.training.config import TrainingConfig, TrainingTask
from ymir.data import class_objects, data_rows
from ymir_exc.dataset_convert import SplitReport
from ymir_exc.errors import ResultError
from ymir_exc.training_summary import TrainingSummary, read_training_summary, write_training_summary

logger = logging.getLogger('ymir')

FOUND_LATER = ('best_weights', 'best_classes', 'best_threshold', 'onnx')  # after the training, about its best stage

PACKAGES = {'MMEngine': 'mmengine', 'MMCV': 'mmcv', 'MMDetection': 'mmdet', 'NumPy': 'numpy', 'OpenCV': 'cv2'}


def write_plan(
    directory: Path,
    task: TrainingTask,
    training: TrainingConfig,
    recipe: Sequence[tuple[str, str]],
    splits: Mapping[str, SplitReport],
    resuming: bool,
) -> None:
    """Write what will be done; a training that is resumed keeps what came of it before.

    Args:
        directory: The task's output folder.
        task: The task.
        training: Its config.
        recipe: Name and value of what will be done, as the log shows them.
        splits: Reports of `train` and `val`.
        resuming: Whether an earlier training goes on.
    """
    earlier = read_summary(directory) if resuming else TrainingSummary()
    plan = replace(
        earlier,
        model=task.model.name,
        config=task.model.stem,
        class_names=list(task.class_names),
        input_size=list(training.img_size),
        device=task.device,
        processes=task.num_processes,
        samples_per_gpu=training.run.train_dataloader.batch_size,
        precision=training.precision,
        recipe=[list(row) for row in recipe],
        data=data_rows(splits),
        class_objects=class_objects(splits, task.class_names),
        settings=settings_of(task),
        data_sha256={'training': data_sha256(task.data.train_file), 'validation': data_sha256(task.data.val_file)},
        started=earlier.started or time.time(),
        updated=time.time(),
        epochs=training.recipe.epochs,
    )
    write_training_summary(directory, plan)


def settings_of(task: TrainingTask) -> dict[str, Any]:
    """Return the hyper-parameters of a task as JSON has them; class names stand in the summary anyway."""
    return json.loads(json.dumps(task.params.model_dump(exclude={'class_names'})))


def data_sha256(file: Path) -> str:
    """Return what is equal for equal data, in whatever order and folder: file names, sizes and labels of the images.

    Args:
        file: A COCO file.
    """
    content = json.loads(file.read_text(encoding='utf-8'))
    labels: dict[Any, list[str]] = {image['id']: [] for image in content['images']}
    for item in content['annotations']:
        labels[item['image_id']].append(json.dumps([item['category_id'], item['bbox'], item.get('iscrowd', 0)]))
    lines = sorted(
        json.dumps([Path(image['file_name']).name, image['width'], image['height'], sorted(labels[image['id']])])
        for image in content['images']
    )
    return hashlib.sha256('\n'.join(lines).encode()).hexdigest()


def add_findings(directory: Path, **findings: Any) -> TrainingSummary:
    """Write what was found about the best stage after the training.

    Args:
        directory: The task's output folder.
        **findings: Fields of `TrainingSummary`, those of `FOUND_LATER`.

    Returns:
        What is written.
    """
    summary = replace(read_summary(directory), **findings)
    write_training_summary(directory, summary)
    return summary


class SummaryUpdates:
    """Keep training-summary.json up to date while a training runs.

    Args:
        directory: The task's output folder.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.summary = read_summary(directory)
        self.began = time.time() - self.summary.seconds

    def add_environment(self) -> None:
        """Write on what the training runs; called in the process that trains, for only that one should open a GPU."""
        self.summary = replace(read_summary(self.directory), environment=environment_rows())
        self.began = time.time() - self.summary.seconds
        write_training_summary(self.directory, self.summary)

    def add_validation(
        self,
        epoch: int,
        metrics: Mapping[str, float],
        precisions: Mapping[str, float],
        is_best: bool,
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        """Write what a validation found.

        Args:
            epoch: The finished epochs.
            metrics: By short name, from 0 to 1.
            precisions: Average precision by class, nan without objects.
            is_best: Whether it belongs to the best stage of result.yaml now.
            changes: Further fields of `TrainingSummary`; of `recipe` the rows that have changed.
        """
        now = time.time()
        seconds = max(now - self.began, 0.0)
        self.summary = replace(self.summary, epoch=epoch, updated=now, seconds=seconds)
        changes = dict(changes or {})
        if 'recipe' in changes:
            rows = {**dict(self.summary.recipe), **dict(changes['recipe'])}
            changes['recipe'] = [list(row) for row in rows.items()]
        self.summary = replace(self.summary, **changes)
        if is_best:
            values = [precisions.get(name, math.nan) for name in self.summary.class_names] if precisions else []
            self.summary.best_epoch = epoch
            self.summary.best_metrics = dict(metrics)
            self.summary.best_class_ap = [None if math.isnan(value) else float(value) for value in values]
            for name in FOUND_LATER:
                setattr(self.summary, name, type(getattr(self.summary, name))())
        write_training_summary(self.directory, self.summary)


def environment_rows() -> list[list[str]]:
    """Return name and version of what this process runs on."""
    rows = [['Python', platform.python_version()], ['PyTorch', torch.__version__]]
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        rows += [
            ['CUDA', str(torch.version.cuda)],
            ['GPU', ', '.join(f'{names.count(n)} x {n}' for n in sorted(set(names)))],
        ]
    loaded = {name: sys.modules[module] for name, module in PACKAGES.items() if module in sys.modules}
    rows += [[name, str(module.__version__)] for name, module in loaded.items()]
    return [*rows, ['System', platform.platform()]]


def read_summary(directory: Path) -> TrainingSummary:
    """Read the summary that is there; without one, or with one that is no use, begin anew.

    Args:
        directory: The task's output folder.
    """
    try:
        return read_training_summary(directory) or TrainingSummary()
    except ResultError as error:
        logger.warning('%s; it is written anew', error)
        return TrainingSummary()
