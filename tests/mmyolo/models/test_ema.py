"""The moving average: its numbers, its buffers, and that it follows the model it is given."""

import copy
import math

import pytest
import torch
from mmdet.models.layers import ExpMomentumEMA as EMAOfMMDet
from torch import nn

from mmyolo.models.layers import ExpMomentumEMA

# share of the model in the update, momentum 1e-4
SHARES = {0: 0.9995, 1: 0.999001, 10: 0.994516, 100: 0.950759, 1000: 0.606267, 5000: 0.082136, 20000: 0.000145}


def small_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


def train(model: nn.Module) -> None:
    """Changes parameters and buffers."""
    model(torch.randn(2, 3, 4, 4))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))


@pytest.mark.parametrize('step, share', SHARES.items())
def test_share(step, share):
    assert ExpMomentumEMA(nn.Linear(1, 1), momentum=1e-4).momentum_at(step) == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize('update_buffers', [True, False])
@pytest.mark.parametrize('interval', [1, 2])
def test_numbers_are_those_of_one_lerp_per_tensor(update_buffers, interval):
    model = small_model()
    kwargs = {'momentum': 1e-4, 'gamma': 5, 'interval': interval, 'update_buffers': update_buffers}
    ema, slow = ExpMomentumEMA(model, **kwargs), EMAOfMMDet(model, **kwargs)
    for _ in range(6):
        train(model)
        ema.update_parameters(model)
        slow.update_parameters(model)
        for (name, got), wanted in zip(ema.state_dict().items(), slow.state_dict().values()):
            if update_buffers or 'running' not in name and 'tracked' not in name:
                assert torch.equal(got, wanted), name


def test_first_step_copies_and_second_moves():
    model = nn.Linear(1, 1, bias=False)
    ema = ExpMomentumEMA(model, momentum=0.01, gamma=10)
    model.weight.data.fill_(2)
    ema.update_parameters(model)
    assert ema.module.weight.item() == 2
    model.weight.data.fill_(5)
    ema.update_parameters(model)
    share = 0.99 * math.exp(-2 / 10) + 0.01
    assert ema.module.weight.item() == pytest.approx(2 + 3 * share)
    assert ema.steps == 2


def test_averaged_buffers():
    model = small_model()
    ema = ExpMomentumEMA(model, gamma=10, update_buffers=True)
    means = []
    for _ in range(3):
        train(model)
        means.append(model[1].running_mean.clone())
        ema.update_parameters(model)
    average = means[0]
    for step in (1, 2):
        average = average.lerp(means[step], ema.momentum_at(step))
    assert torch.allclose(ema.module[1].running_mean, average)
    assert ema.module[1].num_batches_tracked == 1, 'integer buffers keep the first copy'


def test_buffers_that_are_not_averaged_follow_the_model_at_every_step():
    model = small_model()
    ema = ExpMomentumEMA(model, gamma=10)
    for _ in range(3):
        train(model)
        ema.update_parameters(model)
        assert torch.equal(ema.module[1].running_mean, model[1].running_mean)
        assert ema.module[1].num_batches_tracked == model[1].num_batches_tracked


@pytest.mark.parametrize('update_buffers', [True, False])
def test_parameters_that_were_replaced_are_followed(update_buffers):
    model = nn.Linear(1, 1)
    ema = ExpMomentumEMA(model, update_buffers=update_buffers)
    model.weight = nn.Parameter(torch.full((1, 1), 7.0))
    ema.update_parameters(model)
    assert ema.module.weight.item() == 7


def test_shared_tensor_moves_once():
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    model[1].weight = model[0].weight
    ema = ExpMomentumEMA(model, gamma=10, update_buffers=True)
    for value in (1.0, 2.0):
        model[0].weight.data.fill_(value)
        ema.update_parameters(model)
    assert ema.module[1].weight.item() == pytest.approx(1 + ema.momentum_at(1))


def test_several_types_and_the_device_of_the_average():
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1).double())
    ema = ExpMomentumEMA(model, device='cpu')
    for _ in range(2):
        ema.update_parameters(model)
    assert ema.module[1].weight.dtype == torch.float64


def test_state_is_resumed():
    model = small_model()
    ema = ExpMomentumEMA(model, gamma=10, update_buffers=True)
    for _ in range(3):
        train(model)
        ema.update_parameters(model)
    resumed = ExpMomentumEMA(small_model(), gamma=10, update_buffers=True)
    resumed.load_state_dict(copy.deepcopy(ema.state_dict()))
    train(model)
    ema.update_parameters(model)
    resumed.update_parameters(model)
    assert resumed.steps == 4
    for got, wanted in zip(resumed.state_dict().values(), ema.state_dict().values()):
        assert torch.equal(got, wanted)


def test_gamma_is_checked():
    with pytest.raises(AssertionError, match='gamma must be greater than 0'):
        ExpMomentumEMA(nn.Linear(1, 1), gamma=-1)
