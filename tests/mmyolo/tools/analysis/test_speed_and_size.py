"""Throughput with a clock of its own, merged batch norms, and flops against a count by hooks."""

import itertools

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from mmyolo.models.layers import RepVGGBlock
from mmyolo.registry import MODELS
from mmyolo.testing import get_detector_cfg
from mmyolo.tools.analysis import throughput
from mmyolo.tools.analysis.complexity import complexity, deployed_model


class Stub(nn.Module):
    seen = 0

    def test_step(self, batch):
        assert not torch.is_grad_enabled()
        self.seen += 1


@pytest.fixture
def clock(monkeypatch):
    """Time goes on by one second at each look, so every image takes one second."""
    ticks = itertools.count()
    monkeypatch.setattr(throughput.time, 'perf_counter', lambda: next(ticks))


@pytest.mark.parametrize('batches, max_iter, measured', [(20, 12, 7), (8, 2000, 3), (100, 6, 1)])
def test_the_first_five_do_not_count(clock, batches, max_iter, measured):
    model, lines = Stub(), []
    speed = throughput.measure(model, [{}] * batches, max_iter, 4, lines.append)
    assert (speed.images, speed.seconds, speed.fps, speed.milliseconds) == (measured, measured, 1, 1000)
    assert model.seen == measured + 5
    assert len(lines) == (measured + 5) // 4 - 1
    assert all('1.0 img/s, 1000.0 ms/img' in line for line in lines)


@pytest.mark.parametrize('batches, max_iter', [(0, 100), (5, 100), (100, 5)])
def test_nothing_left_to_measure(clock, batches, max_iter):
    with pytest.raises(ValueError, match='nothing was measured'):
        throughput.measure(Stub(), [{}] * batches, max_iter)


def test_batch_norms_are_merged(tmp_path):
    init_default_scope('mmyolo')
    cfg = Config({'model': get_detector_cfg('yolov5/yolov5_n-v61_syncbn_fast_8xb16-300e_coco.py')})
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'model.pth')
    plain, fused = (throughput.build_model(cfg, str(tmp_path / 'model.pth'), fuse) for fuse in (False, True))
    norms = [sum(isinstance(module, nn.BatchNorm2d) for module in built.modules()) for built in (plain, fused)]
    assert norms[0] > 50 and norms[1] == 0
    image = torch.rand(1, 3, 64, 64, device=next(plain.parameters()).device)
    with torch.no_grad():
        for expected, level in zip(plain(image)[0], fused(image)[0]):
            torch.testing.assert_close(level, expected, rtol=1e-4, atol=1e-4)


def test_flops_against_a_count_by_hooks():
    init_default_scope('mmyolo')
    cfg = Config({'model': get_detector_cfg('yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py')})
    model = deployed_model(cfg)
    multiplications = []

    def count(module, inputs, output):
        multiplications.append(output[0].numel() * module.weight[0].numel())

    hooks = [module.register_forward_hook(count) for module in model.modules() if isinstance(module, nn.Conv2d)]
    with torch.no_grad():
        model(torch.zeros(1, 3, 64, 96))
    for hook in hooks:
        hook.remove()
    result = complexity(model, (64, 96), show_arch=False)
    assert result['params'] == sum(parameter.numel() for parameter in model.parameters()) == 3157184
    assert sum(multiplications) < result['flops'] < 1.03 * sum(multiplications)  # norms and upsampling besides
    assert not result['out_arch']


def test_branches_are_merged_before_they_are_counted():
    init_default_scope('mmyolo')

    @MODELS.register_module(name='TwoBlocks', force=True)
    class TwoBlocks(nn.Sequential):
        def __init__(self):
            super().__init__(RepVGGBlock(3, 8), RepVGGBlock(8, 8))

    model = deployed_model(Config({'model': {'type': 'TwoBlocks'}}))
    result = complexity(model, (10, 10))
    assert result['params'] == (3 * 9 + 1) * 8 + (8 * 9 + 1) * 8
    assert result['flops'] == 100 * 9 * (3 * 8 + 8 * 8)
    assert 'RepVGGBlock' in result['out_arch']
    MODELS._module_dict.pop('TwoBlocks')
