"""What a training frees stays with its process, and what its loader workers free does not."""

import os
import resource
import traceback

from mmengine.config import Config

from tmi.settings import TrainingSettings
from tmi.training import train_loop
from tmi.training.config import TrainingTask, modify_mmengine_config
from tmi.training.data import TrainingData
from tmi.training.freed_memory import keep_freed_memory
from tmi.training.train_loop import TaskTrainLoop
from tmi.zoo.models import find_model

from .simulated import Clock, Machine, Runner

STEPS, BYTES = 8, 48 * 1024**2


def faults_of_steps(size=BYTES):
    """Take, fill and free as much memory in each step; return the pages that the system had to map for it."""
    filled = bytes(size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(STEPS):
        bytearray(filled)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def in_a_child(check):
    """Run what changes the process in one of its own."""
    child = os.fork()
    if child == 0:
        try:
            check()
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def test_kept_memory_is_mapped_once():
    def check():
        returned = faults_of_steps()
        assert keep_freed_memory()
        faults_of_steps()
        assert faults_of_steps() < 0.1 * returned

    in_a_child(check)


def test_a_loader_worker_returns_what_it_frees():
    def check():
        returned = faults_of_steps()
        keep_freed_memory()
        faults_of_steps()

        def in_a_worker():
            assert faults_of_steps(2 * BYTES) > 0.5 * returned  # more than what was kept before the fork

        in_a_child(in_a_worker)

    in_a_child(check)


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
