"""The prediction path: published numbers, its definition written plainly, options, precision, empty results."""

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict

from mmyolo.models.dense_heads.prediction import _sigmoid
from mmyolo.registry import MODELS
from tests.mmyolo.models.maps import SIZES, TEST_METAS, yolov5_maps, yolov8_maps

CFG = ConfigDict(
    multi_label=True, nms_pre=30000, score_thr=0.05, nms={'type': 'nms', 'iou_threshold': 0.65}, max_per_img=300
)
METAS = [
    {'ori_shape': (50, 60), 'scale_factor': (1.2, 0.9), 'pad_param': [7, 7, 2, 2]},
    {'ori_shape': (400, 300), 'scale_factor': (0.16, 0.2)},
]


def build(family, num_classes=3, **kwargs):
    layers = {'type': f'{family}HeadModule', 'num_classes': num_classes, 'in_channels': [8, 16, 24]}
    return MODELS.build(dict(type=f'{family}Head', head_module=layers, test_cfg=CFG, **kwargs)).eval()


def maps_of(family, num_classes=3):
    return yolov5_maps(num_classes) if family == 'YOLOv5' else yolov8_maps(num_classes)[:2]


def plainly(head, maps, metas, cfg, rescale=True, with_nms=True):
    """The definition, image by image, everything activated and decoded."""
    from mmcv.ops import batched_nms  # can be imported once mmyolo is

    cls, bbox, obj = (*maps, None)[:3]
    priors = torch.cat(head.prior_generator.grid_priors([level.shape[-2:] for level in cls], device='cpu'))
    anchors, batch = head.num_base_priors, len(cls[0])
    strides = torch.cat([torch.full((h * w * anchors,), float(s)) for (h, w), s in zip(SIZES, head.featmap_strides)])

    def rows(levels, channels):
        return torch.cat([level.permute(0, 2, 3, 1).reshape(batch, -1, channels) for level in levels], 1)

    boxes = head.bbox_coder.decode(priors, rows(bbox, 4), strides)
    scores = rows(cls, head.num_classes).sigmoid()
    if obj is not None:
        scores = scores * rows(obj, 1).sigmoid()
    results = []
    for box, score, meta in zip(boxes, scores, metas):
        if cfg['multi_label'] and head.num_classes > 1:
            prior, label = (score > cfg['score_thr']).nonzero().unbind(1)
            score = score[prior, label]
        else:
            score, label = score.max(1)
            prior = (score > cfg['score_thr']).nonzero()[:, 0]
            score, label = score[prior], label[prior]
        order = score.argsort(descending=True, stable=True)[: cfg['nms_pre']]
        box, score, label = box[prior[order]], score[order], label[order]
        if rescale:
            top, _, left, _ = meta.get('pad_param', (0, 0, 0, 0))
            box = (box - torch.tensor([left, top, left, top])) / torch.tensor(meta['scale_factor']).repeat(2)
        if cfg.get('min_bbox_size', -1) >= 0:
            large = ((box[:, 2:] - box[:, :2]) > cfg['min_bbox_size']).all(1)
            box, score, label = box[large], score[large], label[large]
        if with_nms and len(box):
            dets, keep = batched_nms(box, score, label, cfg['nms'])
            keep = keep[: None if cfg.get('yolox_style') else cfg['max_per_img']]
            box, score, label = box[keep], dets[: len(keep), 4], label[keep]
        height, width = meta['ori_shape']
        box = torch.stack(
            (
                box[:, 0].clamp(0, width),
                box[:, 1].clamp(0, height),
                box[:, 2].clamp(0, width),
                box[:, 3].clamp(0, height),
            ),
            1,
        )
        results.append((box, score, label))
    return results


@pytest.mark.parametrize(
    'family, multi_label, expected',
    [
        ('YOLOv5', True, [(300, 71.7191, 33713.02, 275, 0.36533, 0), (300, 58.6958, 31119.96, 308, 0.36432, 0)]),
        ('YOLOv5', False, [(209, 43.0707, 24740.31, 190, 0.36533, 0), (224, 34.9515, 23742.26, 251, 0.36432, 0)]),
        ('YOLOv8', True, [(44, 15.6002, 4838.27, 45, 0.49999, 0), (43, 14.3961, 4730.48, 42, 0.5, 2)]),
    ],
)
def test_published_predictions(family, multi_label, expected):
    results = build(family).predict_by_feat(
        *maps_of(family), batch_img_metas=TEST_METAS, cfg=ConfigDict(CFG, multi_label=multi_label)
    )
    for result, (count, scores, bboxes, labels, score, label) in zip(results, expected):
        assert len(result) == count
        assert result.scores.sum().item() == pytest.approx(scores, rel=1e-4)
        assert result.bboxes.sum().item() == pytest.approx(bboxes, rel=1e-4)
        assert result.labels.sum().item() == labels
        assert result.scores[0].item() == pytest.approx(score, rel=1e-4) and result.labels[0].item() == label
    top = torch.tensor([30.5997, 0, 60, 40.5229] if family == 'YOLOv5' else [0.0, 0, 60, 50])
    torch.testing.assert_close(results[0].bboxes[0], top, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('family', ['YOLOv5', 'YOLOv8'])
@pytest.mark.parametrize(
    'change',
    [
        {},
        {'multi_label': False},
        {'score_thr': 0.3},
        {'score_thr': 0},
        {'score_thr': -1},
        {'score_thr': 1},
        {'nms_pre': 25},
        {'max_per_img': 7},
        {'max_per_img': 7, 'yolox_style': True},
        {'min_bbox_size': 30, 'nms_pre': 50},
        {'nms': {'type': 'nms', 'iou_threshold': 0.3, 'class_agnostic': True}},
        {'nms': {'type': 'soft_nms', 'iou_threshold': 0.3}},
    ],
)
def test_every_option_equals_the_definition(family, change):
    head, maps, cfg = build(family), maps_of(family), ConfigDict(CFG, **change)
    results = head.predict_by_feat(*maps, batch_img_metas=METAS, cfg=cfg)
    for result, expected in zip(results, plainly(head, maps, METAS, cfg), strict=True):
        for value, wanted in zip((result.bboxes, result.scores, result.labels), expected):
            torch.testing.assert_close(value, wanted)


def test_soft_nms_of_images_without_a_box():
    head, maps = build('YOLOv8'), maps_of('YOLOv8')
    both = ConfigDict(CFG, nms={'type': 'soft_nms', 'iou_threshold': 0.3})
    whole = head.predict_by_feat(*maps, batch_img_metas=METAS, cfg=both)
    empty = [[torch.cat([level[:1] - 99, level[1:]]) for level in maps[0]], *maps[1:]]  # no score in the first image
    first, second = head.predict_by_feat(*empty, batch_img_metas=METAS, cfg=both)
    assert len(first) == 0 < len(second)
    torch.testing.assert_close(second.bboxes, whole[1].bboxes)
    torch.testing.assert_close(second.scores, whole[1].scores)
    nothing = head.predict_by_feat(*maps, batch_img_metas=METAS, cfg=ConfigDict(both, score_thr=1.0))
    assert [len(result) for result in nothing] == [0, 0] and nothing[0].bboxes.shape == (0, 4)


@pytest.mark.parametrize('switch', [{'rescale': False}, {'with_nms': False}])
def test_every_switch_equals_the_definition(switch):
    head, maps = build('YOLOv5'), maps_of('YOLOv5')
    results = head.predict_by_feat(*maps, batch_img_metas=METAS, **switch)
    for result, expected in zip(results, plainly(head, maps, METAS, CFG, **switch), strict=True):
        for value, wanted in zip((result.bboxes, result.scores, result.labels), expected):
            torch.testing.assert_close(value, wanted)


@pytest.mark.parametrize('family', ['YOLOv5', 'YOLOv8'])
def test_one_class_has_one_label(family):
    head, maps = build(family, num_classes=1), maps_of(family, num_classes=1)
    for result, expected in zip(
        head.predict_by_feat(*maps, batch_img_metas=METAS), plainly(head, maps, METAS, CFG), strict=True
    ):
        torch.testing.assert_close(result.scores, expected[1])
        assert len(result) > 0 and not result.labels.any()


@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('family', ['YOLOv5', 'YOLOv8'])
def test_raw_maps_and_the_detectors_way_give_the_same(family, memory_format):
    torch.manual_seed(0)
    head = build(family).to(memory_format=memory_format)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = [torch.randn(2, c, *size).contiguous(memory_format=memory_format) for c, size in zip((8, 16, 24), SIZES)]
    with torch.no_grad():
        expected = head.predict_by_feat(*head(x), batch_img_metas=METAS)
        samples = [DetDataSample(metainfo=meta) for meta in METAS]
        for one, raw, detected in zip(
            expected,
            head.predict_batch(head.forward_raw(x), METAS).to('cpu').split(),
            head.predict(x, samples, rescale=True),
            strict=True,
        ):
            assert len(one) > 0
            for other in (raw, detected):
                torch.testing.assert_close(other.bboxes, one.bboxes, rtol=1e-4, atol=1e-3)
                torch.testing.assert_close(other.scores, one.scores)
                assert torch.equal(other.labels, one.labels)


def test_priors_lead_back_to_the_maps():
    head, maps = build('YOLOv5'), maps_of('YOLOv5')
    boxes = head.predict_batch(maps, METAS)
    assert boxes.batch_size == 2 and boxes.counts() == [len(one.scores) for one in boxes.split()]

    def rows(levels, channels):
        return torch.cat([level.permute(0, 2, 3, 1).reshape(2, -1, channels) for level in levels], 1).sigmoid()

    scores = rows(maps[0], 3) * rows(maps[2], 1)
    torch.testing.assert_close(boxes.scores, scores[boxes.images, boxes.priors, boxes.labels])


@pytest.mark.parametrize('family', ['YOLOv5', 'YOLOv8'])
def test_gradients_flow_to_the_maps(family):
    maps = [[level.requires_grad_() for level in kind] for kind in maps_of(family)]
    results = build(family).predict_by_feat(*maps, batch_img_metas=METAS)
    sum(result.scores.sum() + result.bboxes.sum() for result in results).backward()
    for kind in maps:
        assert all(level.grad.isfinite().all() for level in kind)
        assert sum(level.grad.abs().sum() for level in kind) > 0


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_maps_lose_no_box_at_the_threshold(dtype):
    head, maps = build('YOLOv8'), [[level.to(dtype) for level in kind] for kind in maps_of('YOLOv8')]
    single = [[level.float() for level in kind] for kind in maps]
    threshold = single[0][0].sigmoid().median().item()
    cfg = ConfigDict(CFG, score_thr=threshold)
    for result, expected in zip(
        head.predict_by_feat(*maps, batch_img_metas=METAS, cfg=cfg), plainly(head, single, METAS, cfg), strict=True
    ):
        torch.testing.assert_close(result.scores, expected[1])
        torch.testing.assert_close(result.bboxes, expected[0])


def test_an_image_without_boxes_beside_one_with():
    head, maps = build('YOLOv8'), maps_of('YOLOv8')
    for level in maps[0]:
        level[0] = -20
    empty, other = head.predict_by_feat(*maps, batch_img_metas=METAS)
    assert empty.bboxes.shape == (0, 4) and empty.scores.shape == (0,) and empty.labels.dtype == torch.int64
    alone = head.predict_by_feat(*[[level[1:] for level in kind] for kind in maps], batch_img_metas=METAS[1:])[0]
    assert torch.equal(other.bboxes, alone.bboxes) and torch.equal(other.scores, alone.scores)


def test_no_image():
    maps = [[level[:0] for level in kind] for kind in maps_of('YOLOv5')]
    assert build('YOLOv5').predict_by_feat(*maps, batch_img_metas=[]) == []


def test_priors_follow_the_size_of_the_maps():
    head, maps = build('YOLOv8'), maps_of('YOLOv8')
    whole = head.predict_by_feat(*maps, batch_img_metas=METAS)
    smaller = [[level[..., :-1, :] for level in kind] for kind in maps]
    assert head.level_priors(smaller[0])[0].shape == (7 * 8, 2)
    head.predict_by_feat(*smaller, batch_img_metas=METAS)
    again = head.predict_by_feat(*maps, batch_img_metas=METAS)
    assert all(torch.equal(one.bboxes, other.bboxes) for one, other in zip(whole, again))


def test_meta_information_in_other_forms():
    """No padding may be said by None, and shapes may have channels."""
    head, maps = build('YOLOv5'), yolov5_maps()
    metas = [{'ori_shape': (50, 60), 'scale_factor': (1, 1)} for _ in range(2)]
    others = [{'ori_shape': (50, 60, 3), 'scale_factor': [1.0, 1.0], 'pad_param': None} for _ in range(2)]
    expected, got = (head.predict_by_feat(*maps, batch_img_metas=one, cfg=CFG) for one in (metas, others))
    assert all(torch.equal(a.bboxes, b.bboxes) for a, b in zip(expected, got)) and len(got[0])


def test_a_score_does_not_depend_on_its_place():
    """Scores are written with six digits, and a last bit may decide the last of them."""
    logits = torch.linspace(-8, 8, 2001)
    scores = _sigmoid(logits)
    assert torch.equal(scores, torch.cat([_sigmoid(one) for one in logits.split(1)]))
    assert torch.equal(scores, torch.cat([_sigmoid(part) for part in logits.split(37)]))
    torch.testing.assert_close(scores, logits.sigmoid(), rtol=1e-6, atol=0)
