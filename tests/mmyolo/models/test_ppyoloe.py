"""PPYOLOE: published numbers of layers, network and losses, and the loss of distributions as it is meant."""

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData
from torch import nn
from torch.nn import functional as F

from mmyolo.models import PPYOLOECSPPAFPN, PPYOLOECSPResNet, PPYOLOEHead
from mmyolo.models.layers.yolo_bricks import CSPResLayer, EffectiveSELayer, PPYOLOEBasicBlock, PPYOLOESELayer
from mmyolo.registry import MODELS
from tests.mmyolo.models.fingerprints import fingerprint
from tests.mmyolo.models.levels import GT_ROWS, METAS, SIZES, draw

FINGERPRINTS = {
    'ppyoloe/ppyoloe_s_fast_8xb32-300e_coco.py': [
        (-0.02909, 0.1973),
        (-0.007570, 0.1903),
        (0.005306, 0.1733),
        (8.111, 0.06648),
        (7.954, 0.1580),
        (8.012, 0.1221),
    ],
    'ppyoloe/ppyoloe_plus_m_fast_8xb8-80e_coco.py': [
        (-0.02748, 0.1781),
        (0.01880, 0.1837),
        (0.002986, 0.1624),
        (8.014, 0.09421),
        (7.996, 0.08254),
        (7.895, 0.1833),
    ],
}


@pytest.fixture(autouse=True)
def hub():
    hub = MessageHub.get_instance('ppyoloe')
    hub.update_info('epoch', 0)
    MessageHub._instance_dict.move_to_end('ppyoloe')
    return hub


SMALL, LARGE = FINGERPRINTS


@pytest.mark.parametrize('config', [SMALL, pytest.param(LARGE, marks=pytest.mark.slow)])
def test_published_maps(config):
    found = fingerprint(config)
    for level, wanted in zip(found, FINGERPRINTS[config], strict=True):
        assert level == pytest.approx(wanted, rel=2e-3, abs=2e-5)


def test_attention_weighs_channels_by_their_means():
    layer = EffectiveSELayer(6)
    assert layer.fc.conv.bias is not None and not layer.fc.with_norm and not layer.fc.with_activation
    x = draw('randn', 0, 2, 6, 5, 4) * 4
    mean = x.flatten(2).mean(-1)
    gate = ((mean @ layer.fc.conv.weight.flatten(1).T + layer.fc.conv.bias + 3) / 6).clamp(0, 1)
    torch.testing.assert_close(layer(x), x * gate[:, :, None, None])


def test_stem_of_the_head():
    layer = PPYOLOESELayer(6).eval()
    assert 0 < layer.fc.weight.abs().max() < 0.01 and (layer.fc.bias == 0).all()
    x, mean = draw('randn', 0, 2, 6, 5, 4), draw('randn', 1, 2, 6, 1, 1)
    torch.testing.assert_close(layer(x, mean), layer.conv(x * torch.sigmoid(layer.fc(mean))))


@pytest.mark.parametrize('shortcut', [True, False])
def test_basic_block(shortcut):
    block = PPYOLOEBasicBlock(4, 4, shortcut=shortcut, use_alpha=True).eval()
    assert block.conv2.rbr_identity is None and block.conv2.alpha.item() == 1
    x = draw('randn', 0, 1, 4, 5, 5)
    y = block.conv2(block.conv1(x))
    torch.testing.assert_close(block(x), x + y if shortcut else y)
    with pytest.raises(ValueError, match='4 channels to 8'):
        PPYOLOEBasicBlock(4, 8)


@pytest.mark.parametrize('num_block, names', [(1, ['0', 'spp']), (2, ['0', 'spp', '1']), (3, ['0', '1', 'spp', '2'])])
def test_pooling_stands_behind_the_middle_block(num_block, names):
    layer = CSPResLayer(8, 12, num_block, attention_cfg=None, use_spp=True)
    assert list(dict(layer.blocks.named_children())) == names
    assert 'attn.fc.conv.weight' not in layer.state_dict()
    assert layer(torch.rand(2, 8, 6, 6)).shape == (2, 12, 6, 6)


def test_csp_layer_joins_the_short_way_first():
    layer = CSPResLayer(8, 12, 1, stride=2).eval()
    layer.attn = layer.conv3 = nn.Identity()
    x = torch.rand(1, 8, 6, 6)
    down = layer.conv_down(x)
    assert down.shape == (1, 10, 3, 3)
    torch.testing.assert_close(layer(x), torch.cat([layer.conv1(down), layer.blocks(layer.conv2(down))], 1))


@pytest.mark.parametrize('large, widths', [(False, [16, 32]), (True, [16, 16, 32])])
def test_stem(large, widths):
    stem = PPYOLOECSPResNet(widen_factor=0.5, deepen_factor=0.33, use_large_stem=large).stem
    assert [conv.out_channels for conv in stem] == widths
    assert [conv.conv.stride[0] for conv in stem] == [2] + [1] * (len(widths) - 1)


@pytest.mark.parametrize('deepen_factor, blocks', [(0.33, [1, 2, 2, 1]), (0.67, [2, 4, 4, 2]), (1.33, [4, 8, 8, 4])])
def test_backbone(deepen_factor, blocks):
    model = PPYOLOECSPResNet(deepen_factor=deepen_factor, widen_factor=0.125, out_indices=(0, 1, 2, 3, 4))
    assert [len(getattr(model, name)[0].blocks) for name in model.layers[1:]] == blocks
    shapes = [tuple(out.shape) for out in model(torch.rand(2, 3, 64, 96))]
    assert shapes == [(2, 8, 32, 48), (2, 16, 16, 24), (2, 32, 8, 12), (2, 64, 4, 6), (2, 128, 2, 3)]


def test_backbone_of_other_stages_with_plugins():
    plugins = [{'cfg': {'type': 'CBAM', 'reduce_ratio': 4}, 'stages': (False, True)}]
    model = PPYOLOECSPResNet(
        arch_ovewrite=[[32, 64, 1], [64, 128, 2]], widen_factor=0.5, out_indices=(1, 2), plugins=plugins
    )
    assert [len(model.stage1), len(model.stage2)] == [1, 2]
    assert [out.shape[1] for out in model(torch.rand(1, 3, 32, 32))] == [32, 64]


def test_neck_with_more_layers_and_dropped_blocks():
    drop = {'type': 'mmdet.DropBlock', 'drop_prob': 0.1, 'block_size': 3, 'warm_iters': 0}
    neck = PPYOLOECSPPAFPN([16, 32, 64], [8, 16, 24], num_csplayer=2, drop_block_cfg=drop, use_spp=True)
    assert [len(neck.reduce_layers[2]), len(neck.top_down_layers[0]), len(neck.bottom_up_layers[0])] == [3, 2, 2]
    inputs = [torch.rand(2, c, s, s) for c, s in ((16, 16), (32, 8), (64, 4))]
    assert [tuple(out.shape) for out in neck(inputs)] == [(2, 8, 16, 16), (2, 16, 8, 8), (2, 24, 4, 4)]


def build(num_classes=4):
    train_cfg = {
        'initial_epoch': 4,
        'initial_assigner': {'type': 'BatchATSSAssigner', 'num_classes': num_classes, 'topk': 9},
        'assigner': {
            'type': 'BatchTaskAlignedAssigner',
            'num_classes': num_classes,
            'topk': 13,
            'alpha': 1,
            'beta': 6,
            'eps': 1e-9,
        },
    }
    layers = {'type': 'PPYOLOEHeadModule', 'num_classes': num_classes, 'in_channels': [8, 16, 24], 'reg_max': 16}
    return MODELS.build({'type': 'PPYOLOEHead', 'head_module': layers, 'train_cfg': train_cfg})


def maps():
    """Class logits, distances and their distributions."""
    cls = [draw('randn', 100 + i, 2, 4, *size) for i, size in enumerate(SIZES)]
    dist = [draw('randn', 300 + i, 2, h * w, 4, 17) for i, (h, w) in enumerate(SIZES)]
    means = [(level.softmax(-1) * torch.arange(17.0)).sum(-1) for level in dist]
    return cls, [mean.transpose(1, 2).unflatten(2, size) for mean, size in zip(means, SIZES)], dist


def features(batch_size=2):
    return [draw('randn', i, batch_size, c, *size) for i, (c, size) in enumerate(zip((8, 16, 24), SIZES))]


def values(losses):
    assert losses.keys() == {'loss_cls', 'loss_bbox', 'loss_dfl'}
    return [losses[name].item() for name in ('loss_cls', 'loss_bbox', 'loss_dfl')]


@pytest.mark.parametrize(
    'epoch, rows, expected',
    [
        (0, GT_ROWS, [365.20731, 2.15416, 1.67067]),
        (10, GT_ROWS, [140.28842, 1.78800, 1.62211]),
        (10, GT_ROWS[:0], [685.69690, 0, 0]),
    ],
)
def test_losses(hub, epoch, rows, expected):
    """Of the last column 1.64222 and 1.62096 are published, computed of mixed-up logits; these are what is meant."""
    hub.update_info('epoch', epoch)
    assert values(build().loss_by_feat(*maps(), rows, METAS)) == pytest.approx(expected, rel=1e-5)


def test_loss_of_distributions_by_its_definition(hub):
    hub.update_info('epoch', 10)
    head = build()
    cls, bbox, dist = maps()
    calls = []
    head.loss_bbox.register_forward_pre_hook(
        lambda _, args, kwargs: calls.append((*args, kwargs['weight'])), with_kwargs=True
    )
    total = head.loss_by_feat(cls, bbox, dist, GT_ROWS, METAS)['loss_dfl']

    logits, wanted = torch.cat(dist, 1), 0.0
    means = torch.cat([level.flatten(2).transpose(1, 2) for level in bbox], 1)
    points = head.flatten_priors_train[:, :2]
    strides = torch.cat([torch.full((h * w,), float(s)) for (h, w), s in zip(SIZES, (8, 16, 32))])
    ((boxes, targets, weights),) = calls
    for box, target, weight in zip(boxes, targets, weights):
        # the prior whose box this is
        cells = points / strides[:, None]
        decoded = torch.cat((cells - means[..., :2], cells + means[..., 2:]), -1)
        image, place = (decoded - box).abs().sum(-1).min().eq((decoded - box).abs().sum(-1)).nonzero()[0]
        x, y = points[place] / strides[place]
        sides = torch.stack((x - target[0], y - target[1], target[2] - x, target[3] - y)).clamp(0, 16 - 0.01)
        for side, row in zip(sides, logits[image, place]):
            low = int(side)
            log = -row.log_softmax(0)
            wanted += weight * (log[low] * (low + 1 - side) + log[low + 1] * (side - low)) / 4 * 0.5
    torch.testing.assert_close(total, wanted / max(weights.sum(), 1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('epoch', [0, 10])
@pytest.mark.parametrize('rows', [GT_ROWS, GT_ROWS[:0]])
def test_training_equals_the_loss_of_the_forward_maps(hub, epoch, rows):
    hub.update_info('epoch', epoch)
    torch.manual_seed(0)
    head = build()
    short = head.loss(features(), {'bboxes_labels': rows, 'img_metas': METAS})
    assert values(short) == pytest.approx(values(head.loss_by_feat(*head(features()), rows, METAS)), rel=1e-5)
    sum(short.values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())


def test_lists_of_instances_and_one_class(hub):
    hub.update_info('epoch', 10)
    instances = [
        InstanceData(bboxes=torch.tensor([[24.0, 37.0, 98.0, 118.0]]), labels=torch.zeros(1)) for _ in range(2)
    ]
    head = build(num_classes=1)
    assert all(value > 0 for value in values(head.loss_by_feat(*head(features()), instances, METAS)))


def test_mean_over_processes(monkeypatch):
    monkeypatch.setattr('mmyolo.models.dense_heads.ppyoloe_head.reduce_mean', lambda tensor: tensor * 2)
    head = build()
    assert head.divisor(torch.tensor(3.0)) == 6 and head.divisor(torch.tensor(0.2)) == 1 and head.loss_scale(16) == 1


def test_classes_see_the_map_itself_and_distances_do_not():
    head = build().eval()
    module = head.head_module
    with torch.no_grad():
        for stem in (*module.cls_stems, *module.reg_stems):
            nn.init.zeros_(stem.conv.bn.weight)  # the stems give 0
        cls, bbox = head(features())
        for x, level, pred in zip(features(), cls, module.cls_preds):
            torch.testing.assert_close(level, F.conv2d(x, pred.weight, pred.bias, padding=1))
        for level, pred in zip(bbox, module.reg_preds):
            mean = (pred.bias.view(4, 17).softmax(-1) * torch.arange(17.0)).sum(-1)
            torch.testing.assert_close(level, mean.view(1, 4, 1, 1).expand_as(level))
    assert 'head_module.proj' not in head.state_dict()


def test_initial_predictions():
    head = build(num_classes=80).eval()
    head.init_weights()
    cls, bbox = head(features())
    assert isinstance(head, PPYOLOEHead)
    assert all(torch.allclose(level.sigmoid(), torch.tensor(0.01)) for level in cls)
    assert all(torch.allclose(level, torch.tensor(8.0)) for level in bbox)
