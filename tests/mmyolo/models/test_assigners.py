"""Task-aligned assignment against its dense definition, against published numbers, and at its edges."""

import pytest
import torch
import torch.nn.functional as F

from mmyolo.models.losses import bbox_overlaps
from mmyolo.models.task_modules import assigners
from mmyolo.models.task_modules.assigners import (
    BatchTaskAlignedAssigner,
    batch_task_aligned_assigner,
    select_candidates_in_gts,
    select_highest_overlaps,
    yolov6_iou_calculator,
)
from mmyolo.models.utils import gt_instances_preprocess
from tests.mmyolo.models.maps import GT_ROWS, yolov8_maps


def grid(sizes, strides):
    """Points in the middle of the cells, and the stride of each."""
    points, of_point = [], []
    for (h, w), stride in zip(sizes, strides):
        y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing='ij')
        points.append((torch.stack((x, y), -1).reshape(-1, 2) + 0.5) * stride)
        of_point.append(torch.full((h * w,), float(stride)))
    return torch.cat(points), torch.cat(of_point)


def dense(assigner, boxes, scores, points, gt):
    """The definition, over all images, boxes and priors; needs a box in some image."""
    labels, gt_boxes = gt[..., 0].long(), gt[..., 1:]
    batch, num_gts = labels.shape
    valid = (gt_boxes.sum(-1) > 0).float()[..., None]
    if assigner.use_ciou:
        overlaps = bbox_overlaps(boxes[:, None], gt_boxes[:, :, None], 'ciou', 'xyxy').clamp(min=0)
    else:
        overlaps = yolov6_iou_calculator(gt_boxes, boxes)
    gt_scores = scores.gather(2, labels[:, None].expand(-1, scores.shape[1], -1)).transpose(1, 2)
    metric = gt_scores**assigner.alpha * overlaps**assigner.beta
    inside = select_candidates_in_gts(points, gt_boxes)
    top = F.one_hot((metric * inside).topk(assigner.topk).indices, len(points)).sum(2)
    gt_index, foreground, positive = select_highest_overlaps(top * inside * valid, overlaps, num_gts)
    metric = metric * positive
    factor = metric * (overlaps * positive).amax(-1, True) / (metric.amax(-1, True) + assigner.eps)
    one_hot = F.one_hot(labels.gather(1, gt_index), assigner.num_classes) * foreground[..., None]
    return {
        'assigned_labels': labels.gather(1, gt_index),
        'assigned_bboxes': gt_boxes.gather(1, gt_index[..., None].expand(-1, -1, 4)),
        'assigned_scores': one_hot * factor.amax(1)[..., None],
        'fg_mask_pre_prior': foreground > 0,
    }


def call(assigner, boxes, scores, points, gt):
    return assigner(boxes, scores, points, gt[..., :1], gt[..., 1:], (gt[..., 1:].sum(-1, keepdim=True) > 0).float())


@pytest.mark.parametrize('chunk', [1 << 24, 300])
@pytest.mark.parametrize('use_ciou, topk, alpha, beta', [(True, 10, 0.5, 6.0), (False, 13, 1.0, 6.0)])
def test_equals_the_dense_definition_on_crowded_images(monkeypatch, use_ciou, topk, alpha, beta, chunk):
    monkeypatch.setattr(batch_task_aligned_assigner, '_CHUNK', chunk)
    generator = torch.Generator().manual_seed(0)
    points, strides = grid(((16, 16), (8, 8), (4, 4)), (8, 16, 32))
    counts = [20, 0, 7]
    rows = []
    for image, count in enumerate(counts):
        size = torch.rand(count, 2, generator=generator) * 90 + 3
        corner = torch.rand(count, 2, generator=generator) * (128 - size)
        label = torch.randint(0, 5, (count, 1), generator=generator)
        rows.append(torch.cat((torch.full((count, 1), image), label, corner, corner + size), 1))
    gt = gt_instances_preprocess(torch.cat(rows).float(), 3)
    reach = torch.rand(3, len(points), 4, generator=generator) * 3 * strides[:, None]
    boxes = torch.cat((points - reach[..., :2], points + reach[..., 2:]), -1)
    scores = torch.rand(3, len(points), 5, generator=generator)

    assigner = BatchTaskAlignedAssigner(5, topk, alpha, beta, use_ciou=use_ciou)
    result, expected = call(assigner, boxes, scores, points, gt), dense(assigner, boxes, scores, points, gt)
    assert (result['assigned_scores'] > 0).sum() > 100
    assert not result['fg_mask_pre_prior'][1].any()
    for name, value in expected.items():
        torch.testing.assert_close(result[name], value, rtol=1e-4, atol=1e-6, msg=lambda text: f'{name}: {text}')


def test_published_numbers_of_yolov8():
    cls, bbox, _ = yolov8_maps()
    points, strides = grid(((8, 8), (4, 4), (2, 2)), (8, 16, 32))
    scores = torch.cat([level.flatten(2) for level in cls], 2).transpose(1, 2).sigmoid()
    distances = torch.cat([level.flatten(2) for level in bbox], 2).transpose(1, 2) * strides[:, None]
    boxes = torch.cat((points - distances[..., :2], points + distances[..., 2:]), -1)
    assigner = BatchTaskAlignedAssigner(3, topk=10, alpha=0.5, beta=6.0, eps=1e-9, use_ciou=True)
    result = call(assigner, boxes, scores, points, gt_instances_preprocess(GT_ROWS, 2))
    positive = result['fg_mask_pre_prior']
    assert positive.sum(1).tolist() == [17, 15]
    assert result['assigned_scores'].sum().item() == pytest.approx(1.40988, rel=1e-4)
    assert result['assigned_labels'][positive].bincount().tolist() == [5, 7, 20]


def test_published_numbers_of_plain_iou():
    sizes, strides = ((16, 16), (8, 8), (4, 4)), (8, 16, 32)

    def draw(kind, seed, shape):
        return getattr(torch, kind)(shape, generator=torch.Generator().manual_seed(seed)).flatten(2).transpose(1, 2)

    points, stride = grid(sizes, strides)
    scores = torch.cat([draw('randn', 100 + i, (2, 4, *size)) for i, size in enumerate(sizes)], 1).sigmoid()
    distances = torch.cat([4 * draw('rand', 200 + i, (2, 4, *size)) for i, size in enumerate(sizes)], 1)
    distances = distances * stride[:, None]
    boxes = torch.cat((points - distances[..., :2], points + distances[..., 2:]), -1)
    rows = torch.tensor(
        [[0, 1, 10, 12, 60, 70], [0, 3, 40, 40, 100, 120], [1, 0, 5, 5, 30, 30], [1, 2, 64, 20, 120, 90.0]]
    )
    result = call(BatchTaskAlignedAssigner(4), boxes, scores, points, gt_instances_preprocess(rows, 2))
    assert result['fg_mask_pre_prior'].sum(1).tolist() == [26, 26]
    assert result['assigned_scores'].sum((1, 2)).tolist() == pytest.approx([1.95169, 2.24873], rel=1e-4)


@pytest.mark.parametrize('rows, label', [(torch.zeros(0, 6), 3), (torch.zeros(1, 6), 0)])
def test_no_box_makes_everything_background(rows, label):
    points, _ = grid(((4, 4),), (8,))
    boxes = torch.cat((points - 4, points + 4), 1)[None].repeat(2, 1, 1)
    result = call(BatchTaskAlignedAssigner(3), boxes, torch.rand(2, 16, 3), points, gt_instances_preprocess(rows, 2))
    assert not result['fg_mask_pre_prior'].any() and not result['assigned_scores'].any()
    assert result['assigned_bboxes'].shape == (2, 16, 4)
    assert (result['assigned_labels'] == label).all()


def test_fewer_priors_than_topk():
    points, _ = grid(((2, 2),), (8,))
    boxes = torch.cat((points - 4, points + 4), 1)[None]
    gt = torch.tensor([[[1.0, 0, 0, 16, 16]]])
    result = call(BatchTaskAlignedAssigner(2, topk=13), boxes, torch.full((1, 4, 2), 0.5), points, gt)
    assert result['fg_mask_pre_prior'].all()
    # every prior overlaps the box by a quarter, so each gets the best overlap as its target
    torch.testing.assert_close(result['assigned_scores'], torch.tensor([0, 0.25]).expand(1, 4, 2), rtol=1e-3, atol=0)


def test_half_precision_predictions_are_assigned_in_single():
    points, _ = grid(((4, 4),), (8,))
    boxes = torch.cat((points - 5, points + 5), 1)[None]
    gt, scores = torch.tensor([[[0.0, 2, 2, 20, 20]]]), torch.rand(1, 16, 1)
    result = call(BatchTaskAlignedAssigner(1), boxes.bfloat16(), scores.bfloat16(), points, gt)
    assert result['assigned_scores'].dtype == torch.float32
    assert result['fg_mask_pre_prior'].sum() == 4


def test_shared_steps():
    points, gt = torch.tensor([[5.0, 5], [0, 5], [11, 5]]), torch.tensor([[[0.0, 0, 10, 10]]])
    assert select_candidates_in_gts(points, gt).tolist() == [[[1, 0, 0]]]  # the border is outside

    claims = torch.tensor([[[1.0, 1, 0, 0], [1, 0, 0, 1], [0, 0, 0, 0]]])
    overlaps = torch.tensor([[[0.1, 0.1, 0, 0], [0.2, 0.9, 0, 0.3], [0.3, 0, 0, 0.9]]])
    index, count, left = select_highest_overlaps(claims, overlaps, 3)
    assert index.tolist() == [[2, 0, 0, 1]]  # the contested one goes to a box that had not claimed it
    assert count.tolist() == [[1, 1, 0, 1]]
    assert left[0].tolist() == [[0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]]

    boxes = torch.tensor([[[0.0, 0, 10, 10], [5, 5, 5, 5]]])
    expected = torch.tensor([[[1.0, 0], [0, 0]]])
    torch.testing.assert_close(yolov6_iou_calculator(boxes, boxes), expected)
    assert set(assigners.__all__) >= {'BatchTaskAlignedAssigner', 'select_candidates_in_gts'}
