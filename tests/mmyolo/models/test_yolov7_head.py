"""The YOLOv7 heads and their assignment: published numbers, a naive reference, auxiliary predictions, edges."""

import math

import pytest
import torch
import torch.nn.functional as F
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_overlaps

from mmyolo.models.dense_heads.ground_truth import parts_of_input
from mmyolo.models.task_modules.assigners import batch_yolov7_assigner
from mmyolo.models.task_modules.assigners.batch_yolov7_assigner import BatchYOLOv7Assigner
from mmyolo.registry import MODELS
from tests.mmyolo.models.levels import GT_ROWS, METAS, SIZES, STRIDES, draw
from tests.mmyolo.models.maps import as_instances

ANCHORS = [[(12, 16), (19, 36), (40, 28)], [(36, 75), (76, 55), (72, 146)], [(142, 110), (192, 243), (459, 401)]]


def build(num_classes=4, layers='YOLOv7HeadModule', **kwargs):
    layers = dict(type=layers, num_classes=num_classes, in_channels=[8, 16, 24], **kwargs)
    bce = {'type': 'mmdet.CrossEntropyLoss', 'use_sigmoid': True}
    return MODELS.build(
        {
            'type': 'YOLOv7Head',
            'head_module': layers,
            'prior_generator': {'type': 'mmdet.YOLOAnchorGenerator', 'base_sizes': ANCHORS, 'strides': STRIDES},
            'loss_cls': dict(bce, loss_weight=0.3),
            'loss_obj': dict(bce, loss_weight=0.7),
            'simota_candidate_topk': 10,
        }
    )


def draw_maps(seed=400):
    """Class logits, boxes and objectness of three anchors, per level."""
    maps = [draw('randn', seed + i, 2, 3, 9, *size) for i, size in enumerate(SIZES)]
    return tuple(
        [level[:, :, part].flatten(1, 2) for level in maps] for part in (slice(5, 9), slice(0, 4), slice(4, 5))
    )


def features(batch_size=2):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(batch_size, c, *size, generator=generator) for c, size in zip((8, 16, 24), SIZES)]


def values(losses):
    return [losses[name].item() for name in ('loss_cls', 'loss_obj', 'loss_bbox')]


@pytest.mark.parametrize('rows, expected', [(GT_ROWS, [1.35618, 6.14068, 0.16780]), (GT_ROWS[:0], [0, 6.13475, 0])])
def test_published_losses_from_rows_and_from_instances(rows, expected):
    for ground_truth in (rows, as_instances(rows)):
        losses = build().loss_by_feat(*draw_maps(), ground_truth, METAS)
        assert values(losses) == pytest.approx(expected, abs=1e-5)
        metas = [dict(meta, batch_input_shape=(*meta['batch_input_shape'], 3)) for meta in METAS]  # with channels
        assert build().loss_by_feat(*draw_maps(), ground_truth, metas) == losses
        assert all(loss.shape == (1,) for loss in losses.values())


def test_published_losses_with_auxiliary_predictions():
    pairs = [list(map(list, zip(*kinds))) for kinds in zip(draw_maps(400), draw_maps(500))]
    before = GT_ROWS.clone()
    losses = build().loss_by_feat(*pairs, GT_ROWS, METAS)
    assert values(losses) == pytest.approx([1.77008, 7.66761, 0.23000], abs=1e-5)
    assert torch.equal(before, GT_ROWS)


def assign(thr, rows=GT_ROWS, seed=400, topk=10):
    head = build()
    maps = [draw('randn', seed + i, len(METAS), 3, 9, *size).permute(0, 1, 3, 4, 2) for i, size in enumerate(SIZES)]
    targets = torch.cat((rows[:, :2], parts_of_input(rows, METAS)), 1)
    targets = torch.stack([torch.cat((targets, torch.full((len(rows), 1), float(a))), 1) for a in range(3)])
    assigner = BatchYOLOv7Assigner(4, 3, STRIDES, candidate_topk=topk)
    result = assigner(maps, targets, (128, 128), head.priors_base_sizes, head.grid_offset, thr)
    return result, maps, head


@pytest.mark.parametrize('thr, candidates, matched', [(0.5, [27, 36, 13], [3, 7, 1]), (1.0, [45, 55, 25], [5, 6, 2])])
def test_published_numbers_of_matches(thr, candidates, matched):
    result, maps, head = assign(thr)
    levels = [level[..., 0] for level in maps]
    assert head.match(parts_of_input(GT_ROWS, METAS), levels, thr).counts == candidates
    infos = result['mlvl_positive_infos']
    assert [len(level) for level in infos] == matched
    assert all((level[:, 0].diff() >= 0).all() for level in infos)
    for level, (info, prior, target) in enumerate(zip(infos, result['mlvl_priors'], result['mlvl_targets_normed'])):
        assert torch.equal(prior, head.priors_base_sizes[level, info[:, 1]])
        assert torch.equal(target[:, 0].long(), info[:, 0]) and torch.equal(target[:, 6].long(), info[:, 1])


def naive(head, maps, rows, thr, topk):
    """SimOTA one image and one box after another: the set of (level, image, anchor, x, y, row of the box)."""
    gt_bboxes = parts_of_input(rows, METAS)
    matches = head.match(gt_bboxes, [level[..., 0] for level in maps], thr)
    chosen = set()
    for image in range(len(METAS)):
        mine = (rows[:, 0] == image).nonzero().flatten().tolist()
        places = [m for m in range(len(matches.gt)) if int(matches.gt[m]) in mine]
        cost, iou = torch.zeros(2, len(mine), len(places))
        for k, m in enumerate(places):
            level, a, x, y = (int(part[m]) for part in (matches.level, matches.anchor, matches.x, matches.y))
            pred = maps[level][image, a, y, x]
            box = pred[:4].sigmoid() * 2
            centre = (box[:2] - 0.5 + torch.tensor([x, y])) * STRIDES[level]
            box = bbox_cxcywh_to_xyxy(torch.cat((centre, box[2:] ** 2 * torch.tensor(ANCHORS[level][a])))[None])
            score = (pred[5:].sigmoid() * pred[4].sigmoid()).sqrt()
            for j, row in enumerate(mine):
                iou[j, k] = bbox_overlaps(rows[row : row + 1, 2:], box)
                target = F.one_hot(rows[row, 1].long(), 4).float()
                cost[j, k] = F.binary_cross_entropy(score, target, reduction='sum') - 3 * (iou[j, k] + 1e-8).log()
        claims = torch.zeros_like(cost)
        for j in range(len(mine)):
            count = max(1, int(iou[j].topk(min(topk, len(places))).values.sum()))
            claims[j, cost[j].topk(count, largest=False).indices] = 1
        for k, m in enumerate(places):
            if claims[:, k].sum() > 0:
                j = int(cost[:, k].argmin() if claims[:, k].sum() > 1 else claims[:, k].argmax())
                chosen.add((*(int(part[m]) for part in (matches.level, matches.anchor, matches.x, matches.y)), mine[j]))
    return chosen


@pytest.mark.parametrize('block', [1 << 22, 1])
@pytest.mark.parametrize('thr', [0.5, 1.0])
def test_equals_one_image_after_another(monkeypatch, thr, block):
    monkeypatch.setattr(batch_yolov7_assigner, '_CHUNK', block)
    generator = torch.Generator().manual_seed(1)
    size = torch.rand(14, 2, generator=generator) * 70 + 8
    corner = torch.rand(14, 2, generator=generator) * (128 - size)
    heading = torch.tensor([[i % 3 > 0, i % 4] for i in range(14)])  # images are not in order
    rows = torch.cat((heading, corner, corner + size), 1).float()
    result, maps, head = assign(thr, rows, topk=8)
    found = set()
    for level, (info, target) in enumerate(zip(result['mlvl_positive_infos'], result['mlvl_targets_normed'])):
        for (_, anchor, x, y), one in zip(info.tolist(), target):
            row = (parts_of_input(rows, METAS) - one[2:6]).abs().sum(1).argmin()
            found.add((level, anchor, x, y, int(row)))
    assert found == naive(head, maps, rows, thr, 8) and len(found) > 14


def test_scores_of_exactly_one_are_finite():
    head = build()
    maps = [[torch.full_like(level, 200.0) for level in kind] for kind in draw_maps()]
    assert all(loss.isfinite().all() for loss in head.loss_by_feat(*maps, GT_ROWS, METAS).values())


def test_auxiliary_predictions_train_and_do_not_predict():
    torch.manual_seed(0)
    head = build(layers='YOLOv7p6HeadModule', main_out_channels=[8, 8, 16], aux_out_channels=[8, 16, 8])
    maps = head(features())
    assert [[part.shape[1] for part in level] for level in maps[0]] == [[12, 12]] * 3
    losses = head.loss(features(), {'bboxes_labels': GT_ROWS, 'img_metas': METAS})
    expected = head.loss_by_feat(*maps, GT_ROWS, METAS)
    assert values(losses) == pytest.approx(values(expected), rel=1e-5)
    sum(losses.values()).backward()
    assert all(parameter.grad is not None for parameter in head.parameters())
    assert [level.shape for level in head.eval()(features())[0]] == [(2, 12, *size) for size in SIZES]

    plain = build(layers='YOLOv7p6HeadModule', main_out_channels=[8] * 3, use_aux=False)
    assert torch.is_tensor(plain(features())[0][0]) and not any('aux' in key for key in plain.state_dict())


@pytest.mark.parametrize('layers', ['YOLOv7HeadModule', 'YOLOv7p6HeadModule'])
def test_initial_biases(layers):
    head = build(num_classes=80, layers=layers).head_module
    before = {name: parameter.clone() for name, parameter in head.named_parameters()}
    head.init_weights()
    biases = {
        name: parameter
        for name, parameter in head.named_parameters()
        if name.endswith('.bias') and parameter.shape == (255,)
    }
    assert len(biases) == (3 if layers == 'YOLOv7HeadModule' else 6)
    for name, bias in biases.items():
        stride = STRIDES[int(name.split('.')[1])]
        shift = (bias - before[name]).view(3, 85)
        assert torch.allclose(shift[:, :4], torch.tensor(0.0))
        assert torch.allclose(shift[:, 4], torch.tensor(math.log(8 / (640 / stride) ** 2)), atol=1e-5)
        assert torch.allclose(shift[:, 5:], torch.tensor(math.log(0.6 / 79.01)), atol=1e-5)
    assert len({parameter.data_ptr() for parameter in head.parameters()}) == len(before)


def test_losses_are_single_precision_under_autocast():
    torch.manual_seed(0)
    head = build()
    exact = head.loss(features(), {'bboxes_labels': GT_ROWS, 'img_metas': METAS})
    with torch.autocast('cpu', torch.bfloat16):
        losses = head.loss(features(), {'bboxes_labels': GT_ROWS, 'img_metas': METAS})
    assert all(loss.dtype == torch.float32 for loss in losses.values())
    assert values(losses) == pytest.approx(values(exact), rel=0.05)


def test_one_class_learns_objectness_alone():
    rows = GT_ROWS.clone()
    rows[:, 1] = 0
    losses = values(build(num_classes=1).loss(features(), {'bboxes_labels': rows, 'img_metas': METAS}))
    assert losses[0] == 0 and losses[1] > 0 and losses[2] > 0
