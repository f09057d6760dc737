"""Dynamic soft label assignment against its definition, written here pair by pair."""

import math

import pytest
import torch
import torch.nn.functional as F
from mmdet.structures.bbox import HorizontalBoxes, bbox_overlaps

from mmyolo.models.task_modules.assigners import BatchDynamicSoftLabelAssigner
from mmyolo.models.task_modules.assigners import batch_dsl_assigner as module
from mmyolo.models.task_modules.assigners.batch_dsl_assigner import find_inside_points, get_box_center

STRIDES = (8, 16, 32)
SIDE = 64


def grid():
    rows = [(x * s, y * s, s, s) for s in STRIDES for y in range(SIDE // s) for x in range(SIDE // s)]
    return torch.tensor(rows, dtype=torch.float)


def definition(pred_bboxes, logits, priors, gt_labels, gt_bboxes, flags, num_classes, topk=13, radius=3.0, weight=3.0):
    """The paper's rule and the published tie rules, one prior and one box at a time."""
    batch, num_priors, _ = pred_bboxes.shape
    labels = torch.full((batch, num_priors), num_classes)
    bboxes, metrics = torch.zeros(batch, num_priors, 4), torch.zeros(batch, num_priors)
    for b in range(batch):
        count, total = int(flags[b].sum()), gt_bboxes.shape[1]
        iou = bbox_overlaps(pred_bboxes[b], gt_bboxes[b])
        cost = torch.full((num_priors, total), 1e8)
        for p, (x, y, stride, _) in enumerate(priors.tolist()):
            boxes = gt_bboxes[b, :count].tolist()
            if not any(x1 < x < x2 and y1 < y < y2 for x1, y1, x2, y2 in boxes):
                continue
            for g, (x1, y1, x2, y2) in enumerate(gt_bboxes[b].tolist()):
                distance = math.hypot(x - (x1 + x2) / 2, y - (y1 + y2) / 2) / stride
                logit = logits[b, p, int(gt_labels[b, g])]
                cls = F.binary_cross_entropy_with_logits(logit, iou[p, g]) * (logit.sigmoid() - iou[p, g]) ** 2
                cost[p, g] = cls - weight * (iou[p, g] + 1e-7).log() + 10 ** (distance - radius)
        chosen = torch.zeros(num_priors, total, dtype=torch.bool)
        for g in range(count):
            wanted = max(1, int(iou[:, g].topk(min(topk, num_priors)).values.sum()))
            chosen[cost[:, g].sort(stable=True).indices[:wanted], g] = True
        for p in chosen.any(1).nonzero().flatten().tolist():
            g = int(chosen[p].nonzero()[0]) if chosen[p].sum() == 1 else int(cost[p].argmin())
            labels[b, p], bboxes[b, p], metrics[b, p] = int(gt_labels[b, g]), gt_bboxes[b, g], iou[p, g]
    return labels, bboxes, metrics


def case(seed, batch=3, num_gts=6, num_classes=4):
    generator = torch.Generator().manual_seed(seed)
    priors = grid()

    def boxes(*shape):
        centre = torch.rand(*shape, 2, generator=generator) * SIDE
        size = torch.rand(*shape, 2, generator=generator) * SIDE * 0.7 + 2
        return torch.cat((centre - size / 2, centre + size / 2), -1)

    gt_bboxes = boxes(batch, num_gts).clamp(min=0, max=SIDE)
    gt_bboxes[:, 0] = gt_bboxes.new_tensor([9.0, 9.0, 15.0, 15.0])  # no prior inside
    pred = boxes(batch, len(priors))
    # Many priors predict a true box nearly, so that boxes take several priors and contest some.
    target = torch.randint(num_gts, (batch, len(priors)), generator=generator)
    near = torch.rand(batch, len(priors), generator=generator) < 0.6
    pred[near] = gt_bboxes[torch.arange(batch)[:, None], target][near] + torch.rand(4, generator=generator) * 4
    logits = torch.randn(batch, len(priors), num_classes, generator=generator) * 2
    labels = torch.randint(num_classes, (batch, num_gts, 1), generator=generator).float()
    flags = torch.ones(batch, num_gts, 1)
    flags[1, 4:] = flags[2] = 0
    gt_bboxes[flags[..., 0] == 0] = 0
    labels[flags == 0] = 0
    return pred, logits, priors, labels, gt_bboxes, flags


@pytest.mark.parametrize('batch_iou', [True, False])
@pytest.mark.parametrize('seed', range(4))
def test_equals_the_definition(seed, batch_iou):
    inputs = case(seed)
    result = BatchDynamicSoftLabelAssigner(num_classes=4, batch_iou=batch_iou)(*inputs)
    labels, bboxes, metrics = definition(*inputs, num_classes=4)
    assert (labels[:2] < 4).sum() > 12
    assert torch.equal(result['assigned_labels'], labels)
    torch.testing.assert_close(result['assigned_bboxes'], bboxes)
    torch.testing.assert_close(result['assign_metrics'], metrics)
    assert (result['assigned_labels'][2] == 4).all()  # only padding
    assert torch.equal(result['assigned_labels_weights'], torch.ones(3, len(inputs[2])))


def test_chunks_change_nothing(monkeypatch):
    inputs = case(7)
    whole = BatchDynamicSoftLabelAssigner(num_classes=4)(*inputs)
    monkeypatch.setattr(module, '_CHUNK_CPU', 1)
    for ours, theirs in zip(BatchDynamicSoftLabelAssigner(num_classes=4)(*inputs).values(), whole.values()):
        assert torch.equal(ours, theirs)


def test_box_without_priors_takes_the_first_ones():
    priors = grid()
    pred, logits = torch.zeros(1, len(priors), 4), torch.zeros(1, len(priors), 2)
    gt = torch.tensor([[[9.0, 9.0, 15.0, 15.0], [17.0, 17.0, 23.0, 23.0]]])
    result = BatchDynamicSoftLabelAssigner(num_classes=2)(
        pred, logits, priors, torch.ones(1, 2, 1), gt, torch.ones(1, 2, 1)
    )
    # Both want prior 0, and where nothing is in play the image's first box gets it.
    assert (result['assigned_labels'] < 2).nonzero().tolist() == [[0, 0]]
    assert torch.equal(result['assigned_bboxes'][0, 0], gt[0, 0])


@pytest.mark.parametrize('num_priors, num_gts', [(5, 0), (0, 3), (0, 0)])
def test_nothing_to_assign(num_priors, num_gts):
    result = BatchDynamicSoftLabelAssigner(num_classes=80)(
        torch.zeros(2, num_priors, 4),
        torch.zeros(2, num_priors, 80),
        torch.zeros(num_priors, 4),
        torch.zeros(2, num_gts, 1),
        torch.zeros(2, num_gts, 4),
        torch.ones(2, num_gts, 1),
    )
    assert torch.equal(result['assigned_labels'], torch.full((2, num_priors), 80))
    assert result['assigned_bboxes'].shape == (2, num_priors, 4)
    assert result['assign_metrics'].sum() == 0


def test_box_objects_are_rejected():
    pred, logits, priors, labels, _, flags = case(0)
    with pytest.raises(NotImplementedError, match='HorizontalBoxes'):
        BatchDynamicSoftLabelAssigner(num_classes=4)(
            pred, logits, priors, labels, HorizontalBoxes(torch.zeros(6, 4)), flags
        )


def test_points_inside_boxes():
    points = torch.tensor([[4.0, 4.0], [10.0, 4.0], [0.0, 4.0], [8.5, 8.5]])
    horizontal = torch.tensor([[[0.0, 0.0, 10.0, 10.0]], [[4.0, 4.0, 9.0, 9.0]]])
    inside = find_inside_points(horizontal, points)
    assert inside.shape == (4, 2, 1)
    assert inside[..., 0].tolist() == [[True, False], [False, False], [False, False], [True, True]]

    # A square of side 10 around the origin, turned by 45 degrees, reaches to 7.07 on the axes, not to its old corners.
    rotated = torch.tensor([[[0.0, 0.0, 10.0, 10.0, math.pi / 4]]])
    points = torch.tensor([[7.0, 0.0], [4.9, 4.9], [0.0, -7.0], [3.0, 3.0]])
    assert find_inside_points(rotated, points, box_dim=5).flatten().tolist() == [True, False, True, True]
    # Angles turn from x to y: a long box along the diagonal x = y.
    rotated = torch.tensor([[[0.0, 0.0, 20.0, 2.0, math.pi / 4]]])
    points = torch.tensor([[6.0, 6.0], [6.0, -6.0]])
    assert find_inside_points(rotated, points, box_dim=5).flatten().tolist() == [True, False]


def test_centres():
    assert get_box_center(torch.tensor([[0.0, 2.0, 4.0, 10.0]])).tolist() == [[2.0, 6.0]]
    assert get_box_center(torch.tensor([[3.0, 5.0, 4.0, 10.0, 0.1]]), box_dim=5).tolist() == [[3.0, 5.0]]
    with pytest.raises(NotImplementedError, match='got 6'):
        get_box_center(torch.zeros(1, 6), box_dim=6)
