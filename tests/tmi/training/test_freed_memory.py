"""What a training frees stays with its process, and what its loader workers free does not."""

import subprocess
import sys
from pathlib import Path

from mmengine.config import Config

from tmi.settings import TrainingSettings
from tmi.training import train_loop
from tmi.training.config import TrainingTask, modify_mmengine_config
from tmi.training.data import TrainingData
from tmi.training.train_loop import TaskTrainLoop
from tmi.zoo.models import find_model

from .freed_memory_checks import check_kept_memory, check_worker
from .simulated import Clock, Machine, Runner


def in_a_new_process(check):
    """Run what changes the process in one that has never failed to get memory: after that, malloc takes other heaps."""
    code = f'from {check.__module__} import {check.__name__} as check; check()'
    subprocess.run([sys.executable, '-c', code], cwd=Path(__file__).parents[3], check=True)


def test_kept_memory_is_mapped_once():
    in_a_new_process(check_kept_memory)


def test_a_loader_worker_returns_what_it_frees():
    in_a_new_process(check_worker)


def test_a_training_on_a_cpu_keeps_it(tmp_path, monkeypatch):
    params = TrainingSettings(class_names=['one'], precision='fp32')
    data = TrainingData(tmp_path / 'train.json', tmp_path / 'val.json', ((64, 48),) * 8)
    model = find_model('yolov8_n')
    task = TrainingTask(params, model, data, 1, 'cpu', tmp_path, tmp_path)
    options = modify_mmengine_config(Config.fromfile(model.config), task).run.train_cfg
    calls = []
    monkeypatch.setattr(train_loop, 'keep_freed_memory', lambda: calls.append('kept'))
    runner = Runner(Machine(), Clock(), [])  # its own loop keeps nothing
    TaskTrainLoop(runner, runner.train_loop.dataloader, 1, keep_freed=options.keep_freed)
    assert calls == ['kept']
