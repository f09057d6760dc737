"""The deployed form is tested, beside a moving average too."""

from types import SimpleNamespace
from unittest.mock import Mock

import torch
from mmengine.hooks import EMAHook
from torch import nn

from mmyolo.engine import SwitchToDeployHook
from mmyolo.models import RepVGGBlock
from tests.closeness import LAYER, assert_maps_close


def test_model_is_switched_before_a_test():
    model = nn.Sequential(RepVGGBlock(4, 4))
    SwitchToDeployHook().before_test_epoch(SimpleNamespace(model=model, hooks=[]))
    assert model[0].deploy and [name for name, _ in model.named_parameters()] == [
        '0.rbr_reparam.weight',
        '0.rbr_reparam.bias',
    ]


def test_a_runner_without_hooks_will_do():
    runner = Mock()
    runner.model = RepVGGBlock(4, 4)
    SwitchToDeployHook().before_test_epoch(runner)
    assert runner.model.deploy


def test_moving_average_can_be_swapped_back():
    torch.manual_seed(0)
    model = nn.Sequential(RepVGGBlock(4, 4)).eval()
    ema, deploy = EMAHook(), SwitchToDeployHook()
    runner = SimpleNamespace(model=model, hooks=[ema, deploy])
    ema.before_run(runner)
    ema.ema_model.module[0].rbr_dense.conv.weight.mul_(2)
    image = torch.rand(1, 4, 5, 5)
    with torch.no_grad():
        trained, averaged = model(image), ema.ema_model(image)
        for hook in (ema, deploy):
            hook.before_test_epoch(runner)
        assert_maps_close(model(image), averaged, LAYER)
        ema.after_test_epoch(runner)
        assert_maps_close(model(image), trained, LAYER)
