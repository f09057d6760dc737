"""A training that is asked to stop at any step, resumed in another process: the same as one that was not disturbed."""

import math
import os
import random
import signal

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from tmi.errors import DiskFullError, NotFiniteError, StepMemoryError, StoppedError
from tmi.training import train_loop
from tmi.training.finite_loss_hook import FiniteLossHook
from tmi.training.training_state import (
    Position,
    find_state,
    is_finite,
    read_state,
    seed_step,
    state_of,
    state_of_weights,
)
from tmi.training.watch import FOLDER_VARIABLE, STOP_FILE

STEPS, EPOCHS = 5, 3  # of an epoch
SCHEDULERS = [
    {'type': 'CosineAnnealingLR', 'by_epoch': False, 'T_max': EPOCHS * STEPS},
    {'type': 'ExponentialLR', 'gamma': 0.5, 'by_epoch': True},
]


class Noise(Dataset):
    """Ten points, for a training drawn anew each time."""

    def __init__(self, is_drawn):
        self.is_drawn = is_drawn

    metainfo = {'classes': ('one',)}

    def __len__(self):
        return 2 * STEPS

    def __getitem__(self, index):
        return torch.tensor(
            [index / 10, *([random.random(), float(np.random.rand())] if self.is_drawn else [0.3, 0.7])]
        )


class Net(BaseModel):
    """A model that draws numbers too."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))

    def forward(self, inputs, mode):
        points = torch.as_tensor(inputs)
        out = self.layers(points)[:, 0]
        return {'loss': (out - points[:, 0]).square().mean()} if mode == 'loss' else [float(out.sum())]

    def train_step(self, data, optim_wrapper):
        losses = self(data, 'loss')
        optim_wrapper.update_params(losses['loss'])
        return {'loss': losses['loss'].detach()}

    def val_step(self, data):
        return self(data, 'predict')


class Mean(BaseMetric):
    default_prefix = 'coco'

    def process(self, data_batch, data_samples):
        self.results.extend(data_samples)

    def compute_metrics(self, results):
        return {'bbox_mAP': float(np.mean(results))}


class Recorder(Hook):
    """Asks to stop at an instant, and keeps what matters.

    Args:
        folder: of the files.
        instant: number of the step of the run, from 1, or 'val' for the first validation.
    """

    priority = 'VERY_HIGH'

    def __init__(self, folder, instant=None):
        self.folder, self.instant, self.validated, self.lost = folder, instant, [], False

    def _stop(self):
        (self.folder / STOP_FILE).write_text(str(signal.SIGTERM.value))

    def after_train_iter(self, runner, *_, **__):
        if runner.iter + 1 == self.instant:
            self._stop()

    def after_train_epoch(self, runner):
        if self.instant == 'epoch':
            self._stop()

    def after_val_iter(self, runner, *_, **__):
        if self.instant == 'val':
            self._stop()

    def after_val_epoch(self, runner, metrics=None):
        self.validated.append((runner.epoch, metrics['coco/bbox_mAP']))

    def save_state(self, runner, position):
        torch.save(state_of(runner, position), self.folder / 'resume.pth')


def make_runner(folder, instant=None, resume=None, **train_cfg):
    torch.manual_seed(7)  # the model is built before mmengine sets its seed
    recorder = Recorder(folder, instant)
    loader = {'batch_size': 2, 'num_workers': 0, 'collate_fn': {'type': 'default_collate'}}
    return recorder, Runner(
        Net(),
        str(folder / 'work'),
        train_dataloader={**loader, 'dataset': Noise(True), 'sampler': {'type': 'DefaultSampler', 'shuffle': True}},
        val_dataloader={**loader, 'dataset': Noise(False), 'sampler': {'type': 'DefaultSampler', 'shuffle': False}},
        train_cfg={'type': 'TaskTrainLoop', 'max_epochs': EPOCHS, 'val_interval': 2, **train_cfg},
        val_cfg={},
        val_evaluator=[Mean()],
        optim_wrapper={'optimizer': {'type': 'AdamW', 'lr': 0.05}},
        param_scheduler=SCHEDULERS,
        cfg={'param_scheduler': SCHEDULERS},
        default_hooks={'checkpoint': None, 'timer': {'type': 'IterTimerHook'}, 'logger': None},
        custom_hooks=[
            recorder,
            {'type': 'ValidationReportHook'},
            {'type': 'EMAHook', 'ema_type': 'ExponentialMovingAverage', 'momentum': 0.1, 'update_buffers': True},
        ],
        randomness={'seed': 3},
        default_scope='mmengine',
        experiment_name=f'toy-{folder.name}-{instant}-{random.random()}',
        resume=bool(resume),
        load_from=str(resume) if resume else None,
        log_level='ERROR',
    )


def weights_of(runner):
    ema = next(hook for hook in runner.hooks if hasattr(hook, 'ema_model'))
    return {**runner.model.state_dict(), **{f'ema.{name}': value for name, value in ema.ema_model.state_dict().items()}}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    return tmp_path


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
    os.environ.pop(FOLDER_VARIABLE, None)
    recorder, runner = make_runner(tmp_path_factory.mktemp('undisturbed'))
    runner.train()
    assert [epoch for epoch, _ in recorder.validated] == [2, 3]
    return recorder.validated, weights_of(runner), runner.optim_wrapper.param_groups[0]['lr']


@pytest.mark.parametrize('instant', [1, 4, 5, 10, 13, 15, 'epoch', 'val'])
def test_it_ends_as_if_nothing_had_happened(folder, undisturbed, instant):
    first, runner = make_runner(folder, instant)
    with pytest.raises(StoppedError, match='stopped by SIGTERM after step'):
        runner.train()
    stopped = runner.iter
    assert stopped == (instant if isinstance(instant, int) else {'epoch': STEPS, 'val': 2 * STEPS}[instant])
    (folder / STOP_FILE).unlink()
    second, runner = make_runner(folder, resume=folder / 'resume.pth')
    steps = []
    runner.register_hook(Recorder(folder))
    runner.call_hook = lambda name, call=runner.call_hook, **values: (
        name == 'before_train_iter' and steps.append(1),
        call(name, **values),
    )
    runner.train()
    assert len(steps) == EPOCHS * STEPS - stopped
    validated, weights, rate = undisturbed
    assert first.validated + second.validated == validated
    assert runner.optim_wrapper.param_groups[0]['lr'] == rate
    for name, value in weights_of(runner).items():
        assert torch.equal(value, weights[name]), name


def test_a_state_holds_no_text_of_a_config_of_which_a_resumed_training_would_say_that_it_is_not_used(folder):
    _, runner = make_runner(folder, 1)
    with pytest.raises(StoppedError):
        runner.train()
    assert runner.message_hub.get_info('cfg')
    state = torch.load(folder / 'resume.pth', weights_only=False)
    assert 'cfg' not in state['message_hub']['runtime_info'] and 'position' in state['message_hub']['runtime_info']


def test_a_state_for_which_there_is_no_room_is_not_called_saved(folder):
    recorder, runner = make_runner(folder, 2)

    def fail(runner, position):
        raise DiskFullError('The disk is full.')

    recorder.save_state = fail
    with pytest.raises(StoppedError, match='after step 2 of epoch 1. The disk is full. Started again in the same'):
        runner.train()


def test_a_state_that_holds_no_numbers_is_not_saved(folder):
    """The loss is looked at later than the step was made, where it is on a GPU."""
    recorder, runner = make_runner(folder, 2)

    def spoil(runner, *_, **__):
        with torch.no_grad():
            runner.model.layers[0].weight[0, 0] = math.nan

    recorder.before_train_iter = spoil
    with pytest.raises(StoppedError, match='after step 2 of epoch 1. Its weights are not numbers, so .* earlier state'):
        runner.train()
    assert not (folder / 'resume.pth').exists()


def test_other_random_numbers_after_a_loss_that_was_none(folder):
    """Another order, and the rate of the state times a factor."""
    orders = []
    for shuffle in (0, 1):
        _, runner = make_runner(folder, shuffle=shuffle, rate_factor=0.5 if shuffle else 1.0)
        runner.train_loop  # noqa: B018  builds it
        runner._train_loop = runner.build_train_loop(runner._train_loop)
        orders.append(list(runner.train_dataloader.sampler))
    assert sorted(orders[0]) == sorted(orders[1]) and orders[0] != orders[1]


def test_the_rate_is_scaled_from_where_the_state_is(folder):
    rates = []
    for factor in (1.0, 0.5):
        _, runner = make_runner(folder, rate_factor=factor)
        runner.train()
        rates.append([runner.optim_wrapper.param_groups[0][name] for name in ('lr', 'initial_lr')])
    assert rates[1] == pytest.approx([value / 2 for value in rates[0]])


def test_a_step_that_needs_too_much_memory_says_so(folder, monkeypatch):
    _, runner = make_runner(folder)
    monkeypatch.setattr(Net, 'train_step', lambda self, *_, **__: torch.empty(2**60))
    with pytest.raises(StepMemoryError, match="DefaultCPUAllocator: (can't|not enough)"):
        runner.train()


@pytest.mark.parametrize('end', ['is killed by signal: Killed. ', 'is killed by signal: Bus error. '])
def test_a_loader_process_that_is_lost_during_a_step_needs_no_smaller_step(folder, monkeypatch, end):
    _, runner = make_runner(folder)

    def lose(self, *_, **__):  # PyTorch raises it wherever the training is
        raise RuntimeError(f'DataLoader worker (pid 7) {end}')

    monkeypatch.setattr(Net, 'train_step', lose)
    with pytest.raises(RuntimeError, match='DataLoader worker'):
        runner.train()


def test_another_error_of_a_step_stays_what_it_is(folder, monkeypatch):
    _, runner = make_runner(folder)

    def fail(self, *_, **__):
        raise RuntimeError('ours')

    monkeypatch.setattr(Net, 'train_step', fail)
    with pytest.raises(RuntimeError, match='ours'):
        runner.train()


def test_weights_that_are_no_numbers_are_not_saved(folder):
    """Of a step with a finite loss and an infinite gradient."""
    _, runner = make_runner(folder)
    assert is_finite(runner.model)
    with torch.no_grad():
        runner.model.layers[0].weight[0, 0] = math.inf
    assert not is_finite(runner.model)
    runner.train_loop  # noqa: B018
    with pytest.raises(NotFiniteError, match='Weights are not numbers after epoch 1'):
        FiniteLossHook().after_train_epoch(runner)


def test_the_numbers_of_a_step_follow_from_where_it_is():
    def draw(*numbers):
        seed_step(*numbers)
        return random.random(), float(np.random.rand()), float(torch.rand(1))

    first = draw(0, 0, 1, 2, 0)
    assert draw(0, 0, 1, 2, 0) == first
    others = [draw(*numbers) for numbers in ((1, 0, 1, 2, 0), (0, 1, 1, 2, 0), (0, 0, 2, 1, 0), (0, 0, 1, 2, 1))]
    assert len({first, *others}) == 5


def save(path, epoch, **more):
    torch.save({'meta': {'epoch': epoch, 'iter': epoch * STEPS}, 'state_dict': {'a': torch.ones(3)}, **more}, path)


def test_a_damaged_state_is_passed_over(tmp_path, caplog):
    whole, cut, weights = (tmp_path / name for name in ('whole.pth', 'cut.pth', 'epoch_3.pth'))
    save(whole, 4, optimizer={})
    save(weights, 3)
    cut.write_bytes(whole.read_bytes()[:200])
    assert find_state([tmp_path / 'missing.pth', whole, weights]).path == whole
    found = find_state([cut, weights])
    assert found.path == weights and not found.is_whole and 'cut.pth cannot be read' in caplog.text
    assert find_state([cut]) is None and read_state(tmp_path / 'missing.pth') is None
    state = state_of_weights(found.content)
    assert state['meta']['epoch'] == 3 and 'optimizer' not in state


def test_a_training_goes_on_from_weights_alone_with_the_rate_of_its_place(folder):
    """The optimizer begins anew; epoch and schedule go on."""
    _, runner = make_runner(folder, 2 * STEPS)
    with pytest.raises(StoppedError):
        runner.train()
    (folder / STOP_FILE).unlink()
    content = read_state(folder / 'resume.pth')
    content['meta'].update(epoch=2, iter=2 * STEPS)
    torch.save(state_of_weights(content), folder / 'weights.pth')
    recorder, runner = make_runner(folder, resume=folder / 'weights.pth')
    rates = []
    recorder.before_train_iter = lambda runner, *_, **__: rates.append(runner.optim_wrapper.param_groups[0]['lr'])
    runner.train()
    angle = math.pi * 2 * STEPS / (EPOCHS * STEPS)
    assert len(rates) == STEPS and rates[0] == pytest.approx(0.05 * (1 + math.cos(angle)) / 2 * 0.25, rel=0.02)


def test_positions_follow_the_length_of_an_epoch():
    hub = {'position': [6, 12, False]}
    from types import SimpleNamespace

    def at(length):
        runner = SimpleNamespace(message_hub=SimpleNamespace(runtime_info=hub), train_dataloader=range(length))
        return train_loop.position_of(runner)

    assert at(12) == Position(6, 12) and at(4) == Position(2, 4) and at(24) == Position(12, 24)
    hub.clear()
    assert at(4) == Position()
