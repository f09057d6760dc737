"""The head of RTMDet-R: layers, losses with and without objects, what the losses lead to, and prediction."""

import math

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

from mmyolo.models.dense_heads import RTMDetRotatedHead, RTMDetRotatedSepBNHeadModule
from mmyolo.standins.mmcv import box_iou_rotated
from mmyolo.standins.mmrotate.structures import RotatedBoxes, rbox2hbox

LAYERS = {
    'type': 'RTMDetRotatedSepBNHeadModule',
    'num_classes': 4,
    'in_channels': 1,
    'stacked_convs': 1,
    'feat_channels': 64,
}
TEST_CFG = Config(
    {
        'multi_label': True,
        'decode_with_angle': True,
        'nms_pre': 2000,
        'score_thr': 0.01,
        'nms': {'type': 'nms_rotated', 'iou_threshold': 0.1},
        'max_per_img': 300,
    }
)
UPRIGHT = {  # boxes as if they were not turned, angles as classes
    'bbox_coder': {'type': 'DistancePointBBoxCoder'},
    'loss_bbox': {'type': 'mmdet.GIoULoss', 'loss_weight': 2.0},
    'angle_coder': {'type': 'mmrotate.CSLCoder', 'angle_version': 'le90', 'omega': 1, 'window': 'rect', 'radius': 1},
    'loss_angle': {'type': 'mmrotate.SmoothFocalLoss', 'gamma': 2.0, 'alpha': 0.25, 'loss_weight': 0.2},
    'use_hbbox_loss': True,
}


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmyolo'):
        yield


def build(num_classes=4, test_cfg=TEST_CFG, **kwargs):
    assigner = {
        'type': 'BatchDynamicSoftLabelAssigner',
        'num_classes': 80,
        'topk': 13,
        'iou_calculator': {'type': 'mmrotate.RBboxOverlaps2D'},
        'batch_iou': False,
    }
    return RTMDetRotatedHead(
        head_module=dict(LAYERS, num_classes=num_classes),
        train_cfg=Config({'assigner': assigner}),
        test_cfg=test_cfg,
        **kwargs,
    )


def metas(count=1, side=256):
    return [
        {
            'img_shape': (side, side, 3),
            'ori_shape': (side, side, 3),
            'scale_factor': (1.0, 1.0),
            'batch_input_shape': (side, side),
        }
    ] * count


def features(side=256, batch=1):
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(batch, 1, side // stride, side // stride, generator=generator) for stride in (8, 16, 32)]


def test_layers():
    module = RTMDetRotatedSepBNHeadModule(num_classes=4, in_channels=1, feat_channels=64, angle_out_dim=3)
    module.init_weights()
    for cls, reg, angle in zip(module.rtm_cls, module.rtm_reg, module.rtm_ang):
        torch.testing.assert_close(cls.bias, torch.full_like(cls.bias, -4.59512), rtol=0, atol=1e-4)
        for layer in (reg, angle):
            assert (layer.bias == 0).all() and layer.weight.std().item() == pytest.approx(0.01, rel=0.5)
    maps = module(features())
    assert [[level.shape[1:] for level in kind] for kind in maps] == [
        [(channels, side, side) for side in (32, 16, 8)] for channels in (4, 4, 3)
    ]


def test_config_of_layers():
    layers = dict(LAYERS, angle_out_dim=7)
    with pytest.warns(UserWarning, match='angle_out_dim'):
        head = RTMDetRotatedHead(head_module=layers)
    assert layers['angle_out_dim'] == 7 and head.head_module.angle_out_dim == 1
    with pytest.raises(AssertionError, match='loss_angle'):
        RTMDetRotatedHead(head_module=dict(LAYERS), use_hbbox_loss=True)


@pytest.mark.parametrize('upright', [False, True])
@pytest.mark.parametrize('with_nms', [False, True])
def test_predicts_rotated_boxes(upright, with_nms):
    head = build(**(UPRIGHT if upright else {}))
    head.eval()
    cfg = Config(dict(TEST_CFG, decode_with_angle=not upright))
    maps = head(features())
    results = head.predict_by_feat(*maps, batch_img_metas=metas(), cfg=cfg, rescale=True, with_nms=with_nms)
    assert len(results) == 1 and isinstance(results[0].bboxes, RotatedBoxes)
    assert results[0].bboxes.shape == (len(results[0].scores), 5)
    if with_nms:
        assert len(results[0].scores) <= 300


@pytest.mark.parametrize('num_classes', [1, 4])
@pytest.mark.parametrize('upright', [False, True])
@pytest.mark.parametrize('typed', [False, True])
def test_losses(num_classes, upright, typed):
    head = build(num_classes, **(UPRIGHT if upright else {}))
    maps = head.forward(features())
    names = {'loss_cls', 'loss_bbox'} | ({'loss_angle'} if upright else set())

    none = InstanceData(bboxes=torch.empty(0, 5), labels=torch.empty(0, dtype=torch.long))
    losses = head.loss_by_feat(*maps, [none], metas())
    assert set(losses) == names and losses['loss_cls'] > 0
    assert all(losses[name] == 0 for name in names - {'loss_cls'})
    sum(losses.values()).backward(retain_graph=True)
    for kind in ([torch.empty(0, 7)], [none]):
        empty = head.loss_by_feat(*maps, kind[0] if isinstance(kind[0], torch.Tensor) else kind, metas())
        assert {name: value.item() for name, value in empty.items()} == {n: v.item() for n, v in losses.items()}

    boxes = torch.tensor([[130.6667, 86.8757, 80, 60, 0.3]])
    truth = InstanceData(bboxes=RotatedBoxes(boxes) if typed else boxes, labels=torch.zeros(1, dtype=torch.long))
    # distances that reach somewhere, as after some training
    maps = (maps[0], [level + 3 for level in maps[1]], maps[2])
    losses = head.loss_by_feat(*maps, [truth], metas())
    assert set(losses) == names and all(value > 0 for value in losses.values())
    row = torch.cat((torch.tensor([[0.0, 0]]), boxes), dim=1)
    assert {n: v.item() for n, v in head.loss_by_feat(*maps, row, metas()).items()} == {
        n: v.item() for n, v in losses.items()
    }


TRUTH = torch.tensor([[0, 2, 60.0, 50, 70, 24, 0.5], [0, 0, 150.0, 150, 90, 40, -1.2], [1, 1, 100.0, 90, 60, 30, 1.4]])


@pytest.mark.parametrize('upright', [False, True])
def test_losses_lead_to_the_boxes(upright):
    """Maps that are trained alone come to predict the objects, angles included."""
    head = build(**(UPRIGHT if upright else {}))
    sizes, angle_dim = (32, 16, 8), head.head_module.angle_out_dim
    maps = [
        [torch.full((2, channels, size, size), start, requires_grad=True) for size in sizes]
        for channels, start in ((4, -3.0), (4, 2.0), (angle_dim, 0.0))
    ]
    optimizer = torch.optim.Adam([level for kind in maps for level in kind], lr=0.05)
    for _ in range(120):
        optimizer.zero_grad()
        losses = head.loss_by_feat(*maps, TRUTH, metas(2))
        sum(losses.values()).backward()
        optimizer.step()
    cfg = Config(dict(TEST_CFG, score_thr=0.3, decode_with_angle=not upright))
    results = head.predict_by_feat(*maps, batch_img_metas=metas(2), cfg=cfg)
    for image, result in enumerate(results):
        truth = TRUTH[TRUTH[:, 0] == image]
        iou = box_iou_rotated(result.bboxes.tensor.detach(), truth[:, 2:])
        best, index = iou.max(1)
        assert (best.max() > 0.85) and len(result.labels) >= len(truth)
        for place in range(len(truth)):
            first = int((index == place).nonzero()[0])
            assert best[first] > (0.7 if upright else 0.85)
            assert result.labels[first] == truth[place, 1]


def one_box_maps(box, stride=8, side=256, label=1):
    """Maps whose prior in the middle of a level alone predicts something: that box."""
    size = side // stride
    maps = [torch.full((1, 3, size, size), -9.0), torch.zeros(1, 4, size, size), torch.zeros(1, 1, size, size)]
    row, column = int(box[1] // stride), int(box[0] // stride)
    dx, dy = column * stride - box[0], row * stride - box[1]
    cos, sin = math.cos(box[4]), math.sin(box[4])
    along, across = dx * cos + dy * sin, dy * cos - dx * sin
    maps[0][0, label, row, column] = 3.0
    sides = box[2] / 2 + along, box[3] / 2 + across, box[2] / 2 - along, box[3] / 2 - across
    maps[1][0, :, row, column] = torch.tensor(sides) / stride
    maps[2][0, 0, row, column] = box[4]
    return [[kind] for kind in maps]


def test_prediction_in_the_original_image():
    """A letterboxed image: padding taken off, sizes and centres scaled, and nothing clamped."""
    box = (250.0, 100.0, 60.0, 20.0, 0.4)
    head = RTMDetRotatedHead(
        head_module=dict(LAYERS, num_classes=3, featmap_strides=[8]),
        prior_generator={'type': 'mmdet.MlvlPointGenerator', 'offset': 0, 'strides': [8]},
        bbox_coder={'type': 'DistanceAnglePointCoder', 'angle_version': 'le90'},
        test_cfg=Config(dict(TEST_CFG, score_thr=0.5)),
    )
    meta = {'ori_shape': (100, 110), 'scale_factor': (2.0, 2.0), 'pad_param': (10, 10, 20, 20)}
    maps = one_box_maps(box)
    (result,) = head.predict_by_feat(*maps, batch_img_metas=[meta], rescale=True)
    torch.testing.assert_close(result.bboxes.tensor, torch.tensor([[115.0, 45, 30, 10, 0.4]]))
    assert result.labels.tolist() == [1]
    assert rbox2hbox(result.bboxes.tensor)[0, 2] > 110
    (result,) = head.predict_by_feat(*maps, batch_img_metas=[meta], rescale=False)
    torch.testing.assert_close(result.bboxes.tensor, torch.tensor([box]))
    batch = head.predict_batch(maps, [meta], rescale=False)
    assert batch.priors.tolist() == [12 * 32 + 31]

    for smallest, count in ((9, 1), (11, 0)):
        cfg = Config(dict(TEST_CFG, score_thr=0.5, min_bbox_size=smallest))
        assert len(head.predict_by_feat(*maps, batch_img_metas=[meta], cfg=cfg)[0].scores) == count


def test_suppresses_by_class_and_rotation():
    head = RTMDetRotatedHead(
        head_module=dict(LAYERS, num_classes=3, featmap_strides=[8, 8]),
        prior_generator={'type': 'mmdet.MlvlPointGenerator', 'offset': 0, 'strides': [8, 8]},
        bbox_coder={'type': 'DistanceAnglePointCoder', 'angle_version': 'le90'},
        test_cfg=Config(dict(TEST_CFG, score_thr=0.5)),
    )
    meta = {'ori_shape': (256, 256), 'scale_factor': (1.0, 1.0)}
    thin = (100.0, 100.0, 90.0, 6.0, 0.8)
    for other, label, count in (
        ((104.0, 104.0, 90.0, 6.0, 0.8), 1, 1),
        ((104.0, 104.0, 90.0, 6.0, 0.8), 2, 2),
        ((100.0, 100.0, 90.0, 6.0, -0.8), 1, 2),
    ):
        maps = [one + two for one, two in zip(one_box_maps(thin), one_box_maps(other, label=label))]
        (result,) = head.predict_by_feat(*maps, batch_img_metas=[meta])
        assert len(result.scores) == count
