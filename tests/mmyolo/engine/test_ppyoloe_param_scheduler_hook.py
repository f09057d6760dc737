"""The learning rate of PPYOLOE, iteration by iteration."""

import math
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper

from mmyolo.engine import PPYOLOEParamSchedulerHook


class Run:
    """Steps a hook through iterations of a training of nothing."""

    def __init__(self, hook, iters_per_epoch, epochs, lrs=(0.01, 0.02), initial=None):
        groups = [{'params': [torch.nn.Parameter(torch.zeros(1))], 'lr': lr} for lr in lrs]
        self.optimizer = torch.optim.SGD(groups, momentum=0.9)
        for group in self.optimizer.param_groups:
            if initial:
                group['initial_lr'] = initial
        self.hook = hook
        self.state = SimpleNamespace(
            optim_wrapper=OptimWrapper(self.optimizer),
            train_dataloader=range(iters_per_epoch),
            iter=0,
            epoch=0,
            max_iters=iters_per_epoch * epochs,
        )
        hook.before_train(self.state)

    def rates(self, iteration):
        self.state.iter = iteration
        self.hook.before_train_iter(self.state, 0)
        assert all(group['momentum'] == 0.9 for group in self.optimizer.param_groups)
        return [group['lr'] for group in self.optimizer.param_groups]


def test_numbers():
    run = Run(PPYOLOEParamSchedulerHook(total_epochs=96), 500, 80)
    for iteration, factor in {
        0: 0,
        1: 4e-4,
        1250: 0.5,
        2500: 1,
        2501: 0.5 * (1 + math.cos(math.pi / 45500)),
        25250: 0.5,
        39999: 0.5 * (1 + math.cos(math.pi * 37499 / 45500)),
    }.items():
        assert run.rates(iteration) == pytest.approx([0.01 * factor, 0.02 * factor], rel=1e-6), iteration


def test_start_and_end():
    run = Run(
        PPYOLOEParamSchedulerHook(10, start_factor=0.1, warmup_epochs=1, min_lr_ratio=0.05, total_epochs=4), 20, 4
    )
    assert run.rates(0)[0] == pytest.approx(0.001)
    assert run.rates(5)[0] == pytest.approx(0.01 * (0.1 * 0.75 + 0.25))
    assert run.rates(50)[0] == pytest.approx(0.01 * (0.05 + 0.95 / 2))
    assert run.rates(80)[0] == pytest.approx(0.0005)
    assert run.rates(100)[0] == pytest.approx(0.0005), 'after the cosine'


def test_least_iterations_of_the_warmup_and_none():
    assert Run(PPYOLOEParamSchedulerHook(), 10, 80).rates(500)[0] == pytest.approx(0.005)
    assert Run(PPYOLOEParamSchedulerHook(0, warmup_epochs=0), 10, 80).rates(0)[0] == pytest.approx(0.01)


def test_resumed_optimizer_keeps_its_first_rate():
    run = Run(PPYOLOEParamSchedulerHook(0, warmup_epochs=0, min_lr_ratio=0.1, total_epochs=2), 10, 2, initial=0.04)
    assert run.rates(20) == pytest.approx([0.004, 0.004])


@pytest.mark.parametrize('epochs, warned', [(20, True), (101, False)])
def test_a_training_shorter_than_its_warmup_is_warned_of(epochs, warned, monkeypatch):
    messages = []
    monkeypatch.setattr('mmyolo.engine.hooks.warmup.print_log', lambda message, *_: messages.append(message))
    hook = PPYOLOEParamSchedulerHook()
    hook.before_train_epoch(Run(hook, 10, epochs).state)
    assert ['warmup_min_iter of PPYOLOE' in message for message in messages] == [True] * warned
    assert hook.priority == 9
