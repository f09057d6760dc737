"""Blocks: shapes, the order in which features are joined, re-parameterisation."""

import os
import subprocess
import sys

import pytest
import torch
from mmcv.cnn import ConvModule
from torch import nn
from torch.nn import functional as F

from mmyolo.models.layers import CSPLayerWithTwoConv, DarknetBottleneck, RepVGGBlock, SPPFBottleneck
from mmyolo.models.plugins import CBAM
from mmyolo.registry import MODELS
from mmyolo.utils import switch_to_deploy
from tests.closeness import LAYER, assert_maps_close


class Take(nn.Module):
    """Replaces a convolution by its input, so that what reaches it can be seen."""

    def forward(self, x):
        return x


@pytest.mark.parametrize(
    'kwargs, channels',
    [
        ({'kernel_sizes': 5}, 8),
        ({'kernel_sizes': [3, 5, 7]}, 8),
        ({'kernel_sizes': [3, 5, 7], 'use_conv_first': False}, 16),
        ({'kernel_sizes': 3, 'mid_channels_scale': 0.25}, 4),
    ],
)
def test_sppf(kwargs, channels):
    block = SPPFBottleneck(16, 24, **kwargs)
    assert block(torch.rand(2, 16, 9, 7)).shape == (2, 24, 9, 7)
    assert block.conv2.in_channels == 4 * channels


def test_chained_poolings_equal_wider_ones():
    torch.manual_seed(0)
    chained, wide = SPPFBottleneck(8, 8, 5).eval(), SPPFBottleneck(8, 8, (5, 9, 13)).eval()
    wide.load_state_dict(chained.state_dict())
    x = torch.randn(1, 8, 20, 20)
    assert torch.equal(chained(x), wide(x))


def test_csp_layer_joins_halves_then_blocks():
    layer = CSPLayerWithTwoConv(8, 16, num_blocks=2).eval()
    layer.final_conv = Take()
    x = torch.randn(1, 8, 4, 4)
    joined = layer(x)
    halves = layer.main_conv(x)
    first = layer.blocks[0](halves[:, 8:])
    assert torch.equal(joined, torch.cat([halves, first, layer.blocks[1](first)], dim=1))
    assert layer.blocks[0].conv1.conv.weight.shape == (8, 8, 3, 3)


@pytest.mark.parametrize('add_identity, out_channels, added', [(True, 8, True), (False, 8, False), (True, 12, False)])
def test_bottleneck(add_identity, out_channels, added):
    block = DarknetBottleneck(8, out_channels, add_identity=add_identity).eval()
    x = torch.randn(1, 8, 5, 5)
    through = block.conv2(block.conv1(x))
    assert torch.equal(block(x), through + x if added else through)


def test_bottleneck_kernels():
    block = DarknetBottleneck(8, 8, expansion=1, kernel_size=(3, 3), padding=(1, 1), use_depthwise=True)
    assert block.conv1.conv.kernel_size == (3, 3)
    assert block.conv2.depthwise_conv.conv.groups == 8
    assert block(torch.rand(2, 8, 5, 5)).shape == (2, 8, 5, 5)


def rep_block(**kwargs) -> RepVGGBlock:
    torch.manual_seed(0)
    block = RepVGGBlock(8, 8, **kwargs)
    for name, value in block.state_dict().items():
        if name.endswith(('running_var', 'weight')) and value.ndim == 1:
            value.uniform_(0.5, 1.5)
        elif value.ndim == 1 and name != 'alpha':
            value.normal_()
    return block.eval()


@pytest.mark.parametrize(
    'kwargs',
    [{}, {'stride': 2}, {'groups': 2}, {'use_alpha': True}, {'use_bn_first': False}, {'act_cfg': None}],
    ids=str,
)
def test_deployed_block_gives_the_same(kwargs):
    block = rep_block(**kwargs)
    if kwargs.get('use_alpha'):
        block.alpha.data.fill_(0.3)
    x = torch.randn(2, 8, 7, 7)
    with torch.no_grad():
        wanted = block(x)
        switch_to_deploy(nn.Sequential(block))
        assert_maps_close(block(x), wanted, LAYER)
        switch_to_deploy(block)
        assert_maps_close(block(x), wanted, LAYER)
    alpha = ['alpha'] if kwargs.get('use_alpha') else []
    assert list(block.state_dict()) == alpha + ['rbr_reparam.weight', 'rbr_reparam.bias']
    deployed = RepVGGBlock(8, 8, deploy=True, **kwargs).eval()
    deployed.load_state_dict(block.state_dict())
    assert_maps_close(deployed(x), wanted, LAYER)


def test_keys_of_the_training_form():
    norm = ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']
    wanted = {f'rbr_identity.{key}' for key in norm} | {'alpha'}
    for branch in ('rbr_dense', 'rbr_1x1'):
        wanted |= {f'{branch}.conv.weight'} | {f'{branch}.bn.{key}' for key in norm}
    assert set(RepVGGBlock(8, 8, use_alpha=True).state_dict()) == wanted
    assert RepVGGBlock(8, 16).rbr_identity is None
    assert RepVGGBlock(8, 8, stride=2).rbr_identity is None


def test_alpha_of_zero_removes_the_branch():
    block = rep_block(use_alpha=True, use_bn_first=False, act_cfg=None)
    block.alpha.data.zero_()
    x = torch.randn(1, 8, 5, 5)
    with torch.no_grad():
        assert torch.allclose(block(x), block.rbr_dense(x))
        block.switch_to_deploy()
        assert torch.allclose(block(x), F.conv2d(x, block.rbr_reparam.weight, block.rbr_reparam.bias, padding=1))


def test_block_rejects_what_it_cannot_do():
    with pytest.raises(ValueError, match='kernel_size 3 and padding 1, got 5 and 2'):
        RepVGGBlock(8, 8, kernel_size=5, padding=2)
    with pytest.raises(NotImplementedError, match='use_se=False'):
        RepVGGBlock(8, 8, use_se=True)


@pytest.mark.parametrize('kwargs', [{}, {'reduce_ratio': 8}, {'act_cfg': {'type': 'Sigmoid'}}], ids=str)
def test_cbam(kwargs):
    block = CBAM(16, **kwargs)
    assert block(torch.rand(2, 16, 6, 5)).shape == (2, 16, 6, 5)
    keys = [f'channel_attention.fc.{i}.conv.{name}' for i in (0, 1) for name in ('weight', 'bias')]
    assert list(block.state_dict()) == keys + ['spatial_attention.conv.conv.weight', 'spatial_attention.conv.conv.bias']
    assert block.channel_attention.fc[0].conv.out_channels == 16 // kwargs.get('reduce_ratio', 16)


def test_cbam_weighs_channels_then_places():
    block = CBAM(4, reduce_ratio=2)
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    x = torch.rand(1, 4, 3, 3)
    assert torch.allclose(block(x), x / 4)  # sigmoid(0) twice


def test_activation_is_found_by_its_name():
    assert isinstance(MODELS.build({'type': 'SiLU', 'inplace': True}), nn.SiLU)
    assert isinstance(ConvModule(2, 2, 1, act_cfg={'type': 'SiLU'}).activate, nn.SiLU)


def test_silu_writes_over_its_input_only_where_no_gradient_needs_it():
    """PyTorch copies the input of an in-place SiLU in training, which costs time and saves no memory."""
    silu = MODELS.build({'type': 'SiLU', 'inplace': True})
    start = torch.randn(2, 3, 4, 4, requires_grad=True)
    x = start * 1
    y = silu(x)
    assert y.data_ptr() != x.data_ptr()
    torch.testing.assert_close(y, F.silu(start), rtol=0, atol=0)
    gradients = [torch.autograd.grad(out.square().sum(), start)[0] for out in (y, F.silu(start))]
    torch.testing.assert_close(*gradients, rtol=0, atol=0)
    with torch.no_grad():
        assert silu(x).data_ptr() == x.data_ptr()
        assert MODELS.build({'type': 'SiLU'})(x).data_ptr() != x.data_ptr()


def test_strided_rep_vgg_block_trains_on_images_in_channels_last():
    """A strided 1x1 convolution corrupts memory here; a process of its own keeps a crash from ending the tests."""
    script = """
import torch
from mmyolo.models.layers import RepVGGBlock
for mixed in False, True:
    block = RepVGGBlock(3, 16, stride=2).to(memory_format=torch.channels_last)
    for _ in range(20):
        image = torch.randn(8, 3, 96, 96).to(memory_format=torch.channels_last)
        with torch.autocast('cpu', dtype=torch.bfloat16, enabled=mixed):
            out = block(image)
        out.float().pow(2).mean().backward()
    print('mixed' if mixed else 'float', flush=True)  # says how far it came
"""
    environ = dict(os.environ, MALLOC_CHECK_='3', OMP_NUM_THREADS='1')
    result = subprocess.run([sys.executable, '-c', script], env=environ, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr[-500:]


def test_strided_rep_vgg_block_is_two_strided_branches():
    torch.manual_seed(0)
    block = RepVGGBlock(3, 8, stride=2, act_cfg=None).eval()
    image = torch.randn(2, 3, 7, 10)
    dense = F.conv2d(image, block.rbr_dense.conv.weight, stride=2, padding=1)
    point = F.conv2d(image, block.rbr_1x1.conv.weight, stride=2)
    scale = 1 / (1 + block.rbr_dense.bn.eps) ** 0.5
    torch.testing.assert_close(block(image), (dense + point) * scale)
