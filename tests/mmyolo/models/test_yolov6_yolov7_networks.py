"""Whole detectors of YOLOv6 and YOLOv7 against published means and deviations of their maps; layers and shapes."""

import pytest
import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import nn

from mmyolo.models import (
    BepC3StageBlock,
    BiFusion,
    EELANBlock,
    ELANBlock,
    ImplicitA,
    ImplicitM,
    MaxPoolAndStrideConvBlock,
    RepStageBlock,
    RepVGGBlock,
    SPPFCSPBlock,
    TinyDownSampleBlock,
    YOLOv6CSPBep,
    YOLOv6CSPRepBiPAFPN,
    YOLOv6CSPRepPAFPN,
    YOLOv6EfficientRep,
    YOLOv6RepBiPAFPN,
    YOLOv6RepPAFPN,
    YOLOv7Backbone,
    YOLOv7PAFPN,
)
from mmyolo.models.layers.yolo_bricks import BottleRep, ConvWrapper, CSPSPPFBottleneck
from mmyolo.registry import MODELS
from mmyolo.utils import switch_to_deploy
from tests.mmyolo.models.fingerprints import fingerprint

# Mean and deviation of each map, by kind and level.
FINGERPRINTS = {
    'yolov6/yolov6_n_syncbn_fast_8xb32-400e_coco': (
        (0.05299, 0.2390),
        (-0.01759, 0.3115),
        (-0.002722, 0.2127),
        (-0.1155, 0.1403),
        (-0.03550, 0.1528),
        (0.05940, 0.1681),
    ),
    'yolov6/yolov6_m_syncbn_fast_8xb32-300e_coco': (
        (0.1861, 5.107),
        (0.8923, 9.574),
        (-1.680, 22.07),
        (-0.9536, 5.072),
        (11.35, 9.681),
        (11.50, 22.18),
    ),
    'yolov6/yolov6_l_syncbn_fast_8xb32-300e_coco': (
        (3.736, 7791),
        (4688, 44720),
        (-8348, 2.244e5),
        (-2852, 7476),
        (-9856, 38138),
        (-36274, 2.209e5),
    ),
    'yolov6/yolov6_v3_s_syncbn_fast_8xb32-300e_coco': (
        (0.03826, 0.2364),
        (0.01585, 0.2567),
        (-0.01666, 0.2180),
        (0.1904, 0.1813),
        (-0.1628, 0.1538),
        (0.06922, 0.1582),
    ),
    'yolov6/yolov6_v3_m_syncbn_fast_8xb32-300e_coco': (
        (0.09616, 4.317),
        (0.8897, 7.791),
        (-1.311, 18.43),
        (9.945, 2.942),
        (4.640, 2.401),
        (8.144, 5.511),
    ),
    'yolov7/yolov7_tiny_syncbn_fast_8x16b-300e_coco': (
        (0.1290, 1.921),
        (0.1022, 1.801),
        (0.1108, 1.865),
        (0.1974, 1.590),
        (-0.07379, 1.618),
        (0.6925, 1.869),
        (0.5140, 1.943),
        (0.7491, 0.6476),
        (0.1733, 0.5385),
    ),
    'yolov7/yolov7_l_syncbn_fast_8x16b-300e_coco': (
        (0.03901, 1.416),
        (0.06663, 1.449),
        (0.04432, 1.359),
        (-0.1123, 1.457),
        (-0.4941, 1.391),
        (0.6691, 1.204),
        (0.4049, 1.703),
        (-0.8638, 0.7139),
        (-0.7855, 1.233),
    ),
    'yolov7/yolov7_w-p6_syncbn_fast_8x16b-300e_coco': (
        (0.2289, 1.385),
        (0.01944, 1.417),
        (0.2169, 1.337),
        (0.03834, 1.414),
        (0.3518, 1.718),
        (0.09588, 1.407),
        (-0.06965, 1.046),
        (0.3890, 1.519),
        (-0.4634, 1.853),
        (0.9464, 1.212),
        (0.3228, 0.2403),
        (0.7207, 1.297),
    ),
    'yolov7/yolov7_e2e-p6_syncbn_fast_8x16b-300e_coco': (
        (0.1510, 2.321),
        (0.04149, 1.678),
        (0.1551, 1.446),
        (-0.03836, 1.489),
        (-0.6151, 2.609),
        (-0.3002, 1.878),
        (-0.06784, 1.514),
        (0.3681, 1.020),
        (0.8324, 0.7223),
        (0.08745, 1.338),
        (-0.1016, 0.3809),
        (0.09895, 0.3388),
    ),
}
QUICK = ('yolov6_n', 'yolov6_v3_s', 'yolov7_tiny')


@pytest.mark.parametrize(
    'config',
    [
        name if name.split('/')[1].startswith(QUICK) else pytest.param(name, marks=pytest.mark.slow)
        for name in FINGERPRINTS
    ],
)
def test_published_moments_of_the_maps(config):
    found = fingerprint(f'{config}.py')
    for (mean, std), (expected_mean, expected_std) in zip(found, FINGERPRINTS[config], strict=True):
        assert std == pytest.approx(expected_std, rel=1e-3)
        assert mean == pytest.approx(expected_mean, rel=1e-3, abs=1e-3 * expected_std)


def shapes(outs):
    return [tuple(out.shape[1:]) for out in outs]


@pytest.mark.parametrize(
    'arch, indices, expected',
    [
        ('Tiny', (0, 1, 2, 3, 4), [(32, 16), (32, 16), (64, 8), (128, 4), (256, 2)]),
        ('L', (0, 1, 2, 3, 4), [(32, 32), (128, 16), (256, 8), (512, 4), (512, 2)]),
        ('X', (2, 3, 4), [(320, 8), (640, 4), (640, 2)]),
        ('W', (0, 1, 2, 3, 4, 5), [(32, 32), (64, 16), (128, 8), (256, 4), (384, 2), (512, 1)]),
        ('E', (2, 5), [(160, 8), (640, 1)]),
        ('D', (2, 5), [(192, 8), (768, 1)]),
        ('E2E', (2, 5), [(160, 8), (640, 1)]),
    ],
)
def test_shapes_of_yolov7_backbones(arch, indices, expected):
    with torch.device('meta'):
        backbone = YOLOv7Backbone(arch, out_indices=indices, widen_factor=0.5, input_channels=4).eval()
        outs = backbone(torch.empty(1, 4, 64, 64))
    assert shapes(outs) == [(channels, side, side) for channels, side in expected]


@pytest.mark.parametrize('backbone', [YOLOv6EfficientRep, YOLOv6CSPBep, YOLOv7Backbone])
def test_backbones_freeze(backbone):
    with pytest.raises(ValueError, match='frozen_stages'):
        backbone(widen_factor=0.125, deepen_factor=0.25, frozen_stages=6)
    with pytest.raises(AssertionError, match='out_indices'):
        backbone(widen_factor=0.125, deepen_factor=0.25, out_indices=[7])
    model = backbone(widen_factor=0.125, deepen_factor=0.25, frozen_stages=1, norm_eval=True).train()
    for name in model.layers:
        trained = name not in ('stem', 'stage1')
        assert all(p.requires_grad == trained for p in getattr(model, name).parameters())
        assert not any(m.training for m in getattr(model, name).modules() if isinstance(m, nn.BatchNorm2d))


@pytest.mark.parametrize('backbone, pooling', [(YOLOv6EfficientRep, CSPSPPFBottleneck), (YOLOv6CSPBep, BaseModule)])
def test_only_efficient_rep_pools_with_a_partial_layer(backbone, pooling):
    model = backbone(widen_factor=0.125, deepen_factor=0.25, use_cspsppf=True)
    assert isinstance(model.stage4[1], pooling) and hasattr(model.stage4[1], 'conv7') == (pooling is CSPSPPFBottleneck)
    assert shapes(model(torch.rand(1, 3, 64, 64))) == [(32, 8, 8), (64, 4, 4), (128, 2, 2)]


@pytest.mark.parametrize(
    'neck, extra',
    [(YOLOv6RepPAFPN, False), (YOLOv6CSPRepPAFPN, False), (YOLOv6RepBiPAFPN, True), (YOLOv6CSPRepBiPAFPN, True)],
)
def test_yolov6_necks(neck, extra):
    channels = [16, 32, 64, 128]
    maps = [torch.rand(1, c, 64 // 2**i, 64 // 2**i) for i, c in enumerate(channels)]
    model = neck(channels[1 - extra :], [16, 32, 64], num_csp_blocks=4, freeze_all=True).train()
    assert not any(p.requires_grad for p in model.parameters())
    assert shapes(model(maps[1 - extra :])) == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]
    with pytest.raises(ValueError, match='feature maps'):
        model(maps[1:] if extra else maps)


def test_yolov6_weights_start_as_torch_draws_them():
    neck = YOLOv6RepBiPAFPN([8, 16, 32, 64], [8, 16, 32], num_csp_blocks=2)
    neck.init_weights()
    weight = neck.bottom_up_layers[1].conv1.rbr_dense.conv.weight
    bound = (1 / (weight[0].numel())) ** 0.5
    assert weight.abs().max() <= bound and weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)


def test_yolov7_necks():
    maps = [torch.rand(1, c, 32 // 2**i, 32 // 2**i) for i, c in enumerate((32, 64, 64, 64))]
    p5 = YOLOv7PAFPN([32, 64, 64], [16, 32, 64])
    assert shapes(p5(maps[:3])) == [(32, 32, 32), (64, 16, 16), (128, 8, 8)]
    assert isinstance(p5.out_layers[0], RepVGGBlock) and isinstance(p5.downsample_layers[0], MaxPoolAndStrideConvBlock)
    plain = YOLOv7PAFPN([32, 64, 64], [16, 32, 64], use_repconv_outs=False, use_maxpool_in_downsample=False)
    assert isinstance(plain.out_layers[0], ConvModule) and isinstance(plain.downsample_layers[0], ConvModule)
    p6 = YOLOv7PAFPN([32, 64, 64, 64], [16, 32, 64, 64], act_cfg={'type': 'ReLU'})
    assert shapes(p6(maps)) == [(16, 32, 32), (32, 16, 16), (64, 8, 8), (64, 4, 4)]
    # The default block takes the neck's activation, and only that neck's.
    assert isinstance(p6.top_down_layers[0].main_conv.activate, nn.ReLU)
    assert isinstance(YOLOv7PAFPN([32, 64, 64], [16, 32, 64]).top_down_layers[0].main_conv.activate, nn.SiLU)


class ChannelMean(nn.Module):
    """A block whose outputs are the mean of its inputs."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.scale = nn.Parameter(torch.full((out_channels, in_channels, 1, 1), 1 / in_channels))

    def forward(self, x):
        return nn.functional.conv2d(x, self.scale)


MODELS.register_module(name='ChannelMean', module=ChannelMean, force=True)


def test_chains_of_blocks():
    cfg = {'type': 'ChannelMean'}
    x = torch.rand(1, 4, 2, 2)
    mean = x.mean(1, keepdim=True).expand_as(x)
    plain = RepStageBlock(4, 4, 3, block_cfg=cfg)
    assert len(plain.block) == 2 and RepStageBlock(4, 4, 1, block_cfg=cfg).block is None
    torch.testing.assert_close(plain(x), mean)
    pairs = RepStageBlock(4, 4, 5, BottleRep, cfg)
    assert len(pairs.block) == 1
    pairs.conv1.alpha.data.fill_(0.5)
    torch.testing.assert_close(pairs(x), mean + mean * 0.5 + mean + 0.5 * x)
    assert RepStageBlock(4, 4, 3, BottleRep, cfg).block is None
    torch.testing.assert_close(BottleRep(4, 4, cfg)(x), mean + x)
    assert BottleRep(4, 6, cfg, adaptive_weight=True)(x).shape[1] == 6
    single = BepC3StageBlock(8, 8, 2, hidden_ratio=2 / 3, concat_all_layer=False)
    assert single.conv3.conv.in_channels == 5 and single(torch.rand(1, 8, 4, 4)).shape == (1, 8, 4, 4)


def test_blocks_of_yolov7():
    x = torch.rand(2, 8, 4, 4)
    elan = ELANBlock(8, 12, 0.5, 0.25, num_blocks=3, num_convs_in_block=2)
    assert elan.final_conv.conv.in_channels == 3 * 2 + 2 * 4 and elan(x).shape == (2, 12, 4, 4)
    both = EELANBlock(2, in_channels=8, out_channels=12, middle_ratio=0.5, block_ratio=0.25)
    torch.testing.assert_close(both(x), both.e_elan_blocks[0](x) + both.e_elan_blocks[1](x))
    down = MaxPoolAndStrideConvBlock(8, 12, use_in_channels_of_middle=True)
    assert down(x).shape == (2, 12, 2, 2) and down.stride_conv_branches[0].conv.out_channels == 8
    torch.testing.assert_close(down(x)[:, 6:], down.maxpool_branches(x))
    assert TinyDownSampleBlock(8, 12, 0.25)(x).shape == (2, 12, 4, 4)
    with pytest.raises(AssertionError, match='num_blocks'):
        ELANBlock(8, 12, 0.5, 0.25, num_blocks=0)
    assert SPPFCSPBlock(8, 12)(x).shape == SPPFCSPBlock(8, 12, is_tiny_version=True)(x).shape == (2, 12, 4, 4)

    spread = torch.zeros(1, 1, 9, 9)
    spread[..., 4, 4] = 1
    reach = [int(level.sum()) for level in SPPFCSPBlock(8, 12, is_tiny_version=True).poolings(spread)[0]]
    assert reach == [81, 81, 25, 1]


def test_implicit_knowledge():
    torch.manual_seed(0)
    x = torch.rand(1, 1000, 2, 2)
    add, times = ImplicitA(1000), ImplicitM(1000)
    assert add.implicit.mean().item() == pytest.approx(0, abs=0.003)
    assert add.implicit.std().item() == pytest.approx(0.02, rel=0.1)
    assert times.implicit.mean().item() == pytest.approx(1, abs=0.003)
    torch.testing.assert_close(add(x), x + add.implicit)
    torch.testing.assert_close(times(x), x * times.implicit)


def test_bi_fusion_joins_coarse_level_and_finer():
    joint = BiFusion(6, 4, 8).eval()
    maps = torch.rand(1, 8, 4, 4), torch.rand(1, 6, 8, 8), torch.rand(1, 4, 16, 16)
    parts = joint.upsample(maps[0]), joint.conv1(maps[1]), joint.downsample(joint.conv2(maps[2]))
    assert joint(maps).shape == (1, 8, 8, 8)
    torch.testing.assert_close(joint(maps), joint.conv3(torch.cat(parts, 1)))


def test_conv_wrapper_has_a_bias_before_a_norm(recwarn):
    keys = {name for name, _ in ConvWrapper(2, 3, norm_cfg={'type': 'BN'}).named_parameters()}
    assert keys == {'block.conv.weight', 'block.conv.bias', 'block.bn.weight', 'block.bn.bias'}
    assert not [one for one in recwarn if 'bias' in str(one.message)]


@pytest.mark.parametrize('alpha', [1.0, 0.3, 0.0])
def test_learned_shortcuts_and_branches_survive_deployment(alpha):
    torch.manual_seed(0)
    chain = RepStageBlock(4, 4, 4, BottleRep, {'type': 'RepVGGBlock', 'use_alpha': True})
    for name, value in chain.named_parameters():
        value.data.fill_(alpha) if name.endswith('alpha') else value.data.add_(torch.randn_like(value) * 0.1)
    chain(torch.rand(4, 4, 8, 8))  # statistics
    chain.eval()
    x = torch.rand(1, 4, 8, 8)
    before = chain(x)
    switch_to_deploy(chain)
    assert all(block.deploy for block in chain.modules() if isinstance(block, RepVGGBlock))
    torch.testing.assert_close(chain(x), before, rtol=1e-4, atol=1e-5)
