"""Backbones, necks and blocks from outside that build on ours."""

import pytest
import torch

from mmyolo import models
from mmyolo.models.layers import CSPLayerWithTwoConv
from tests.mmyolo.models.heads import noting

BACKBONES = [
    'YOLOv5CSPDarknet',
    'YOLOv8CSPDarknet',
    'YOLOXCSPDarknet',
    'CSPNeXt',
    'YOLOv6EfficientRep',
    'YOLOv7Backbone',
    'PPYOLOECSPResNet',
]


@pytest.mark.parametrize('name', BACKBONES)
def test_backbones(name):
    base = getattr(models, name)
    subclass, calls = noting(base, 'build_stem_layer', 'build_stage_layer', 'make_stage_plugins', '_freeze_stages')
    plugins = [{'cfg': {'type': 'CBAM'}, 'stages': (False, False, True, True)}] if name != 'PPYOLOECSPResNet' else None
    options = {'widen_factor': 0.25, 'frozen_stages': 1, 'plugins': plugins}
    one, other = subclass(**options).train(), base(**options).train()
    other.load_state_dict(one.state_dict())
    names = ['build_stem_layer'] + ['build_stage_layer', 'make_stage_plugins'][: 2 if plugins else 1] * 4
    assert [name for name, _, _ in calls] == names + ['_freeze_stages']
    assert one.plugins is plugins and one.layers == ['stem', 'stage1', 'stage2', 'stage3', 'stage4']
    assert not one.stage1.training and one.stage2.training
    x = torch.randn(1, 3, 64, 64)
    for level, expected in zip(one.eval()(x), other.eval()(x)):
        torch.testing.assert_close(level, expected)


class GuidedPAFPN(models.YOLOv8PAFPN):
    """A neck whose stages take a second input."""

    def __init__(self, *args, guides, **kwargs):
        self.guides = guides
        super().__init__(*args, **kwargs)
        self.factor = torch.nn.Parameter(torch.ones(1))

    def _freeze_all(self):
        super()._freeze_all()
        self.factor.requires_grad_(True)

    def build_top_down_layer(self, idx):
        assert idx in self.guides
        return super().build_top_down_layer(idx)

    def forward(self, feats, text):
        assert len(feats) == len(self.in_channels)
        outs = [layer(level) for layer, level in zip(self.reduce_layers, feats)]
        inner = [outs[-1]]
        for step, idx in enumerate(range(len(self.in_channels) - 1, 0, -1)):
            pair = [self.upsample_layers[step](inner[0]), outs[idx - 1]]
            inner.insert(
                0, self.top_down_layers[step](torch.cat(pair if self.upsample_feats_cat_first else pair[::-1], 1))
            )
        results = [inner[0]]
        for idx in range(len(self.in_channels) - 1):
            pair = torch.cat([self.downsample_layers[idx](results[-1]), inner[idx + 1]], 1)
            results.append(self.bottom_up_layers[idx](pair) * text * self.factor)
        return tuple(layer(level) for layer, level in zip(self.out_layers, results))


@pytest.mark.parametrize('freeze_all', [True, False])
def test_neck_with_another_input(freeze_all):
    options = {'in_channels': [16, 32, 64], 'out_channels': [16, 32, 64], 'freeze_all': freeze_all}
    one, other = GuidedPAFPN(**options, guides=(1, 2)), models.YOLOv8PAFPN(**options)
    other.load_state_dict(one.state_dict(), strict=False)
    feats = [torch.randn(1, c, size, size) for c, size in ((16, 16), (32, 8), (64, 4))]
    for level, expected in zip(one.eval()(feats, 1.0), other.eval()(feats)):
        torch.testing.assert_close(level, expected)
    assert one.factor.requires_grad and one.train().out_layers is not None
    assert one.top_down_layers[0].main_conv.conv.weight.requires_grad is not freeze_all


def test_block_that_adds_a_branch():
    class ThreeBranches(CSPLayerWithTwoConv):
        def forward(self, x):
            halves = list(self.main_conv(x).split((self.mid_channels, self.mid_channels), 1))
            halves.extend(block(halves[-1]) for block in self.blocks)
            return self.final_conv(torch.cat(halves, 1))

    torch.manual_seed(0)
    one = ThreeBranches(16, 32, num_blocks=2).eval()
    other = CSPLayerWithTwoConv(16, 32, num_blocks=2).eval()
    other.load_state_dict(one.state_dict())
    x = torch.randn(1, 16, 4, 4)
    assert one.mid_channels == 16
    torch.testing.assert_close(one(x), other(x))
    assert CSPLayerWithTwoConv(16, 32, expand_ratio=0.25).mid_channels == 8
