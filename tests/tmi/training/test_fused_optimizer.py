"""Optimizers that step in one pass: which are chosen, and that the weights are those of the plain form."""

import copy

import pytest
import torch
from torch import nn

from tmi.training.fused_optimizer import use_fused_optimizer


def wrapper(kind='SGD', **edits):
    optimizer = {'type': kind, 'lr': 0.01, **edits.pop('optimizer', {})}
    return {'type': 'OptimWrapper', 'optimizer': optimizer, **edits}


@pytest.mark.parametrize('kind', ['SGD', 'Adam', 'AdamW'])
@pytest.mark.parametrize('form', [{}, {'type': 'AmpOptimWrapper', 'dtype': 'bfloat16'}])
def test_known_optimizers_are_fused(kind, form):
    config = wrapper(kind, **form)
    use_fused_optimizer(config)
    assert config['optimizer'] == {'type': kind, 'lr': 0.01, 'fused': True}


@pytest.mark.parametrize(
    'config',
    [
        wrapper('RMSprop'),
        wrapper('Adagrad'),
        wrapper('mmengine.SGD'),
        wrapper(type='AmpOptimWrapper', dtype='float16'),
        wrapper(optimizer={'foreach': True}),
        wrapper(optimizer={'fused': False}),
    ],
    ids=['without a fused form', 'fused on CPUs alone', 'of another scope', 'scaled loss', 'another form', 'refused'],
)
def test_others_stay_as_they_are(config):
    before = copy.deepcopy(config)
    use_fused_optimizer(config)
    assert config == before


@pytest.mark.parametrize(
    'kind, numbers', [('SGD', {'momentum': 0.937, 'nesterov': True, 'weight_decay': 5e-4}), ('AdamW', {})]
)
def test_weights_are_those_of_the_plain_form(kind, numbers):
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 8, 3), nn.SiLU(), nn.Conv2d(8, 4, 1)).to(memory_format=torch.channels_last)
    fused = copy.deepcopy(plain)
    config = wrapper(kind, optimizer=numbers)
    use_fused_optimizer(config)
    options = {key: value for key, value in config['optimizer'].items() if key != 'type'}
    build = getattr(torch.optim, kind)
    sides = [(plain, build(plain.parameters(), lr=0.01, **numbers)), (fused, build(fused.parameters(), **options))]
    for step in range(5):
        image = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(step))
        for model, optimizer in sides:
            optimizer.zero_grad()
            model(image).square().mean().backward()
            optimizer.step()
    for expected, actual in zip(plain.parameters(), fused.parameters()):
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-7)
