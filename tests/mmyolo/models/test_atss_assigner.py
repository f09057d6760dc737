"""ATSS assignment against its dense definition, against published numbers, and at its edges."""

import pytest
import torch
from mmdet.structures.bbox import bbox_overlaps

from mmyolo.models.task_modules import assigners
from mmyolo.models.task_modules.assigners import (
    BatchATSSAssigner,
    batch_atss_assigner,
    select_candidates_in_gts,
    select_highest_overlaps,
    yolov6_iou_calculator,
)
from mmyolo.models.task_modules.assigners.batch_atss_assigner import bbox_center_distance
from mmyolo.models.utils import gt_instances_preprocess
from tests.mmyolo.models.levels import decode, draw_maps, grid, gt_rows


def dense(assigner, pred, priors, counts, gt):
    """The definition, over all images, boxes and priors."""
    labels, boxes = gt[..., 0].long(), gt[..., 1:]
    batch, num_gts = labels.shape
    anchors = torch.cat((priors[:, :2] - 2.5 * priors[:, 2:], priors[:, :2] + 2.5 * priors[:, 2:]), 1)
    iou = bbox_overlaps(boxes.reshape(-1, 4), anchors).view(batch, num_gts, -1)
    distance = ((boxes[..., None, :2] + boxes[..., None, 2:]) / 2 - priors[:, :2]).norm(dim=-1)
    candidate = torch.zeros_like(iou)
    first = 0
    for count in counts:
        nearest = distance[..., first : first + count].topk(min(assigner.topk, count), largest=False).indices + first
        candidate.scatter_(2, nearest, 1)
        first += count
    among = [[iou[b, g][candidate[b, g] > 0] for g in range(num_gts)] for b in range(batch)]
    threshold = torch.tensor([[(one.mean() + one.std()).item() for one in image] for image in among])
    positive = candidate * (iou > threshold[..., None]) * select_candidates_in_gts(priors[:, :2], boxes)
    positive = positive * (boxes.sum(-1) > 0)[..., None]
    index, foreground, positive = select_highest_overlaps(positive, iou, num_gts)
    factor = (yolov6_iou_calculator(boxes, pred) * positive).amax(1)
    label = labels.gather(1, index).masked_fill(foreground == 0, assigner.num_classes)
    one_hot = torch.eye(assigner.num_classes + 1)[label][..., :-1]
    return {
        'assigned_labels': label,
        'assigned_bboxes': boxes.gather(1, index[..., None].expand(-1, -1, 4)),
        'assigned_scores': one_hot * factor[..., None],
        'fg_mask_pre_prior': foreground > 0,
    }


def call(assigner, pred, priors, counts, gt):
    is_box = (gt[..., 1:].sum(-1, keepdim=True) > 0).float()
    return assigner(pred, priors, counts, gt[..., :1], gt[..., 1:], is_box)


@pytest.mark.parametrize('chunk', [1 << 23, 700])
@pytest.mark.parametrize('topk', [1, 9])
def test_equals_the_dense_definition_on_crowded_images(monkeypatch, topk, chunk):
    monkeypatch.setattr(batch_atss_assigner, '_CHUNK', chunk)
    generator = torch.Generator().manual_seed(0)
    sizes, strides = ((16, 16), (8, 8), (4, 4), (2, 2)), (8, 16, 32, 64)  # the last has fewer cells than topk
    priors = grid(sizes, strides)
    rows = []
    for image, count in enumerate([30, 0, 7]):
        size = torch.rand(count, 2, generator=generator) * 90 + 3
        corner = torch.rand(count, 2, generator=generator) * (128 - size)
        label = torch.randint(0, 5, (count, 1), generator=generator)
        rows.append(torch.cat((torch.full((count, 1), image), label, corner, corner + size), 1))
    gt = gt_instances_preprocess(torch.cat(rows).float(), 3)
    reach = torch.rand(3, len(priors), 4, generator=generator) * 3 * priors[:, 2:].repeat(1, 2)
    pred = torch.cat((priors[:, :2] - reach[..., :2], priors[:, :2] + reach[..., 2:]), -1)

    counts = [h * w for h, w in sizes]
    assigner = BatchATSSAssigner(5, topk=topk)
    result, expected = call(assigner, pred, priors, counts, gt), dense(assigner, pred, priors, counts, gt)
    assert result['fg_mask_pre_prior'].sum() > 20
    assert not result['fg_mask_pre_prior'][1].any()
    for name, value in expected.items():
        torch.testing.assert_close(result[name], value, rtol=1e-5, atol=1e-6, msg=lambda text: f'{name}: {text}')


def test_published_numbers():
    _, bboxes = draw_maps()
    priors = grid(((16, 16), (8, 8), (4, 4)), (8, 16, 32))
    result = call(BatchATSSAssigner(4), decode(bboxes, priors), priors, [256, 64, 16], gt_rows())
    positive = result['fg_mask_pre_prior']
    assert positive[0].nonzero().flatten().tolist() == [67, 68, 83, 84, 100, 291, 292, 293, 299, 300, 301]
    assert positive[1].nonzero().flatten().tolist() == [17, 18, 19, 33, 34, 35, 49, 50, 285, 286]
    assert result['assigned_scores'].sum((1, 2)).tolist() == pytest.approx([3.25938, 3.22906], rel=1e-5)


@pytest.mark.parametrize('rows', [torch.zeros(0, 6), torch.zeros(1, 6)])
def test_no_box_makes_everything_background(rows):
    priors = grid(((4, 4), (2, 2)), (8, 16))
    pred = torch.cat((priors[:, :2] - 4, priors[:, :2] + 4), 1)[None].repeat(2, 1, 1)
    result = call(BatchATSSAssigner(3), pred, priors, [16, 4], gt_instances_preprocess(rows, 2))
    assert (result['assigned_labels'] == 3).all()
    assert not result['fg_mask_pre_prior'].any() and not result['assigned_scores'].any()
    assert result['assigned_bboxes'].shape == (2, 20, 4) and result['assigned_scores'].shape == (2, 20, 3)


def test_without_predictions_positives_score_one():
    priors = grid(((16, 16), (8, 8), (4, 4)), (8, 16, 32))
    result = call(BatchATSSAssigner(4), None, priors, [256, 64, 16], gt_rows())
    assert result['assigned_scores'].sum((1, 2)).tolist() == [11, 10]


def test_center_distance():
    anchors = torch.tensor([[0.0, 0, 10, 12], [2, 2, 2, 2]])
    distances, points = bbox_center_distance(torch.tensor([[0.0, 0, 4, 4]]), anchors)
    assert distances.tolist() == [[5, 0]] and points.tolist() == [[5, 6], [2, 2]]
    assert 'BatchATSSAssigner' in assigners.__all__


def test_no_prior():
    boxes, nothing = torch.tensor([[[0.0, 0, 9, 9]]]), torch.empty(1, 0, 4)
    assigner, priors = BatchATSSAssigner(3), torch.empty(0, 4)
    result = assigner(nothing, priors, [0, 0, 0], torch.zeros(1, 1, 1), boxes, torch.ones(1, 1, 1))
    assert result['assigned_scores'].shape == (1, 0, 3) and result['fg_mask_pre_prior'].shape == (1, 0)
