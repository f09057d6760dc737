"""A training ends inside its time budget, on machines that are slow, fast and drift; the clock is simulated."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import EMAHook, Hook
from mmengine.optim import OptimWrapper

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
from mmyolo.registry import HOOKS, MODELS, PARAM_SCHEDULERS
from mmyolo.utils import register_all_modules
from tmi.families import family_of
from tmi.families.dense_schedule import PPYOLOE_HOOK, SWITCH_HOOKS, YOLOV5_HOOK
from tmi.families.reschedule import Done
from tmi.settings import TrainingSettings
from tmi.training import time_budget_hook, train_loop
from tmi.training.config import TrainingTask, modify_mmengine_config
from tmi.training.data import TrainingData
from tmi.training.task_file import read_task, write_task
from tmi.training.time_budget_hook import TimeBudgetHook
from tmi.training.time_plan import Costs, Length, Position, Validations, longest, seconds_left
from tmi.zoo.models import find_model

from .simulated import Clock, Machine, Runner

START, LAUNCH = 12.0, 6.0
EXAMINED = 240
KINDS = (YOLOV5_HOOK, PPYOLOE_HOOK, 'EMAHook', *SWITCH_HOOKS)
IMAGES = 200  # 20 steps an epoch


class Rates(Hook):
    """Notes the rate of each step."""

    priority = 'LOWEST'

    def __init__(self):
        self.rates = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.rates.append(runner.optim_wrapper.param_groups[-1]['lr'])


def make_task(tmp_path, model='yolov8_n', images=IMAGES, **edits):
    params = TrainingSettings(class_names=['one'], model_name=model, precision='fp32', samples_per_gpu=10, **edits)
    data = TrainingData(tmp_path / 'train.json', tmp_path / 'val.json', ((640, 480),) * images, 40)
    places = tmp_path / 'models', tmp_path / 'tensorboard'
    task = TrainingTask(params, find_model(model), data, 1, 'cpu', *places, file=tmp_path / 'task.json', started=1000.0)
    write_task(task.file, task)
    return task


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (train_loop, time_budget_hook):
        monkeypatch.setattr(module, 'time', clock)
    register_all_modules()
    return clock


def simulate(clock, machine, task, minutes=None, more_hooks=(), launch=LAUNCH, starts=1.0):
    """Train a task as its config says, with a stand-in for the model, and what comes before and after.

    Args:
        clock: the time.
        machine: how fast it is.
        task: what to train.
        minutes: the budget; None for a number of epochs given by hand.
        more_hooks: that look on.
        launch: seconds until the training process trains.
        starts: what the processes after the training take to start, as a multiple of that.
    """
    run = modify_mmengine_config(Config.fromfile(task.model.config), task).run
    rates = Rates()
    rate_hook = run.default_hooks.get('param_scheduler') or {'type': 'ParamSchedulerHook'}
    hooks = [*more_hooks, HOOKS.build(dict(rate_hook)), rates]
    clock.now += START
    if minutes:
        arguments = dict(started=task.started, seconds=60 * minutes, launched=clock.now - launch)
        hooks.append(TimeBudgetHook(str(task.file), num_validated=40, num_examined=EXAMINED, **arguments))
    steps = math.ceil(task.data.num_train / 10)
    runner = Runner(machine, clock, hooks, steps=steps, epochs=run.train_cfg.max_epochs)
    runner.train_loop.set_length(
        run.train_cfg.max_epochs,
        run.train_cfg.max_epochs * steps,
        run.train_cfg.val_interval,
        run.train_cfg.get('dynamic_intervals'),
    )
    runner.cfg, runner.param_schedulers = run, None
    runner.optim_wrapper = runner.build_optim_wrapper(run.optim_wrapper)
    runner.model.bbox_head = SimpleNamespace()
    if run.get('param_scheduler'):
        default = {'optimizer': runner.optim_wrapper, 'epoch_length': steps}
        runner.param_schedulers = [
            PARAM_SCHEDULERS.build(dict(item), default_args=default) for item in run.param_scheduler
        ]
    runner.train_loop.run()
    runner.spend(starts * launch + 3 + EXAMINED * machine.step / 10 * 0.6)
    runner.rates, runner.seconds = rates.rates, clock.now - task.started
    return runner


MACHINES = {
    'steady': lambda seconds: 1.0,
    'slower and slower': lambda seconds: 1 + seconds / 300,
    'faster and faster': lambda seconds: 1 / (1 + seconds / 400),
    'slow for a while': lambda seconds: 3.0 if 60 < seconds % 300 < 120 else 1.0,
    'slow at first': lambda seconds: 2.5 if seconds < 50 else 1.0,
    'in waves': lambda seconds: 1 + 0.3 * math.sin(seconds / 7),
    'in large waves': lambda seconds: 1 + 0.5 * math.sin(seconds / 20),
    'slow for most of the time': lambda seconds: 4.0 if seconds < 120 else 1.0,
    'fast at last': lambda seconds: 2.0 if seconds < 110 else 1.0,
    'slow at last': lambda seconds: 2.0 if seconds > 120 else 1.0,
}


@pytest.mark.parametrize(
    'minutes, drift',
    [
        *((3, drift) for drift in MACHINES),
        *(pytest.param(10, drift, marks=pytest.mark.slow) for drift in MACHINES),
        pytest.param(30, 'steady', marks=pytest.mark.slow),
    ],
)
def test_a_task_ends_within_ten_percent_and_never_over(clock, tmp_path, minutes, drift):
    machine = Machine(step=0.25, validation=2.0)
    machine.slower = MACHINES[drift]
    runner = simulate(clock, machine, make_task(tmp_path, max_minutes=minutes), minutes)
    assert 0.9 * 60 * minutes <= runner.seconds <= 60 * minutes
    assert runner.validated[-1] == runner.epoch == runner.max_epochs
    assert runner.messages[0].startswith(f'Planned for {minutes} minutes: ')


@pytest.mark.parametrize(
    'step, validation, images',
    [(0.02, 0.3, 60), (4.0, 30.0, 200), (0.5, 1.0, 20_000), (0.2, 20.0, 40)],
    ids=['fast', 'slow', 'less than an epoch', 'mostly validations'],
)
def test_tasks_of_any_kind(clock, tmp_path, step, validation, images):
    machine = Machine(step=step, validation=validation)
    runner = simulate(clock, machine, make_task(tmp_path, images=images, max_minutes=10), 10)
    assert 540 <= runner.seconds <= 600 and runner.validated


@pytest.mark.parametrize('model', ['yolov8_n', 'ppyoloe_plus_s', 'rtmdet_tiny', 'yolox_tiny'])
def test_the_schedule_is_that_of_as_many_epochs_given_by_hand(clock, tmp_path, model, caplog):
    machine = Machine(step=0.25, validation=2.0)
    with caplog.at_level('INFO', logger='tmi'):
        runner = simulate(clock, machine, make_task(tmp_path, model, max_minutes=10), 10)
    assert len(caplog.messages) == len(set(caplog.messages))  # configs of other lengths repeat nothing
    clock.now = 1000.0
    again = simulate(clock, machine, make_task(tmp_path, model, max_epochs=runner.max_epochs))
    assert again.iter == runner.iter == runner.max_epochs * 20
    assert runner.rates[40:] == pytest.approx(again.rates[40:], rel=1e-6)
    assert runner.validated == again.validated


@pytest.mark.parametrize(
    'minutes, step, expected', [pytest.param(10, 0.02, 'SGD', marks=pytest.mark.slow), (3, 0.25, 'AdamW')]
)
def test_the_optimizer_is_that_of_the_length_of_the_run(clock, tmp_path, minutes, step, expected):
    task = make_task(tmp_path, images=160 if expected == 'SGD' else 600, max_minutes=minutes)
    guess = modify_mmengine_config(Config.fromfile(task.model.config), task).run
    assert guess.optim_wrapper.optimizer.type != expected  # 1,600 steps are few, 6,000 are not
    runner = simulate(clock, Machine(step=step), task, minutes)
    assert type(runner.optim_wrapper.optimizer).__name__ == expected
    clock.now = 1000.0
    again = simulate(
        clock, Machine(step=step), make_task(tmp_path, images=task.data.num_train, max_epochs=runner.epoch)
    )
    assert runner.rates[60 : again.iter] == pytest.approx(again.rates[60 : runner.iter], rel=1e-6)


def test_on_a_loaded_machine_more_time_is_left_for_what_follows(clock, tmp_path):
    ends = []
    for computed in (LAUNCH, LAUNCH / 4):
        clock.now, clock.computed = 1000.0, computed
        ends.append(simulate(clock, Machine(step=0.25), make_task(tmp_path, max_minutes=3), 3).seconds)
    assert 3 < ends[0] - ends[1] < 15  # of some 8 and 17 seconds for starts


def test_a_heavily_loaded_machine_uses_its_time(clock, tmp_path, monkeypatch):
    """Where a process gets a seventh of a core, two that start together take twice as long as one, not five times."""
    monkeypatch.setattr(time_budget_hook, 'predicting_processes', lambda num_images: 2)
    clock.computed = 32 / 7
    task = make_task(tmp_path, max_minutes=10)
    runner = simulate(clock, Machine(step=1.6, validation=4.0), task, 10, launch=32, starts=2.0)
    assert 540 <= runner.seconds <= 600


def test_the_number_of_epochs_of_the_user_is_a_limit(clock, tmp_path):
    runner = simulate(clock, Machine(step=0.1), make_task(tmp_path, max_minutes=10, max_epochs=30), 10)
    assert runner.epoch == 30 and runner.seconds < 300
    assert runner.messages[0].startswith('Planned for 10 minutes: 30 epochs (600 steps), so that')
    clock.now = 1000.0
    runner = simulate(clock, Machine(step=1.0), make_task(tmp_path, max_minutes=10, max_epochs=90), 10)
    assert runner.epoch < 30 and 540 <= runner.seconds <= 600


def test_a_budget_that_is_too_short_is_said(clock, tmp_path):
    runner = simulate(clock, Machine(step=2.0, validation=30.0), make_task(tmp_path, max_minutes=0.5), 0.5)
    warning = next(line for line in runner.messages if 'too short' in line)
    assert warning.startswith('max_minutes: 0.5 is too short for this task, which takes ')
    assert runner.iter == 5 and runner.validated == [1]


@pytest.mark.parametrize('faster, is_made_longer', [(1.1, False), (5, True)])
def test_a_run_in_its_last_phase_is_made_longer_where_much_is_missing(clock, tmp_path, faster, is_made_longer):
    machine = Machine(step=0.25, validation=2.0)
    lengths = []

    class Faster(Hook):
        def before_train_epoch(self, runner):
            lengths.append(runner.max_epochs)
            if runner.epoch == runner.max_epochs - 8:
                machine.step = 0.25 / faster

    runner = simulate(clock, machine, make_task(tmp_path, max_minutes=10), 10, [Faster()])
    assert (lengths[-1] > lengths[-30]) == is_made_longer and runner.epoch == runner.max_epochs
    assert 0.9 * 600 <= runner.seconds <= 600


@pytest.mark.parametrize(
    'interval, dense, first, last', [(1, 0, 1, 9), (3, 0, 1, 9), (3, 0, 4, 10), (4, 3, 2, 11), (5, 20, 3, 9)]
)
def test_validations_are_counted(interval, dense, first, last):
    expected = [
        epoch for epoch in range(first, last + 1) if epoch % interval == 0 or epoch > last - dense or epoch == last
    ]
    assert Validations(interval, dense).count(first, last) == len(expected)


def test_the_longest_run():
    costs, each = Costs(1.0, 5.0, 10.0), Validations()
    start = Position(0, 1)
    assert longest(costs, each, start, 10, 100.0, 90.0) == Length(6, 60)  # 60 + 30 + 10 seconds
    assert longest(costs, each, start, 10, 112.0, 90.0) == Length(6, 60)  # the last whole one is long enough
    assert longest(costs, each, start, 10, 112.0, 105.0) == Length(7, 67)
    assert longest(costs, each, start, 100, 60.0, 50.0) == Length(1, 45)  # less than an epoch
    assert longest(costs, each, start, 10, 3.0) == Length(1, 1)
    assert longest(costs, each, Position(30, 4), 10, 3.0) == Length(3, 30)
    assert seconds_left(costs, each, Position(30, 4), Length(5, 50)) == 20 + 10 + 10


def test_a_task_is_read_as_it_was_written(tmp_path):
    task = make_task(tmp_path, max_minutes=7)
    assert read_task(Path(task.file)) == task and task.deadline == 1000 + 420


@pytest.mark.parametrize('model, longer', [('yolov8_n', 60), ('yolov8_n', 4), ('yolox_tiny', 60), ('ppyoloe_s', 60)])
def test_hooks_of_a_run_get_the_numbers_of_another_length(tmp_path, model, longer):
    register_all_modules()
    task = make_task(tmp_path, model, max_epochs=20)
    family = family_of(Config.fromfile(task.model.config).model)

    def hooks_of(epochs):
        params = task.params.model_copy(update={'max_epochs': epochs})
        run = modify_mmengine_config(Config.fromfile(task.model.config), replace(task, params=params)).run
        schedule = [
            item
            for item in (run.default_hooks.get('param_scheduler'), *run.custom_hooks)
            if item and item['type'] in KINDS
        ]
        hooks = [HOOKS.build({key: item[key] for key in item if key != 'priority'}) for item in schedule]
        for hook in hooks:
            hook.priority = 'NORMAL'
            if isinstance(hook, EMAHook):
                hook.ema_model = MODELS.build(dict(hook.ema_cfg), default_args={'model': torch.nn.Linear(2, 2)})
        return run, hooks

    run, hooks = hooks_of(20)
    other, expected = hooks_of(longer)
    optimizer = OptimWrapper(torch.optim.SGD(torch.nn.Linear(2, 2).parameters(), 0.1))
    runner = SimpleNamespace(
        cfg=run, hooks=hooks, _hooks=hooks, optim_wrapper=optimizer, train_dataloader=range(20), param_schedulers=None
    )
    other.optim_wrapper.optimizer.type = run.optim_wrapper.optimizer.type
    runner.model = SimpleNamespace(bbox_head=SimpleNamespace(initial_epoch=0))
    family.reschedule(runner, other, Done(0, 0))
    assert runner.model.bbox_head.initial_epoch == other.model.train_cfg.get('initial_epoch', 0)
    by_type = {type(hook): hook for hook in expected}
    for hook in hooks:
        if type(hook) not in by_type:  # too short for last epochs: they begin after the end
            assert hook.switch_epoch > longer
            continue
        new = by_type[type(hook)]
        for name in ('warmup_epochs', 'warmup_mim_iter', 'total_epochs', 'switch_epoch', 'num_last_epochs'):
            assert getattr(hook, name, None) == getattr(new, name, None), name
        if hasattr(hook, 'scheduler_fn'):
            assert [hook.scheduler_fn(epoch) for epoch in range(4)] == [new.scheduler_fn(epoch) for epoch in range(4)]
        if isinstance(hook, EMAHook):
            assert (hook.ema_model.momentum, hook.ema_model.gamma) == (new.ema_model.momentum, new.ema_model.gamma)
