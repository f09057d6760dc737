"""The YOLOv6 head: published losses of both assigners, distances as numbers and distributions, precision."""

import pytest
import torch
from mmengine.logging import MessageHub

from mmyolo.registry import MODELS
from tests.mmyolo.models.levels import GT_ROWS, METAS, SIZES, draw_maps


def build(num_classes=4, iou_mode='giou', **kwargs):
    layers = dict(type='YOLOv6HeadModule', num_classes=num_classes, in_channels=[8, 16, 24], **kwargs)
    loss = {'type': 'IoULoss', 'iou_mode': iou_mode, 'bbox_format': 'xyxy', 'loss_weight': 2.5, 'return_iou': False}
    train_cfg = {
        'initial_epoch': 4,
        'initial_assigner': {'type': 'BatchATSSAssigner', 'num_classes': num_classes, 'topk': 9},
        'assigner': {'type': 'BatchTaskAlignedAssigner', 'num_classes': num_classes, 'topk': 13, 'alpha': 1, 'beta': 6},
    }
    return MODELS.build({'type': 'YOLOv6Head', 'head_module': layers, 'loss_bbox': loss, 'train_cfg': train_cfg})


@pytest.fixture(autouse=True)
def hub():
    hub = MessageHub.get_instance('yolov6-head')
    hub.update_info('epoch', 0)
    MessageHub._instance_dict.move_to_end('yolov6-head')
    return hub


def features(batch_size=2):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(batch_size, c, *size, generator=generator) for c, size in zip((8, 16, 24), SIZES)]


def values(losses):
    assert losses.keys() == {'loss_cls', 'loss_bbox'}
    return [losses['loss_cls'].item(), losses['loss_bbox'].item()]


@pytest.mark.parametrize(
    'epoch, iou_mode, expected',
    [
        (0, 'giou', [105.63594, 1.63622]),
        (10, 'giou', [159.95563, 0.97616]),
        (0, 'siou', [105.63594, 1.59510]),
        (10, 'siou', [159.95563, 0.98167]),
    ],
)
def test_published_losses(hub, epoch, iou_mode, expected):
    hub.update_info('epoch', epoch)
    losses = build(iou_mode=iou_mode).loss_by_feat(*draw_maps(), None, GT_ROWS, METAS)
    assert values(losses) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize('epoch', [0, 10])
@pytest.mark.parametrize('reg_max', [0, 16])
@pytest.mark.parametrize('rows', [GT_ROWS, GT_ROWS[:0]])
def test_training_equals_the_loss_of_the_forward_maps(hub, epoch, reg_max, rows):
    hub.update_info('epoch', epoch)
    torch.manual_seed(0)
    head = build(reg_max=reg_max)
    results = []
    for losses in (
        head.loss(features(), {'bboxes_labels': rows, 'img_metas': METAS}),
        head.loss_by_feat(*head(features()), rows, METAS),
    ):
        head.zero_grad()
        sum(losses.values()).backward()
        results.append((values(losses), [parameter.grad.clone() for parameter in head.parameters()]))
    (short, short_gradients), (whole, gradients) = results
    assert short == pytest.approx(whole, rel=1e-5)
    assert (short[1] > 0) == (len(rows) > 0) and short[0] > 0
    for one, other in zip(short_gradients, gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_maps_of_training_and_prediction():
    direct, spread = build().eval(), build(reg_max=16)
    cls, bbox = direct(features())
    assert [level.shape[1] for level in cls] == [4] * 3 and [level.shape[1] for level in bbox] == [4] * 3
    torch.testing.assert_close(bbox[1], direct.forward_raw(features())[1][1])
    cls, bbox, dist = spread(features())
    assert [level.shape for level in dist] == [(2, h * w, 4, 17) for h, w in SIZES]
    expected = (dist[0].softmax(-1) * torch.arange(17.0)).sum(-1)
    torch.testing.assert_close(bbox[0].flatten(2).transpose(1, 2), expected)
    assert 'head_module.proj' not in spread.state_dict()


def test_initial_predictions():
    head = build(num_classes=80).eval()
    head.init_weights()
    cls, bbox = head(features())
    assert all(torch.allclose(level.sigmoid(), torch.tensor(0.01)) for level in cls)
    assert all((level == 1).all() for level in bbox)


def test_losses_are_single_precision_under_autocast():
    torch.manual_seed(0)
    head = build(reg_max=16)
    exact = head.loss(features(), {'bboxes_labels': GT_ROWS, 'img_metas': METAS})
    with torch.autocast('cpu', torch.bfloat16):
        losses = head.loss(features(), {'bboxes_labels': GT_ROWS, 'img_metas': METAS})
    assert all(loss.dtype == torch.float32 for loss in losses.values())
    assert values(losses) == pytest.approx(values(exact), rel=0.02)
    sum(losses.values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())


def test_one_class(hub):
    hub.update_info('epoch', 10)
    rows = GT_ROWS.clone()
    rows[:, 1] = 0
    losses = build(num_classes=1).loss(features(), {'bboxes_labels': rows, 'img_metas': METAS})
    assert all(value > 0 for value in values(losses))
