"""Losses and gradient norms that stay on the device until the log is due: the same numbers, read seldom."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import LoggerHook
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from torch.utils._python_dispatch import TorchDispatchMode

from tmi.errors import NotFiniteError
from tmi.training import step_values
from tmi.training.finite_loss_hook import FiniteLossHook
from tmi.training.step_values import StepValuesHook

from .test_compile_hook import make_batch
from .test_compile_hook import make_runner as make_model

STEPS, INTERVAL = 25, 10  # of an epoch, and from one line of the log to the next


@pytest.fixture
def late(monkeypatch):
    """Treat the CPU as a device whose numbers the program would have to wait for."""
    monkeypatch.setattr(step_values, 'READ_AT_ONCE', ())


@pytest.fixture
def reads(monkeypatch):
    """Where numbers of tensors are read: the names of the methods."""
    names = []

    def counted(name, method):
        return lambda self, *arguments: names.append(name) or method(self, *arguments)

    for name in ('item', 'tolist', '__float__', '__bool__', '__int__'):
        monkeypatch.setattr(torch.Tensor, name, counted(name, getattr(torch.Tensor, name)))
    return names


class Loader(list):
    dataset = None


def make_runner(hooks, name):
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.ones(3))
    wrapper = OptimWrapper(torch.optim.SGD([weight], 0.1), clip_grad={'max_norm': 0.5})
    hub = MessageHub(name)  # not the one that others get
    wrapper.message_hub = hub
    return SimpleNamespace(
        hooks=[LoggerHook(interval=INTERVAL), *hooks],
        model=torch.nn.Module(),
        optim_wrapper=wrapper,
        message_hub=hub,
        weight=weight,
        train_dataloader=Loader(range(STEPS)),
        epoch=0,
        iter=0,
        max_epochs=2,
        max_iters=2 * STEPS,
    )


def train(hooks, steps, lost=(), name='step-values'):
    """Make steps of an epoch with a small model, whose loss is lost at some, counted from 0; returns the runner."""
    runner = make_runner(hooks, name)
    for hook in hooks:
        hook.before_train(runner)
    for index in range(steps):
        for hook in hooks:
            hook.before_train_iter(runner, index)
        loss = (runner.weight * torch.rand(3)).square().sum()
        runner.optim_wrapper.update_params(loss)
        loss = loss * float('nan') if index in lost else loss
        for hook in hooks:
            hook.after_train_iter(runner, index, outputs={'loss': loss, 'loss_box': loss / 3, 'count': 2.0})
        runner.iter += 1
    for hook in hooks:
        hook.after_train_epoch(runner)
    return runner


def histories(runner):
    return {name: list(buffer.data[0]) for name, buffer in runner.message_hub.log_scalars.items()}


@pytest.mark.parametrize('steps', [STEPS, STEPS - 8], ids=['whole epoch', 'cut short'])
def test_the_log_gets_the_same_numbers_from_fewer_readings(reads, monkeypatch, steps):
    expected = histories(train([StepValuesHook(), FiniteLossHook()], steps))
    assert set(expected) == {'train/lr', 'train/grad_norm', 'train/loss', 'train/loss_box', 'train/count'}
    assert all(len(history) == steps for history in expected.values()) and len(reads) >= 2 * steps
    reads.clear()
    monkeypatch.setattr(step_values, 'READ_AT_ONCE', ())
    assert histories(train([StepValuesHook(), FiniteLossHook()], steps)) == expected
    # Both hooks after steps 1, 10, 20 and the last; nothing else reads.
    assert reads.count('tolist') == 2 * len({1, INTERVAL, 2 * INTERVAL, steps} & set(range(steps + 1)))
    assert len(reads) == reads.count('tolist')


def test_norms_are_read_as_mmengine_reads_them():
    runner, plain = train([StepValuesHook()], 5), make_runner([], 'plain')
    for _ in range(5):
        plain.optim_wrapper.update_params((plain.weight * torch.rand(3)).square().sum())
    assert histories(runner)['train/grad_norm'] == histories(plain)['train/grad_norm']
    assert torch.equal(runner.weight, plain.weight)


@pytest.mark.parametrize('steps', [STEPS, 15], ids=['when the log is due', 'when an epoch is cut short'])
def test_a_lost_loss_is_named_by_its_own_step(late, steps):
    with pytest.raises(NotFiniteError, match=r'epoch 1, step 13 \(loss_box nan, count 2\)'):
        train([FiniteLossHook()], steps, lost=(12, 14))


def test_losses_that_are_lost_now_and_then_are_part_of_fp16(late):
    train([FiniteLossHook(scaled_loss=True)], STEPS, lost=[step for step in range(STEPS) if step != 11])
    with pytest.raises(NotFiniteError, match='epoch 1, step 21 '):
        train([FiniteLossHook(scaled_loss=True)], STEPS, lost=range(STEPS))


class Waits(TorchDispatchMode):
    """Counts what makes a program wait for a GPU: numbers that are read, and results whose size follows from some."""

    number = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        masks = args[1] if function is torch.ops.aten.index.Tensor else []
        self.number += function in (
            torch.ops.aten._local_scalar_dense.default,
            torch.ops.aten.nonzero.default,
            torch.ops.aten.masked_select.default,
        ) or any(mask is not None and mask.dtype == torch.bool for mask in masks)
        return function(*args, **(kwargs or {}))


def test_the_loss_of_a_step_waits_for_the_device_as_seldom_as_its_sparse_form_allows():
    runner, batch = make_model(), make_batch()
    data = runner.model.data_preprocessor(batch, training=True)
    with Waits() as waits:
        runner.model(**data, mode='loss')
    assert 0 < waits.number <= 17
