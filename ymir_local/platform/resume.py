"""A training that goes on in the folder of an earlier `ymir train`: its task is the same, but for changed settings."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ymir_exc.atomic import write_text_atomically
from ymir_exc.errors import ConfigError
from ymir_exc.monitor import format_monitor
from ymir_exc.reading import MonitorLine, read_mapping
from ymir_exc.reading.monitor import STATE_PENDING

from .prepare import Task


class ResumeError(Exception):
    """There is no training that can go on; the message says why."""


def read_training_task(work_dir: Path) -> tuple[Task, dict[str, Any]]:
    """Read the task of an earlier training.

    Args:
        work_dir: folder of the run, which holds `in` and `out`.

    Returns:
        The task and its config.yaml.

    Raises:
        ResumeError: it is no folder of a training, or was moved.
    """
    work_dir = Path(work_dir).resolve()
    try:
        env = read_mapping(work_dir / 'in' / 'env.yaml')
        config = read_mapping(work_dir / 'in' / 'config.yaml')
    except (ConfigError, OSError) as error:
        raise ResumeError(
            f'{work_dir} is not the folder of a run of `ymir train`, with in/env.yaml and in/config.yaml: {error}'
        ) from None
    if env.get('run_training') is not True:
        raise ResumeError(f'{work_dir} holds no training, but another task; only trainings can go on')
    root = str((env.get('input') or {}).get('root_dir'))
    task = Task(work_dir, str(env.get('task_id')), root == '/in')
    if root != task.in_prefix:
        raise ResumeError(
            f'{work_dir} was moved from {Path(root).parent}, where its files name each other; move it back'
        )
    return task, config


def change_task(task: Task, config: Mapping[str, Any], edits: Mapping[str, Any], gpu_count: int) -> None:
    """Make an earlier task ready to run again.

    Args:
        task: of `read_training_task`.
        config: its config.yaml.
        edits: hyper-parameters that change; an empty one is left out, as the form of the platform does.
        gpu_count: how many GPUs it gets.
    """
    values = {**config, **edits, 'gpu_count': gpu_count, 'gpu_id': ','.join(map(str, range(gpu_count)))}
    text = yaml.safe_dump(
        {key: value for key, value in values.items() if value != '' or key == 'gpu_id'}, allow_unicode=True
    )
    write_text_atomically(task.in_dir / 'config.yaml', text)
    # Else the end of the earlier run would be shown until the executor writes.
    write_text_atomically(
        task.monitor_file, format_monitor(MonitorLine(task.task_id, time.time(), state=STATE_PENDING))
    )
