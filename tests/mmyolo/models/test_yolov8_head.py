"""The YOLOv8 head: published losses, both ways to compute them, ground truth in both forms, precision."""

import pytest
import torch

from mmyolo.registry import MODELS
from tests.mmyolo.models.maps import GT_ROWS, SIZES, TRAIN_METAS, as_instances, yolov8_maps

NAMES = ('loss_cls', 'loss_bbox', 'loss_dfl')


def build(num_classes=3, reg_max=16, **kwargs):
    layers = {'type': 'YOLOv8HeadModule', 'num_classes': num_classes, 'in_channels': [8, 16, 24], 'reg_max': reg_max}
    assigner = {
        'type': 'BatchTaskAlignedAssigner',
        'num_classes': num_classes,
        'topk': 10,
        'alpha': 0.5,
        'beta': 6.0,
        'eps': 1e-9,
        'use_ciou': True,
    }
    return MODELS.build(dict(type='YOLOv8Head', head_module=layers, train_cfg={'assigner': assigner}, **kwargs))


def values(losses):
    return [losses[name].item() for name in NAMES]


def features(batch_size=2):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(batch_size, c, *size, generator=generator) for c, size in zip((8, 16, 24), SIZES)]


@pytest.mark.parametrize(
    'rows, expected', [(GT_ROWS, [136.52988, 13.66046, 8.08104]), (GT_ROWS[:0], [191.04129, 0, 0])]
)
def test_published_losses_from_rows_and_from_instances(rows, expected):
    for ground_truth in (rows, as_instances(rows)):
        losses = build().loss_by_feat(*yolov8_maps(), ground_truth, TRAIN_METAS)
        assert values(losses) == pytest.approx(expected, rel=1e-4)


def gradients(head, losses):
    head.zero_grad()
    sum(losses.values()).backward()
    return [parameter.grad.clone() for parameter in head.parameters()]


@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('rows', [GT_ROWS, GT_ROWS[:2], GT_ROWS[:0]])
def test_training_equals_the_loss_of_the_forward_maps(rows, memory_format):
    torch.manual_seed(0)
    head = build().to(memory_format=memory_format)
    x = [level.contiguous(memory_format=memory_format) for level in features()]
    short = head.loss(x, {'bboxes_labels': rows, 'img_metas': TRAIN_METAS})
    short_gradients = gradients(head, short)
    whole = head.loss_by_feat(*head(x), rows, TRAIN_METAS)
    assert values(short) == pytest.approx(values(whole), rel=1e-5)
    for one, other in zip(short_gradients, gradients(head, whole)):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_a_configured_class_weight_takes_the_general_way():
    loss = {'type': 'mmdet.CrossEntropyLoss', 'use_sigmoid': True, 'reduction': 'none', 'loss_weight': 0.5}
    plain = values(build(loss_cls=loss).loss_by_feat(*yolov8_maps(), GT_ROWS, TRAIN_METAS))
    general = values(build(loss_cls=dict(loss, class_weight=1.0)).loss_by_feat(*yolov8_maps(), GT_ROWS, TRAIN_METAS))
    heavier = values(build(loss_cls=dict(loss, class_weight=2.0)).loss_by_feat(*yolov8_maps(), GT_ROWS, TRAIN_METAS))
    assert general == pytest.approx(plain, rel=1e-5)
    assert heavier[0] > general[0] and heavier[1:] == general[1:]


def test_one_class():
    rows = GT_ROWS.clone()
    rows[:, 1] = 0
    losses = values(build(num_classes=1).loss_by_feat(*yolov8_maps(num_classes=1), rows, TRAIN_METAS))
    assert all(value > 0 for value in losses)


def test_direct_regression():
    torch.manual_seed(0)
    head = build(reg_max=1, loss_dfl={'type': 'mmdet.DistributionFocalLoss', 'loss_weight': 0.0})
    cls, bbox, dist = head(features())
    assert [level.shape for level in bbox] == [(2, 4, *size) for size in SIZES]
    torch.testing.assert_close(bbox[1].flatten(2).transpose(1, 2), dist[1][..., 0])


def test_maps_of_training_and_prediction():
    head = build()
    cls, bbox, dist = head(features())
    assert [level.shape for level in dist] == [(2, h * w, 4, 16) for h, w in SIZES]
    expected = (dist[0].softmax(-1) * torch.arange(16.0)).sum(-1)
    torch.testing.assert_close(bbox[0].flatten(2).transpose(1, 2), expected)
    assert len(head.eval()(features())) == 2


def test_losses_and_distances_are_single_precision_under_autocast():
    torch.manual_seed(0)
    head = build()
    exact = head.loss(features(), {'bboxes_labels': GT_ROWS, 'img_metas': TRAIN_METAS})
    with torch.autocast('cpu', torch.bfloat16):
        cls, bbox, dist = head(features())
        losses = head.loss(features(), {'bboxes_labels': GT_ROWS, 'img_metas': TRAIN_METAS})
    assert cls[0].dtype == torch.bfloat16 and bbox[0].dtype == torch.float32
    torch.testing.assert_close(bbox[0].flatten(2).transpose(1, 2), dist[0].float().softmax(-1) @ torch.arange(16.0))
    assert all(loss.dtype == torch.float32 for loss in losses.values())
    assert values(losses) == pytest.approx(values(exact), rel=0.02)
    sum(losses.values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())


def test_initial_biases():
    head = build(num_classes=80)
    head.init_weights()
    module = head.head_module
    biases = [level[-1].bias[0].item() for level in module.cls_preds]
    assert biases == pytest.approx([-11.53664, -10.15035, -8.76405], abs=1e-4)
    assert all((level[-1].bias == 1).all() for level in module.reg_preds)


def test_channels_of_the_towers_and_order_of_the_state():
    layers = MODELS.build(
        {'type': 'YOLOv8HeadModule', 'num_classes': 80, 'in_channels': [256, 512, 1024], 'widen_factor': 0.5}
    )
    state = layers.state_dict()
    assert state['cls_preds.0.0.conv.weight'].shape == (128, 128, 3, 3)
    assert state['cls_preds.2.2.weight'].shape == (80, 128, 1, 1)
    assert state['reg_preds.2.0.conv.weight'].shape == (64, 512, 3, 3)
    assert [key.split('.')[0] for key in state] == sorted(key.split('.')[0] for key in state)
    assert 'proj' not in state
