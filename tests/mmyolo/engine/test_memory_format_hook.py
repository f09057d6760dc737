"""MemoryFormatHook: other strides, the same parameters and values."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.runner import get_priority
from torch import nn

from mmyolo.engine import MemoryFormatHook
from mmyolo.registry import HOOKS


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.SiLU(), nn.Conv2d(8, 4, 3))


def test_changes_strides_in_place():
    net, reference = model(), model()
    parameters = list(net.parameters())
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    HOOKS.build({'type': 'MemoryFormatHook'}).before_run(SimpleNamespace(model=net))
    assert all(now is before for now, before in zip(net.parameters(), parameters))
    assert net[3].weight.is_contiguous(memory_format=torch.channels_last) and not net[3].weight.is_contiguous()

    x = torch.rand(2, 3, 8, 8)
    y = net(x)
    assert y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y, reference(x))
    y.sum().backward()
    before = net[3].weight.detach().clone()
    optimizer.step()
    torch.testing.assert_close(net[3].weight, before - 0.1 * net[3].weight.grad)
    assert net[3].weight.grad.abs().sum() > 0


def test_can_go_back():
    net = model().to(memory_format=torch.channels_last)
    MemoryFormatHook('contiguous').before_run(SimpleNamespace(model=net))
    assert net[0].weight.is_contiguous()


def test_comes_before_the_average_copies_the_model():
    assert get_priority(MemoryFormatHook.priority) < 49  # of EMAHook in the configs


def test_an_unknown_format_is_named():
    with pytest.raises(ValueError, match="'nhwc', allowed are .'channels_last', 'contiguous'"):
        MemoryFormatHook('nhwc')


def test_state_of_a_resumed_optimizer_lies_as_the_weights_do():
    """A fused step takes weight and momentum as they lie, so another order would mix them up without an error."""

    def step(net, optimizer):
        optimizer.zero_grad()
        net(torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))).square().sum().backward()
        optimizer.step()

    nets = [model(), model()]
    options = {'lr': 1e-3, 'momentum': 0.9}
    plain, fused = (torch.optim.SGD(net.parameters(), **options, fused=form) for net, form in zip(nets, (False, True)))
    step(nets[0], plain)  # in the default order
    nets[1].load_state_dict(nets[0].state_dict())
    state = plain.state_dict()
    state['param_groups'][0]['fused'] = True
    fused.load_state_dict(state)
    runner = SimpleNamespace(model=nets[1], optim_wrapper=SimpleNamespace(optimizer=fused))
    hook = MemoryFormatHook()
    hook.before_run(runner)
    hook.before_train(runner)
    for net, optimizer in zip(nets, (plain, fused)):
        step(net, optimizer)
    for expected, actual in zip(nets[0].parameters(), nets[1].parameters()):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6)
