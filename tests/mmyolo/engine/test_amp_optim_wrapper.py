"""AmpOptimWrapper where there is no GPU, and with bfloat16 anywhere."""

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmyolo.engine import AmpOptimWrapper
from mmyolo.registry import OPTIM_WRAPPERS


@pytest.fixture(autouse=True)
def cpu(monkeypatch):
    monkeypatch.setattr('mmyolo.engine.optimizers.amp_optim_wrapper.get_device', lambda: 'cpu')
    monkeypatch.setattr('mmengine.runner.amp.get_device', lambda: 'cpu')


def step(wrapper_type, **kwargs):
    torch.manual_seed(0)
    layer = nn.Linear(64, 8)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    wrapper = OPTIM_WRAPPERS.build(dict(type=wrapper_type, optimizer=optimizer, **kwargs))
    with wrapper.optim_context(layer):
        y = layer(torch.rand(16, 64))
    wrapper.update_params(y.float().square().mean())
    return wrapper, layer, y


def test_computes_in_bfloat16_and_steps_in_float32():
    wrapper, layer, y = step('AmpOptimWrapper')
    assert type(wrapper) is AmpOptimWrapper
    assert y.dtype == torch.bfloat16 and layer.weight.dtype == torch.float32
    _, reference, _ = step('OptimWrapper')
    torch.testing.assert_close(layer.weight, reference.weight, atol=1e-3, rtol=0)
    assert not torch.equal(layer.weight, reference.weight)


def test_clips_gradients():
    _, layer, _ = step('AmpOptimWrapper', clip_grad={'max_norm': 1e-6})
    torch.manual_seed(0)
    start = nn.Linear(64, 8)
    assert 0 < (layer.weight - start.weight).norm() <= 1.1e-7


@pytest.mark.parametrize(
    'dtype, warned', [(None, False), ('bfloat16', False), (torch.bfloat16, False), ('float16', True)]
)
def test_every_type_is_bfloat16_here(dtype, warned, monkeypatch):
    said = []
    monkeypatch.setattr('mmyolo.engine.optimizers.amp_optim_wrapper.print_log', lambda text, *args: said.append(text))
    _, _, y = step('AmpOptimWrapper', dtype=dtype, loss_scale={'init_scale': 128.0})
    assert y.dtype == torch.bfloat16
    assert bool(said) == warned


@pytest.mark.parametrize(
    'scaled',
    [
        {'scale': 1024.0, 'growth_factor': 2.0, 'backoff_factor': 0.5, 'growth_interval': 9, '_growth_tracker': 0},
        {},
        None,
    ],
)
def test_loads_a_state_of_any_kind(scaled):
    wrapper, _, _ = step('AmpOptimWrapper')
    state = OptimWrapper.state_dict(wrapper)
    state['param_groups'][0]['lr'] = 0.5
    if scaled is not None:
        state['loss_scaler'] = scaled
    wrapper.load_state_dict(state)
    assert wrapper.optimizer.param_groups[0]['lr'] == 0.5
    assert ('loss_scaler' in state) == (scaled is not None)
    assert wrapper.state_dict()['loss_scaler'] == {}
