"""A task's folders as the platform makes them, and its rules for what comes back (contract sections c.1 and d)."""

import math
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.warm_python import warm_python
from tmi.checkpoint_io import load_checkpoint
from ymir import ymir_training
from ymir_exc import settings
from ymir_local.demo.sample_data import generate
from ymir_local.platform.labels import LabelledImage
from ymir_local.platform.prepare import Task, hyper_parameters, prepare_training

REPOSITORY = Path(__file__).resolve().parents[3]
TINY = {
    'img_size': 64,
    'max_epochs': 2,
    'samples_per_gpu': 4,
    'workers_per_gpu': 0,
    'val_interval': 1,
    'precision': 'fp32',
    'cfg_options': 'model.backbone.widen_factor=0.125 '
    'model.neck.widen_factor=0.125 model.bbox_head.head_module.widen_factor=0.125',
}


def tiny_data(folder: Path, count: int = 12) -> Sequence[LabelledImage]:
    return generate(folder, count, 2, (64, 96), (1, 2), (0.3, 0.6), 2)


def tiny_task(folder: Path, num_train: int = 8, num_val: int = 4, **edits: Any) -> Task:
    images = tiny_data(folder / 'data', max(num_train + num_val, 1))
    return prepare_training(
        folder / 'task',
        ['one', 'two'],
        images[:num_train],
        images[num_train : num_train + num_val],
        hyper_parameters('training', {**TINY, **edits}),
    )


def environment(task: Task, **extra: str) -> dict[str, str]:
    return dict(os.environ, DEFAULT_ENV_FILE_PATH=str(task.in_dir / 'env.yaml'), OMP_NUM_THREADS='1', **extra)


def run_start(
    task: Task, cwd: Path, python: str = '', timeout: float = 300, **extra: str
) -> subprocess.CompletedProcess:
    """Run start.py with stdout and stderr in one stream, as the platform's log has them."""
    return subprocess.run(
        [python or warm_python(), str(REPOSITORY / 'ymir' / 'start.py')],
        env=environment(task, **extra),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )


def in_this_process(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `ymir_training.main` run this task here, up to the end of the training itself; what it changes in its process
    is undone after the test.
    """
    monkeypatch.setattr(settings, 'DEFAULT_ENV_FILE_PATH', str(task.in_dir / 'env.yaml'))
    monkeypatch.setattr(settings, 'DEFAULT_CONFIG_FILE_PATH', str(task.in_dir / 'config.yaml'))
    monkeypatch.setattr(ymir_training, 'configure_logging', lambda level='info': None)
    monkeypatch.setattr(ymir_training, 'examine_labelled_images', lambda task: None)  # which starts processes
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', os.environ.get('CUDA_VISIBLE_DEVICES', ''))


def read_monitor(task: Task) -> tuple[float, int, int, str]:
    """Percent, state, code and message, parsed as strictly as the platform does."""
    columns = task.monitor_file.read_text(encoding='utf-8').split('\n')[0].strip().split('\t')
    assert 4 <= len(columns) <= 6
    assert columns[0] == task.task_id
    float(columns[1])
    percent, state = float(columns[2]), int(columns[3])
    assert 0 <= percent <= 1 and state in range(5)
    return percent, state, int(columns[4]) if len(columns) > 4 else 0, columns[5] if len(columns) > 5 else ''


def resumable_epoch(task: Task) -> int:
    """Return the epoch that `--resume` goes on from, 0 for none; it is the one of stage `last` or the one before.

    The epoch of a training killed between result.yaml and resume.pth is trained again. In the other order it would
    count as done without a stage.
    """
    models = task.out_dir / 'models'
    is_left = (models / 'last_checkpoint').exists()
    epoch = load_checkpoint(models / 'resume.pth')['meta']['epoch'] if is_left else 0
    weights = check_result(task)['model_stages']['last']['files'][0]
    assert load_checkpoint(models / weights)['meta']['epoch'] - epoch in (0, 1)
    return epoch


def check_result(task: Task) -> dict[str, Any]:
    """Apply the platform's rules to result.yaml (section d.2)."""
    models = task.out_dir / 'models'
    result = yaml.safe_load((models / 'result.yaml').read_text(encoding='utf-8'))
    stages = result['model_stages']
    assert result['best_stage_name'] in stages and len(stages) <= 11
    for name, stage in stages.items():
        assert stage['stage_name'] == name and name.isidentifier()
        assert isinstance(stage['timestamp'], int) and 0 < stage['timestamp'] < 2**31
        assert isinstance(stage['mAP'], float) and 0 <= stage['mAP'] <= 1
        assert isinstance(stage['files'], list) and stage['files']
        for file in stage['files']:
            path = models / file
            assert path.is_file() and not path.is_symlink() and path.stat().st_size > 0, path
    assert all(math.isfinite(float(value)) for value in result['evaluate_config'].values())
    return result
