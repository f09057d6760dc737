"""What the hook of a training writes, step by step."""

from types import SimpleNamespace

import pytest
import torch

from tmi.errors import TaskError
from tmi.training.finite_loss_hook import FiniteLossHook
from ymir import progress
from ymir.progress_hook import YmirProgressHook
from ymir_exc import settings

from .platform import read_monitor, tiny_task


@pytest.fixture
def task(tmp_path, monkeypatch):
    task = tiny_task(tmp_path)
    monkeypatch.setattr(settings, 'DEFAULT_ENV_FILE_PATH', str(task.in_dir / 'env.yaml'))
    return task


@pytest.fixture
def runner():
    return SimpleNamespace(iter=0, epoch=0, max_iters=10, train_dataloader=range(5))


def step(hook, runner, loss=1.0):
    hook.after_train_iter(runner, runner.iter % 5, outputs={'loss': torch.tensor(loss)})
    runner.iter += 1


def test_steps_are_written_twice_a_second_and_epochs_always(task, runner, monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr('ymir.progress_hook.time', SimpleNamespace(monotonic=lambda: clock.now))
    hook = YmirProgressHook()
    hook.before_train(runner)
    assert read_monitor(task)[0] == 0
    seen = []
    for seconds in (0.1, 0.3, 0.2, 0.1):  # the third step is the first that is half a second after the last write
        clock.now += seconds
        step(hook, runner)
        seen.append(read_monitor(task)[0])
    assert seen == [0, 0, 0.29, 0.29]  # the examination of the images follows, 3 % of the task
    step(hook, runner)
    hook.after_train_epoch(runner)
    assert read_monitor(task)[0] == 0.49
    for _ in range(5):
        step(hook, runner)
    assert read_monitor(task)[0] == 0.97


def test_a_run_that_becomes_longer_does_not_go_back(task, runner):
    hook = YmirProgressHook()
    hook.before_train(runner)
    runner.iter = 5
    hook.after_train_epoch(runner)
    assert read_monitor(task)[0] == 0.49
    runner.max_iters = 20
    hook.after_train_epoch(runner)
    assert read_monitor(task)[0] == 0.49
    runner.iter = 15
    hook.after_train_epoch(runner)
    assert read_monitor(task)[0] == 0.73


def test_a_training_that_ends_early_is_complete(task, runner):
    hook = YmirProgressHook()
    hook.before_train(runner)
    step(hook, runner)
    hook.after_train(runner)
    assert read_monitor(task)[:3] == (0.97, 2, 0)


@pytest.mark.parametrize('scaled_loss, allowed', [(False, 0), (True, 20)])
def test_a_lost_loss_ends_the_training(task, runner, scaled_loss, allowed):
    hook = FiniteLossHook(scaled_loss)
    for _ in range(allowed):
        step(hook, runner, float('nan'))
    with pytest.raises(TaskError, match=f'epoch 1, step {allowed % 5 + 1} .*learning_rate'):
        step(hook, runner, float('inf'))


def test_the_check_of_the_data_is_the_first_half_of_the_preparation(task, monkeypatch, caplog):
    clock, written = SimpleNamespace(now=100.0), []
    monkeypatch.setattr(progress, 'time', SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(progress, 'write_progress', lambda stage, share: written.append((stage.name, share)))
    with caplog.at_level('INFO', 'ymir'), progress.check_progress() as update:
        for done in (500, 1000, 1500, 2000):
            clock.now += 6
            update(done, 2000)
    assert written == [('PREPROCESS', share) for share in (0, 0.125, 0.25, 0.375, 0.5, 0.5)]
    assert 'check of the data: 1500 of 2000 images, 83.3 images/s, 6 s left' in caplog.text
    with progress.check_progress():  # without an image
        pass
