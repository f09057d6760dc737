"""Losses against the formulas, level by level and object by object, and numbers worked out by hand."""

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_overlaps

from tests.vidt.test_matcher import seeded
from tmi.errors import NotFiniteError
from tmi.training.finite_loss_hook import FiniteLossHook
from vidt.losses.criterion import WEIGHTS, ViDTCriterion
from vidt.losses.mask_vectors import encode_masks


def outputs_of(logits, boxes, **others):
    levels = [{'pred_logits': x, 'pred_boxes': y} for x, y in zip(logits, boxes)]
    for name, values in others.items():
        for level, value in zip(levels, values):
            level[name] = value
    return {**levels[-1], 'aux': levels[:-1]}


def plain_losses(level, matches, targets, classes):
    """Classes, boxes and overlaps of one level, one image after the other."""
    objects = max(sum(len(target['labels']) for target in targets), 1)
    sums = dict.fromkeys(('loss_ce', 'loss_bbox', 'loss_giou', 'loss_iouaware'), 0.0)
    for image, ((queries, found), target) in enumerate(zip(matches, targets)):
        logits, boxes = level['pred_logits'][image], level['pred_boxes'][image][queries]
        one_hot = torch.zeros_like(logits)
        one_hot[queries, target['labels'][found]] = 1
        p = logits.sigmoid()
        wrong = torch.where(one_hot > 0, 1 - p, p)
        alpha = torch.where(one_hot > 0, 0.25, 0.75)
        sums['loss_ce'] += (alpha * wrong**2 * -(1 - wrong).log()).sum()
        wanted = target['boxes'][found]
        sums['loss_bbox'] += (boxes - wanted).abs().sum()
        corners = bbox_cxcywh_to_xyxy(boxes), bbox_cxcywh_to_xyxy(wanted)
        sums['loss_giou'] += (1 - bbox_overlaps(*corners, mode='giou').diagonal()).sum()
        iou = bbox_overlaps(*corners).diagonal()
        x = level['pred_ious'][image][queries, 0]
        sums['loss_iouaware'] += -(iou * x.sigmoid().log() + (1 - iou) * (1 - x.sigmoid()).log()).sum()
    return {name: value / objects for name, value in sums.items()}


def test_every_level_has_its_own_losses():
    logits, boxes, targets = seeded(3, 2, 8, (4, 2))
    ious = torch.randn(3, 2, 8, 1)
    outputs = outputs_of(logits, boxes, pred_ious=ious)
    criterion = ViDTCriterion(5)
    losses = criterion(outputs, targets)
    matches = criterion.matcher(logits, boxes, targets)
    for index, suffix in enumerate(('_0', '_1', '')):
        level = {'pred_logits': logits[index], 'pred_boxes': boxes[index], 'pred_ious': ious[index]}
        for name, value in plain_losses(level, matches[index], targets, 5).items():
            torch.testing.assert_close(losses[name + suffix], value, rtol=1e-5, atol=1e-6)


def test_numbers_by_hand():
    logits = torch.zeros(1, 1, 2, 3)
    boxes = torch.tensor([[[[0.5, 0.5, 0.2, 0.2], [0.9, 0.9, 0.1, 0.1]]]])
    targets = [{'labels': torch.tensor([1]), 'boxes': torch.tensor([[0.5, 0.5, 0.4, 0.2]])}]
    losses = ViDTCriterion(3)(outputs_of(logits, boxes, pred_ious=torch.full((1, 1, 2, 1), 2.0)), targets)
    assert float(losses['loss_ce']) == pytest.approx((5 * 0.75 + 0.25) * 0.25 * math.log(2))
    assert float(losses['loss_bbox']) == pytest.approx(0.2)
    assert float(losses['loss_giou']) == pytest.approx(0.5)
    assert float(losses['loss_iouaware']) == pytest.approx(math.log(1 + math.exp(2)) - 2 * 0.5)
    assert float(losses['class_error']) == 100  # the first of equal classes is taken
    assert float(losses['cardinality_error']) == 1  # 2 queries, 1 object


def test_class_error_is_that_of_the_last_level():
    logits, boxes, targets = seeded(2, 2, 4, (3, 1))
    logits[:] = 0
    for image, target in enumerate(targets):
        count = len(target['labels'])
        boxes[:, image, :count] = target['boxes']
        logits[0, image, range(count), (target['labels'] + 1) % 5] = 1  # wrong at the first level
        logits[1, image, range(count), target['labels']] = 1
    assert float(ViDTCriterion(5)(outputs_of(logits, boxes), targets)['class_error']) == 0
    logits[1, 1] = -logits[1, 1]
    assert float(ViDTCriterion(5)(outputs_of(logits, boxes), targets)['class_error']) == 25


def test_boxes_learn_from_the_overlap_too():
    boxes = torch.tensor([[[[0.5, 0.5, 0.2, 0.2]]]], requires_grad=True)
    targets = [{'labels': torch.tensor([0]), 'boxes': torch.tensor([[0.5, 0.5, 0.4, 0.3]])}]
    outputs = outputs_of(torch.zeros(1, 1, 1, 1), boxes, pred_ious=torch.full((1, 1, 1, 1), 2.0))
    ViDTCriterion(1)(outputs, targets)['loss_iouaware'].backward()
    assert boxes.grad[0, 0, 0].tolist() == pytest.approx(
        [0, 0, -2 * 0.2 / 0.12, -2 * 0.2 / 0.12], abs=1e-4
    )  # IoU = w h / 0.12


def test_background_class():
    logits = torch.tensor([[[[1.0, 0, 2], [0, 1, 0], [3, 0, 0]]]])
    boxes = torch.tensor([[[[0.5, 0.5, 0.2, 0.2], [0.1, 0.1, 0.1, 0.1], [0.9, 0.9, 0.1, 0.1]]]])
    targets = [{'labels': torch.tensor([1]), 'boxes': torch.tensor([[0.5, 0.5, 0.2, 0.2]])}]
    criterion = ViDTCriterion(2, background=True)
    losses = criterion(outputs_of(logits, boxes), targets)
    rows = logits[0, 0].log_softmax(-1)
    weighted = -(1.0 * rows[0, 1] + 0.1 * rows[1, 2] + 0.1 * rows[2, 2])
    torch.testing.assert_close(losses['loss_ce'], weighted / 1.2)
    assert float(losses['cardinality_error']) == 1  # queries 1 and 2 name a class, there is one object
    assert criterion.weights(losses) == {'loss_ce': 1.0, 'loss_bbox': 5.0, 'loss_giou': 2.0}


def test_weights_follow_the_names():
    criterion = ViDTCriterion(2, weights={'loss_giou': 3.0})
    names = ('loss_ce_11', 'loss_giou_0', 'loss_iouaware', 'class_error', 'cardinality_error_2')
    assert criterion.weights(names) == {'loss_ce_11': 2.0, 'loss_giou_0': 3.0, 'loss_iouaware': 2.0}
    losses = criterion.weighted(dict.fromkeys(names, torch.tensor(2.0)))
    assert [float(value) for value in losses.values()] == [4, 6, 4, 2]  # the last one says nothing without background
    assert ViDTCriterion(2, background=True).weighted({'cardinality_error': 3}) == {'cardinality_error': 3}
    with pytest.raises(ValueError, match='no loss .*loss_dice.*losses are .*loss_ce'):
        ViDTCriterion(2, weights={'loss_dice': 1.0})
    assert WEIGHTS['loss_vector'] == 1


def masked(counts):
    """Targets with a mask that fills the left half of each box, on images of 32 x 48 and 40 x 40."""
    logits, boxes, targets = seeded(2, 2, 6, counts)
    for target, (h, w) in zip(targets, ((32, 48), (40, 40))):
        y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing='ij')
        cx, cy, bw, bh = (target['boxes'] * torch.tensor([w, h, w, h])).T[..., None, None]
        target['masks'] = (x < cx) & (x > cx - bw / 2) & ((y - cy).abs() < bh / 2)
    return logits, boxes, targets


def test_vectors_learn_the_masks():
    logits, boxes, targets = masked((3, 1))
    vectors = torch.randn(2, 2, 6, 256)
    criterion = ViDTCriterion(5)
    losses = criterion(outputs_of(logits, boxes, pred_vectors=vectors), targets)
    for index, matches in enumerate(criterion.matcher(logits, boxes, targets)):
        distances = []
        for image, ((queries, objects), target) in enumerate(zip(matches, targets)):
            h, w = target['masks'].shape[1:]
            codes = encode_masks(target['masks'], bbox_cxcywh_to_xyxy(target['boxes']) * torch.tensor([w, h, w, h]))
            distances.append((vectors[index, image, queries] - codes[objects]).abs())
        wanted = 3 * torch.cat(distances).mean()
        torch.testing.assert_close(losses['loss_vector' + ('_0', '')[index]], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('counts', [(0, 0), (2, 0)])
@pytest.mark.parametrize('background', [False, True])
def test_images_without_objects(counts, background):
    logits, boxes, targets = masked(counts)
    values = [value.requires_grad_() for value in (logits, boxes, torch.randn(2, 2, 6, 1), torch.randn(2, 2, 6, 256))]
    outputs = outputs_of(*values[:2], pred_ious=values[2], pred_vectors=values[3])
    outputs['enc_tokens'] = [torch.randn(2, 5, 6, 6 - background)]
    losses = ViDTCriterion(5 - background, background)(outputs, targets)
    assert all(torch.isfinite(value) for value in losses.values())
    sum(value for name, value in losses.items() if name.startswith('loss')).backward()
    grads = [value.grad.abs().sum() for value in values]
    assert grads[0] > 0
    assert all((grad > 0) == (sum(counts) > 0) for grad in grads[1:])  # zero, not missing
    if not sum(counts):
        assert [losses[name].item() for name in ('loss_bbox', 'loss_giou', 'class_error')] == [0, 0, 100]


def test_more_objects_than_queries():
    losses = ViDTCriterion(5)(outputs_of(*(parts := seeded(2, 1, 4, (9,)))[:2]), parts[2])
    assert all(torch.isfinite(value) for value in losses.values())


def test_a_lost_number_is_a_loss_that_is_none():
    logits, boxes, targets = seeded(2, 1, 4, (2,))
    losses = ViDTCriterion(5)(outputs_of(logits, boxes * float('nan')), targets)
    assert math.isnan(losses['loss_bbox']) and math.isnan(losses['loss_giou_0'])
    step = SimpleNamespace(epoch=2, iter=5, train_dataloader=[0] * 4)
    with pytest.raises(NotFiniteError, match='loss is not a number in epoch 3, step 2 .*set learning_rate to a tenth'):
        FiniteLossHook().after_train_iter(step, 1, None, {'loss': losses['loss_bbox']})


@pytest.mark.parametrize(
    ('more', 'named'), [({'pred_vectors': torch.zeros(2, 1, 4, 256)}, 'mask_vectors'), ({}, 'token_label')]
)
def test_boxes_alone_teach_no_masks(more, named):
    logits, boxes, targets = seeded(2, 1, 4, (2,))
    outputs = outputs_of(logits, boxes, **more)
    if not more:
        outputs['enc_tokens'] = [torch.zeros(1, 2, 2, 6)]
    with pytest.raises(ValueError, match=f'{named} learns from the masks of objects.*set {named}=False'):
        ViDTCriterion(5)(outputs, targets)


def test_outputs_of_tokens():
    logits, boxes, targets = masked((3, 1))
    outputs = {**outputs_of(logits, boxes), 'enc_tokens': [torch.randn(2, 5, 6, 6)]}

    def focal(**options):
        return ViDTCriterion(5, **options)(outputs, targets)['loss_token_focal']

    assert focal() == focal(first_token_class=1) != focal(first_token_class=0)
    outputs['enc_tokens'] = [torch.randn(2, 5, 6, 5)]
    assert focal() == focal(first_token_class=0)
    with pytest.raises(ValueError, match='5 outputs, too few for 5 classes: set token_classes of the model to 6'):
        focal(first_token_class=1)


def test_half_precision_is_left():
    logits, boxes, targets = seeded(2, 2, 8, (4, 2))
    with torch.autocast('cpu', torch.bfloat16):
        losses = ViDTCriterion(5)(outputs_of(logits.bfloat16(), boxes.bfloat16()), targets)
    rounded = ViDTCriterion(5)(outputs_of(logits.bfloat16().float(), boxes.bfloat16().float()), targets)
    assert {name: value.dtype for name, value in losses.items()} == dict.fromkeys(losses, torch.float32)
    torch.testing.assert_close(losses, rounded)


def test_objects_are_counted_over_all_processes(monkeypatch):
    logits, boxes, targets = seeded(1, 1, 8, (2,))
    alone = ViDTCriterion(5)(outputs_of(logits, boxes), targets)
    monkeypatch.setattr('vidt.losses.criterion.all_reduce', lambda count, op: count.mul_(2) if op == 'mean' else None)
    shared = ViDTCriterion(5)(outputs_of(logits, boxes), targets)
    torch.testing.assert_close(shared['loss_bbox'] * 2, alone['loss_bbox'])


def test_focal_loss_of_soft_targets():
    from vidt.losses.focal import focal_loss, focal_loss_of_ones, focal_loss_of_zeros

    x = torch.linspace(-30, 30, 61)
    torch.testing.assert_close(focal_loss(x, torch.ones(61)), focal_loss_of_ones(x))
    torch.testing.assert_close(focal_loss(x, torch.zeros(61)), focal_loss_of_zeros(x))
    p, t = torch.tensor(2.0).sigmoid(), 0.3
    wanted = (0.25 * t + 0.75 * (1 - t)) * (1 - (p * t + (1 - p) * (1 - t))) ** 2
    wanted = wanted * -(t * p.log() + (1 - t) * (1 - p).log())
    torch.testing.assert_close(focal_loss(torch.tensor(2.0), torch.tensor(t)), wanted)
    assert F.softplus(torch.tensor(0.0)) == pytest.approx(math.log(2))
