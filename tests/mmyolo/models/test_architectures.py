"""Backbones, necks and whole detectors of YOLOv5 and YOLOv8: shapes, keys, counts, numbers."""

import math

import pytest
import torch
from torch import Tensor, nn

from mmyolo.models import (
    YOLODetector,
    YOLOv5CSPDarknet,
    YOLOv5HeadModule,
    YOLOv5PAFPN,
    YOLOv8CSPDarknet,
    YOLOv8HeadModule,
    YOLOv8PAFPN,
)

# deepen_factor, widen_factor
SIZES = {'n': (0.33, 0.25), 's': (0.33, 0.5), 'm': (0.67, 0.75), 'l': (1, 1), 'x': (1.33, 1.25)}
V8_LAST_CHANNELS = {'n': 1024, 's': 1024, 'm': 768, 'l': 512, 'x': 512}
P5, P6 = [256, 512, 1024], [256, 512, 768, 1024]


class Network(nn.Module):
    """Backbone, neck and the layers of a head under the names they have in a detector."""

    def __init__(self, backbone: nn.Module, neck: nn.Module, head_module: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.bbox_head = nn.Module()
        self.bbox_head.head_module = head_module


def build(family: str, size: str, num_classes: int = 80) -> Network:
    deepen, widen = SIZES[size]
    scale = {'deepen_factor': deepen, 'widen_factor': widen}
    if family == 'v8':
        last = V8_LAST_CHANNELS[size]
        widen = 1.25 if size == 'x' else min(widen, 1)
        scale = {'deepen_factor': min(deepen, 1), 'widen_factor': widen}
        channels = [256, 512, last]
        return Network(
            YOLOv8CSPDarknet(last_stage_out_channels=last, **scale),
            YOLOv8PAFPN(channels, channels, **scale),
            YOLOv8HeadModule(num_classes, channels, widen),
        )
    channels = P6 if family == 'v5-p6' else P5
    arch = {'arch': 'P6', 'out_indices': (2, 3, 4, 5)} if channels is P6 else {}
    backbone = YOLOv5CSPDarknet(**arch, **scale)
    strides = [8, 16, 32, 64][: len(channels)]
    return Network(
        backbone,
        YOLOv5PAFPN(channels, channels, num_csp_blocks=3, **scale),
        YOLOv5HeadModule(num_classes, channels, widen, featmap_strides=strides),
    )


# parameters and entries of the state dict
@pytest.mark.parametrize(
    'family, size, parameters, entries',
    [
        ('v5', 'n', 1872157, 348),
        ('v5', 's', 7235389, 348),
        ('v5', 'm', 21190557, 480),
        ('v5', 'l', 46563709, 612),
        ('v5', 'x', 86749405, 744),
        ('v5-p6', 'n', 3246940, 458),
        ('v5-p6', 's', 12626620, 458),
        ('v5-p6', 'm', 35731932, 626),
        ('v5-p6', 'l', 76770172, 794),
        ('v5-p6', 'x', 140794780, 962),
        ('v8', 'n', 3157184, 354),
        ('v8', 's', 11166544, 354),
        ('v8', 'm', 25902624, 474),
        ('v8', 'l', 43691504, 594),
        ('v8', 'x', 68229632, 594),
    ],
)
def test_size(family, size, parameters, entries):
    with torch.device('meta'):
        model = build(family, size)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert len(model.state_dict()) == entries


@pytest.mark.parametrize(
    'family, num_classes, parameters', [('v5', 1, 7022326), ('v8', 1, 11135971), ('v5', 20, 7073569)]
)
def test_size_with_other_classes(family, num_classes, parameters):
    with torch.device('meta'):
        model = build(family, 's', num_classes)
    assert sum(p.numel() for p in model.parameters()) == parameters


KEYS = {
    'v5': {
        'backbone.stem.conv.weight': (32, 3, 6, 6),
        'backbone.stage1.0.conv.weight': (64, 32, 3, 3),
        'backbone.stage1.1.main_conv.conv.weight': (32, 64, 1, 1),
        'backbone.stage1.1.short_conv.conv.weight': (32, 64, 1, 1),
        'backbone.stage3.1.blocks.2.conv2.conv.weight': (128, 128, 3, 3),
        'backbone.stage4.2.conv1.conv.weight': (256, 512, 1, 1),
        'backbone.stage4.2.conv2.conv.weight': (512, 1024, 1, 1),
        'neck.reduce_layers.2.conv.weight': (256, 512, 1, 1),
        'neck.top_down_layers.0.0.main_conv.conv.weight': (128, 512, 1, 1),
        'neck.top_down_layers.0.1.conv.weight': (128, 256, 1, 1),
        'neck.top_down_layers.1.main_conv.conv.weight': (64, 256, 1, 1),
        'neck.downsample_layers.1.conv.weight': (256, 256, 3, 3),
        'neck.bottom_up_layers.1.final_conv.conv.weight': (512, 512, 1, 1),
    },
    'v5-p6': {
        'neck.reduce_layers.3.conv.weight': (384, 512, 1, 1),
        'neck.top_down_layers.0.0.main_conv.conv.weight': (192, 768, 1, 1),
        'neck.top_down_layers.1.1.conv.weight': (128, 256, 1, 1),
        'neck.top_down_layers.2.main_conv.conv.weight': (64, 256, 1, 1),
    },
    'v8': {
        'backbone.stem.conv.weight': (32, 3, 3, 3),
        'backbone.stage1.1.main_conv.conv.weight': (64, 64, 1, 1),
        'backbone.stage1.1.final_conv.conv.weight': (64, 96, 1, 1),
        'backbone.stage1.1.blocks.0.conv1.conv.weight': (32, 32, 3, 3),
        'neck.top_down_layers.0.main_conv.conv.weight': (256, 768, 1, 1),
        'neck.top_down_layers.0.final_conv.conv.weight': (256, 384, 1, 1),
        'neck.bottom_up_layers.1.main_conv.conv.weight': (512, 768, 1, 1),
    },
}


@pytest.mark.parametrize('family', KEYS)
def test_keys(family):
    with torch.device('meta'):
        state = build(family, 's').state_dict()
    assert {key: tuple(state[key].shape) for key in KEYS[family]} == KEYS[family]


def fill(model: nn.Module) -> nn.Module:
    """Weights that are functions of a key and a place."""
    for key, value in model.state_dict().items():
        wave = torch.sin(0.37 * torch.arange(value.numel(), dtype=torch.float64) + len(key)).reshape(value.shape)
        if value.ndim >= 2:
            value.copy_(wave * math.sqrt(2 / math.prod(value.shape[1:])))
        elif key.endswith(('running_var', 'bn.weight')):
            value.fill_(1)
        elif key.endswith('running_mean'):
            value.zero_()
        elif value.is_floating_point():
            value.copy_(0.1 * wave)
    return model.eval()


def fingerprint(feature: Tensor) -> list:
    flat = feature.flatten()
    return [flat.abs().mean().item(), flat[0].item(), flat[-1].item()]


FINGERPRINTS = {
    ('v5', 's'): (
        [[0.08328, 0.08474, 0.07823], [0.35796, 0.75432, 0.27212], [0.29361, -0.08347, -0.18838]],
        [[0.04665, 0.02984, -0.04214], [0.15378, 0.18727, -0.04547], [0.16149, 0.1247, -0.14318]],
    ),
    ('v5-p6', 'n'): (
        [
            [0.09964, 0.06612, -0.02017],
            [0.1113, 0.1646, 0.04],
            [0.08133, 0.07698, -0.11091],
            [0.0401, -0.05732, -0.01864],
        ],
        [
            [0.03245, -0.01673, 0.05364],
            [0.04054, -0.03565, -0.0107],
            [0.09576, 0.03251, -0.07788],
            [0.16091, 0.20605, -0.0357],
        ],
    ),
    ('v8', 's'): (
        [[0.12141, -0.16575, 0.26255], [0.19031, -0.02291, 0.23398], [0.29468, -0.08237, -0.18958]],
        [[0.10598, -0.03291, -0.09725], [0.15469, 0.13761, 0.14015], [0.16684, 0.15865, 0.19703]],
    ),
}
# Of the head's maps of each kind, the first and the last level.
HEAD_FINGERPRINTS = {
    ('v5', 's'): [
        [0.25566, -0.14655, -0.29223],
        [0.51292, -0.66087, 0.87731],
        [0.27127, 0.49197, 0.45691],
        [0.5288, 0.54218, 0.52408],
        [0.29125, 0.26292, -0.35354],
        [0.57321, -0.718, 0.82887],
    ],
    ('v8', 's'): [
        [0.25922, 0.29245, -0.13663],
        [0.25925, 0.29233, -0.13662],
        [7.44247, 7.51192, 7.29673],
        [7.44235, 7.5127, 7.29574],
    ],
}


@pytest.mark.parametrize('family, size', FINGERPRINTS)
def test_numbers(family, size):
    model = fill(build(family, size))
    image = 0.5 + 0.5 * torch.sin(0.013 * torch.arange(3 * 64 * 64, dtype=torch.float64))
    with torch.no_grad():
        features = model.backbone(image.float().reshape(1, 3, 64, 64))
        outputs = model.neck(features)
        kinds = model.bbox_head.head_module(outputs)
    wanted_features, wanted_outputs = FINGERPRINTS[family, size]
    for got, wanted in zip((*features, *outputs), (*wanted_features, *wanted_outputs), strict=True):
        assert fingerprint(got) == pytest.approx(wanted, abs=2e-5)
    if (family, size) in HEAD_FINGERPRINTS:
        ends = [level for kind in kinds for level in (kind[0], kind[-1])]
        for got, wanted in zip(ends, HEAD_FINGERPRINTS[family, size], strict=True):
            assert fingerprint(got) == pytest.approx(wanted, abs=2e-5)


@pytest.mark.parametrize('backbone', [YOLOv5CSPDarknet, YOLOv8CSPDarknet])
def test_output_shapes(backbone):
    model = backbone(widen_factor=0.125, out_indices=(0, 1, 2, 3, 4))
    shapes = [tuple(out.shape) for out in model(torch.rand(2, 3, 64, 96))]
    assert shapes == [(2, 8, 32, 48), (2, 16, 16, 24), (2, 32, 8, 12), (2, 64, 4, 6), (2, 128, 2, 3)]


def test_input_channels():
    assert YOLOv5CSPDarknet(widen_factor=0.125, input_channels=4)(torch.rand(2, 4, 32, 32))[0].shape == (2, 32, 4, 4)


@pytest.mark.parametrize('backbone', [YOLOv5CSPDarknet, YOLOv8CSPDarknet])
def test_wrong_arguments_are_named(backbone):
    with pytest.raises(AssertionError, match=r'out_indices must be among 0 \(stem\) to 4, got \(6,\)'):
        backbone(out_indices=[6])
    with pytest.raises(ValueError, match='frozen_stages must be from -1 .* to 4, got 5'):
        backbone(frozen_stages=5)


def test_frozen_stages():
    model = YOLOv8CSPDarknet(widen_factor=0.125, frozen_stages=1)
    frozen = [*model.stem.parameters(), *model.stage1.parameters()]
    assert not any(p.requires_grad for p in frozen), 'before train(), so that DistributedDataParallel sees it'
    assert model.train() is model
    assert not any(p.requires_grad for p in frozen)
    assert all(p.requires_grad for p in model.stage2.parameters())
    assert not model.stage1.training and model.stage2.training
    mean = model.stage1[0].bn.running_mean.clone()
    model(torch.rand(2, 3, 32, 32))
    assert torch.equal(model.stage1[0].bn.running_mean, mean)


def test_norm_eval():
    model = YOLOv5CSPDarknet(widen_factor=0.125, norm_eval=True).train()
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and not any(norm.training for norm in norms)
    assert model.stage1.training


def test_frozen_neck():
    neck = YOLOv5PAFPN(P5, P5, widen_factor=0.125, freeze_all=True)
    assert not any(p.requires_grad for p in neck.parameters())
    assert neck.train() is neck
    assert not any(m.training for m in neck.modules() if isinstance(m, nn.BatchNorm2d))


def test_plugins():
    plugins = [
        {'cfg': {'type': 'mmdet.DropBlock', 'drop_prob': 0.1, 'block_size': 3}, 'stages': (False, False, True, True)}
    ]
    model = YOLOv5CSPDarknet(widen_factor=0.125, plugins=plugins)
    assert [len(getattr(model, f'stage{i}')) for i in (1, 2, 3, 4)] == [2, 2, 3, 4]
    assert plugins[0]['stages'] == (False, False, True, True)
    with pytest.raises(ValueError, match='stages of a plugin needs 4 entries'):
        YOLOv5CSPDarknet(widen_factor=0.125, plugins=[{'cfg': {'type': 'CBAM'}, 'stages': (True,)}])


def test_last_stage_of_one_model_does_not_reach_another():
    small = YOLOv8CSPDarknet(widen_factor=0.25)
    YOLOv8CSPDarknet(widen_factor=0.25, last_stage_out_channels=768)
    assert small.arch_setting[-1][1] == 1024
    assert YOLOv8CSPDarknet(widen_factor=0.25).arch_setting[-1][1] == 1024


def test_neck_of_v8_with_other_output_channels():
    neck = YOLOv8PAFPN([64, 128, 256], [32, 64, 96], deepen_factor=0.33)
    outs = neck([torch.rand(1, c, s, s) for c, s in ((64, 8), (128, 4), (256, 2))])
    assert [tuple(out.shape) for out in outs] == [(1, 32, 8, 8), (1, 64, 4, 4), (1, 96, 2, 2)]


def test_neck_names_a_wrong_number_of_levels():
    with pytest.raises(ValueError, match=r'takes 3 feature maps \(in_channels\), got 2'):
        YOLOv5PAFPN(P5, P5, widen_factor=0.125)([torch.rand(1, 32, 8, 8)] * 2)


@pytest.mark.parametrize(
    'model',
    [
        YOLOv5CSPDarknet(widen_factor=0.125),
        YOLOv8CSPDarknet(widen_factor=0.125),
        YOLOv5PAFPN(P5, P5, widen_factor=0.125),
        YOLOv8PAFPN(P5, P5, widen_factor=0.125),
    ],
    ids=lambda model: type(model).__name__,
)
def test_convolutions_start_from_the_default_of_pytorch(model):
    model.init_weights()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            bound = 1 / math.sqrt(module.weight[0].numel())  # kaiming_uniform_ with a = sqrt(5)
            assert module.weight.abs().max() <= bound
            assert module.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.3)


def test_init_cfg_is_followed():
    model = YOLOv5CSPDarknet(widen_factor=0.125, init_cfg={'type': 'Constant', 'layer': 'Conv2d', 'val': 0.5})
    model.init_weights()
    assert torch.all(model.stage4[0].conv.weight == 0.5)


def detector(**kwargs) -> YOLODetector:
    from mmyolo.registry import MODELS
    from mmyolo.utils import register_all_modules

    register_all_modules()
    scale = {'deepen_factor': 0.33, 'widen_factor': 0.125}
    return MODELS.build(
        dict(
            type='YOLODetector',
            data_preprocessor={
                'type': 'YOLOv5DetDataPreprocessor',
                'mean': [0, 0, 0],
                'std': [255] * 3,
                'bgr_to_rgb': True,
            },
            backbone=dict(type='YOLOv8CSPDarknet', **scale),
            neck=dict(type='YOLOv8PAFPN', in_channels=P5, out_channels=P5, **scale),
            bbox_head={
                'type': 'YOLOv8Head',
                'head_module': {'type': 'YOLOv8HeadModule', 'num_classes': 3, 'in_channels': P5, 'widen_factor': 0.125},
            },
            test_cfg={
                'multi_label': True,
                'nms_pre': 100,
                'score_thr': 0.0,
                'nms': {'type': 'nms', 'iou_threshold': 0.7},
                'max_per_img': 5,
            },
            **kwargs,
        )
    )


@pytest.mark.parametrize(
    'world, device, use_syncbn, synced',
    [(2, 'cuda', True, True), (2, 'cuda', False, False), (1, 'cuda', True, False), (2, 'cpu', True, False)],
)
def test_norms_are_synchronised_between_processes(world, device, use_syncbn, synced, monkeypatch):
    import mmyolo.models.detectors.yolo_detector as module

    monkeypatch.setattr(module, 'get_world_size', lambda: world)
    monkeypatch.setattr(module, 'get_device', lambda: device)
    model = detector(use_syncbn=use_syncbn)
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert norms
    assert all(isinstance(norm, nn.SyncBatchNorm) == synced for norm in norms)


def test_detector_predicts():
    model = detector().eval()
    from mmdet.structures import DetDataSample

    sample = DetDataSample(
        metainfo={
            'img_shape': (64, 64),
            'ori_shape': (32, 32),
            'scale_factor': (2.0, 2.0),
            'pad_param': [0, 0, 0, 0],
            'batch_input_shape': (64, 64),
        }
    )
    with torch.no_grad():
        result = model.test_step({'inputs': [torch.zeros(3, 64, 64, dtype=torch.uint8)], 'data_samples': [sample]})
    assert len(result[0].pred_instances) == 5
    assert result[0].pred_instances.bboxes.max() <= 32
