"""Learning rates and momenta of a training, iteration by iteration."""

import logging
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper

from mmyolo.engine import YOLOv5ParamSchedulerHook
from mmyolo.engine.hooks.yolov5_param_scheduler_hook import cosine_fn, linear_fn


class Run:
    """Steps a hook through a training of nothing."""

    def __init__(self, hook: YOLOv5ParamSchedulerHook, iters_per_epoch: int, epochs: int = 300, optimizer=None) -> None:
        groups = [{'params': [torch.nn.Parameter(torch.zeros(1))]} for _ in range(3)]
        optimizer = optimizer or torch.optim.SGD(groups, lr=0.01, momentum=0.937)
        self.hook = hook
        self.iters_per_epoch = iters_per_epoch
        self.state = SimpleNamespace(
            optim_wrapper=OptimWrapper(optimizer),
            train_dataloader=range(iters_per_epoch),
            iter=0,
            epoch=0,
            max_iters=iters_per_epoch * epochs,
        )
        hook.before_train(self.state)

    def epoch(self) -> list:
        """Trains an epoch; returns per iteration the rates of convolutions, norms and biases, and the momentum."""
        values = []
        self.hook.before_train_epoch(self.state)
        for index in range(self.iters_per_epoch):
            self.hook.before_train_iter(self.state, index)
            groups = self.state.optim_wrapper.optimizer.param_groups
            values.append([group['lr'] for group in groups] + [groups[0].get('momentum')])
            self.state.iter += 1
        self.hook.after_train_epoch(self.state)
        self.state.epoch += 1
        return values


# per iteration the rates of convolutions and norms, of biases, and momentum
WARMUP = {
    0: (0, 0.1, 0.8),
    1: (6.67e-6, 0.09994, 0.800091),
    250: (0.00166667, 0.085, 0.822833),
    499: (0.00332667, 0.07006, 0.845575),
    500: (0.00332233, 0.069989, 0.845667),
    1499: (0.00992738, 0.00999404, 0.936909),
}


def test_numbers():
    run = Run(YOLOv5ParamSchedulerHook(), iters_per_epoch=500)
    first = run.epoch() + run.epoch() + run.epoch()
    for iteration, (lr, bias_lr, momentum) in WARMUP.items():
        assert first[iteration] == pytest.approx([lr, lr, bias_lr, momentum], rel=1e-4, abs=1e-8), iteration
    for wanted in (0.009901, 0.009901, 0.009868, 0.009835, 0.009802):
        values = run.epoch()
        assert values[0] == pytest.approx([wanted] * 3 + [0.937])
        assert values == [values[0]] * 500


def test_warmup_that_ends_within_an_epoch_keeps_its_last_rate():
    run = Run(YOLOv5ParamSchedulerHook(warmup_epochs=1.5, warmup_mim_iter=0), iters_per_epoch=10)
    run.epoch()
    second = run.epoch()
    last = 0.01 * linear_fn(0.01, 300)(1)
    assert [row[0] for row in second[5:]] == pytest.approx([last] * 5)
    assert second[4][0] < last
    assert run.epoch()[0][0] == pytest.approx(last)


@pytest.mark.parametrize(
    'function, values',
    [(linear_fn, [1, 0.9967, 0.505, 0.0133, 0.01]), (cosine_fn, [1, 0.999973, 0.505, 0.010027, 0.01])],
)
def test_factors(function, values):
    factor = function(lr_factor=0.01, max_epochs=300)
    assert [factor(epoch) for epoch in (0, 1, 150, 299, 300)] == pytest.approx(values, abs=1e-6)


def test_cosine():
    run = Run(YOLOv5ParamSchedulerHook('cosine', lr_factor=0.1, max_epochs=10, warmup_epochs=0, warmup_mim_iter=0), 2)
    rates = [run.epoch()[1][0] for _ in range(10)]
    factor = cosine_fn(0.1, 10)
    assert rates == pytest.approx([0.01] + [0.01 * factor(epoch) for epoch in range(9)])


def test_no_warmup():
    run = Run(YOLOv5ParamSchedulerHook(warmup_epochs=0, warmup_mim_iter=0), iters_per_epoch=2)
    assert run.epoch()[0] == pytest.approx([0.01, 0.01, 0.01, 0.937])


@pytest.mark.parametrize(
    'hook, iters_per_epoch, epochs, warned',
    [
        ({}, 10, 20, True),
        ({}, 10, 101, False),
        ({}, 400, 3, True),
        ({'warmup_epochs': 1, 'warmup_mim_iter': 0}, 10, 20, False),
    ],
)
def test_a_training_shorter_than_its_warmup_is_warned_of(hook, iters_per_epoch, epochs, warned, monkeypatch):
    messages = []
    monkeypatch.setattr(
        'mmyolo.engine.hooks.warmup.print_log', lambda message, logger, level: messages.append((message, level))
    )
    run = Run(YOLOv5ParamSchedulerHook(**hook), iters_per_epoch, epochs)
    run.epoch(), run.epoch()
    assert len(messages) == warned
    if warned:
        assert 'warmup_mim_iter' in messages[0][0] and messages[0][1] == logging.WARNING


def test_optimizer_without_momentum():
    groups = [{'params': [torch.nn.Parameter(torch.zeros(1))]} for _ in range(3)]
    run = Run(YOLOv5ParamSchedulerHook(), 10, optimizer=torch.optim.AdamW(groups, lr=0.01))
    assert run.epoch()[5] == pytest.approx([5e-5, 5e-5, 0.1 + 5e-3 * (0.01 - 0.1), None])
    assert run.state.optim_wrapper.optimizer.param_groups[0]['betas'] == (0.9, 0.999)


def test_resumed_training_goes_on_as_if_it_had_not_stopped():
    kwargs = {'max_epochs': 8, 'warmup_epochs': 2, 'warmup_mim_iter': 0}
    whole = Run(YOLOv5ParamSchedulerHook(**kwargs), 10)
    halves = Run(YOLOv5ParamSchedulerHook(**kwargs), 10)
    for _ in range(6):
        assert whole.epoch() == halves.epoch()
        resumed = Run(YOLOv5ParamSchedulerHook(**kwargs), 10)
        # mmengine loads the optimizer before it calls before_train
        resumed.state.optim_wrapper.optimizer.load_state_dict(halves.state.optim_wrapper.optimizer.state_dict())
        resumed.hook.before_train(resumed.state)
        resumed.state.iter, resumed.state.epoch = halves.state.iter, halves.state.epoch
        halves = resumed


def test_unknown_schedule():
    with pytest.raises(ValueError, match=r"one of \['cosine', 'linear'\], got 'step'"):
        YOLOv5ParamSchedulerHook('step')


def test_an_optimizer_without_wrapper_and_the_logged_rate():
    """The rate that mmengine logs as base_lr is in a group that no optimizer has."""
    groups = [{'params': [torch.nn.Parameter(torch.zeros(1))]} for _ in range(3)]
    optimizer = torch.optim.SGD(groups, lr=0.01, momentum=0.937)
    for wrapper in (optimizer, OptimWrapper(optimizer)):
        runner = SimpleNamespace(optim_wrapper=wrapper, train_dataloader=range(10), iter=10, epoch=0)
        hook = YOLOv5ParamSchedulerHook()
        hook.before_train(runner)
        hook.before_train_iter(runner, 0)
        assert [group['lr'] for group in optimizer.param_groups] == pytest.approx([1e-4, 1e-4, 0.0991])
    assert wrapper.get_lr()['base_lr'] == pytest.approx([1e-4])


@pytest.mark.parametrize('lr, momentum', [(0.01, 0.937), (0.00334, 0.74832), (0.1, 0.9), (1 / 3, 2 / 3)])
@pytest.mark.parametrize('iterations', [7, 30, 1000])
def test_warmup_starts_and_ends_at_exactly_the_values(lr, momentum, iterations):
    groups = [{'params': [torch.nn.Parameter(torch.zeros(1))]} for _ in range(3)]
    optimizer = torch.optim.SGD(groups, lr=lr, momentum=momentum)
    hook = YOLOv5ParamSchedulerHook(warmup_epochs=1, warmup_mim_iter=0)
    run = Run(hook, iters_per_epoch=iterations + 1, optimizer=optimizer)
    hook.warmup_mim_iter, hook.warmup_epochs = iterations, 0
    values = run.epoch()
    assert values[0] == [0, 0, 0.1, 0.8]
    assert values[-1] == [lr, lr, lr, momentum] and not hook._warmup_end
