"""Rotated overlaps against shapely and by finite differences; rotated suppression against its definition."""

import math

import mmcv.ops
import pytest
import torch
from shapely.geometry import Polygon

from mmyolo.standins.mmcv import batched_nms, box_iou_rotated, diff_iou_rotated_2d, nms_rotated
from mmyolo.standins.mmcv.rotated_iou import rotated_corners


def random_boxes(count, seed, size=60.0):
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.rand(count, 5, generator=generator, dtype=torch.float64)
    return boxes * torch.tensor([size, size, size, size, 7.0]) + torch.tensor([0, 0, 0.5, 0.5, -3.5])


def exact(first, second):
    """Intersection and areas by shapely, in double precision."""
    rows = []
    for one, other in zip(rotated_corners(first.double()).numpy(), rotated_corners(second.double()).numpy()):
        one, other = Polygon(one), Polygon(other)
        rows.append((one.intersection(other).area, one.area, other.area))
    return torch.tensor(rows, dtype=torch.float64).unbind(1)


@pytest.mark.parametrize(
    'dtype, size, error', [(torch.float64, 60, 1e-9), (torch.float32, 60, 1e-6), (torch.float32, 2000, 1e-6)]
)
def test_against_shapely(dtype, size, error):
    first, second = random_boxes(3000, 0, size), random_boxes(3000, 1, size)
    common, area, other = exact(first.to(dtype), second.to(dtype))
    assert (common > 0).float().mean() > 0.5
    iou = box_iou_rotated(first.to(dtype), second.to(dtype), aligned=True)
    assert (iou - common / (area + other - common)).abs().max() < error
    iof = box_iou_rotated(first.to(dtype), second.to(dtype), mode='iof', aligned=True)
    assert (iof - common / area).abs().max() < 100 * error  # of boxes a hundred times smaller than the other


ON = [100.0, 50.0, 40.0, 20.0]


@pytest.mark.parametrize(
    'first, second, iou',
    [
        ([*ON, 0.3], [*ON, 0.3], 1),
        ([*ON, 0.3], [*ON, 0.3 + math.pi], 1),
        ([*ON, 0.3], [100, 50, 20, 40, 0.3 + math.pi / 2], 1),
        ([*ON, 0.3], [*ON, 0.3 + 1e-6], 1),
        ([*ON, 0.3], [100, 50, 20, 20, 0.3], 0.5),  # two sides in common
        ([*ON, 0.3], [100, 50, 20, 10, 0.3], 0.25),
        ([*ON, 0], [140, 50, 40, 20, 0], 0),  # a side in common
        ([*ON, 0], [140, 70, 40, 20, 0], 0),  # a corner in common
        ([*ON, 0], [120, 50, 40, 20, 0], 1 / 3),
        ([0, 0, 2, 2, 0], [0, 0, 2, 2, math.pi / 4], (8 * math.sqrt(2) - 8) / (8 - (8 * math.sqrt(2) - 8))),
        ([*ON, 0], [100, 50, 0, 20, 0], 0),
        ([0, 0, 0, 0, 0], [0, 0, 0, 0, 0], 0),
        ([*ON, 0], [1e6, 1e6, 5, 5, 1], 0),
    ],
)
def test_special_cases(first, second, iou):
    first, second = torch.tensor([first], dtype=torch.float), torch.tensor([second], dtype=torch.float)
    assert box_iou_rotated(first, second).item() == pytest.approx(iou, abs=2e-6)
    assert box_iou_rotated(second, first).item() == pytest.approx(iou, abs=2e-6)
    for box, other in ((first, second), (second, first)):
        box = box.clone().requires_grad_()
        diff_iou_rotated_2d(box, other).sum().backward()
        assert box.grad.isfinite().all()


def test_pairs_and_mmcvs_names():
    first, second = random_boxes(30, 2).float(), random_boxes(40, 3).float()
    iou = box_iou_rotated(first, second)
    assert iou.shape == (30, 40)
    for column in range(0, 40, 7):
        aligned = box_iou_rotated(first, second[column : column + 1].expand(30, 5), aligned=True)
        torch.testing.assert_close(iou[:, column], aligned)
    torch.testing.assert_close(mmcv.ops.box_iou_rotated(first, second), iou)
    torch.testing.assert_close(
        mmcv.ops.box_iou_rotated(first, second[:30], 'iof', aligned=True),
        box_iou_rotated(first, second[:30], 'iof', aligned=True),
    )
    other = torch.tensor([1.0, 1, 1, 1, -1])
    torch.testing.assert_close(box_iou_rotated(first * other, second * other, clockwise=False), iou)
    assert box_iou_rotated(first[:0], second).shape == (0, 40)
    assert box_iou_rotated(first, second[:0]).shape == (30, 0)
    assert box_iou_rotated(first[:0], second[:0], aligned=True).shape == (0,)
    with pytest.raises(ValueError, match='allowed are'):
        box_iou_rotated(first, second, mode='giou')


def test_gradient():
    first, second = random_boxes(60, 4), random_boxes(60, 5)
    assert torch.autograd.gradcheck(diff_iou_rotated_2d, (first.requires_grad_(), second.requires_grad_()))
    values = mmcv.ops.diff_iou_rotated_2d(first[None].float(), second[None].float())[0]
    torch.testing.assert_close(values, diff_iou_rotated_2d(first, second).float(), rtol=1e-4, atol=1e-5)


def by_definition(boxes, scores, labels, threshold):
    iou, kept = box_iou_rotated(boxes, boxes), []
    for index in scores.argsort(descending=True, stable=True).tolist():
        if not any(iou[index, other] > threshold and labels[index] == labels[other] for other in kept):
            kept.append(index)
    return kept


@pytest.mark.parametrize('count', [0, 1, 40, 600])
def test_nms(count):
    generator = torch.Generator().manual_seed(count)
    boxes = random_boxes(count, 6).float() * torch.tensor([3, 3, 0.6, 0.6, 1])
    scores = torch.rand(count, generator=generator)
    labels = torch.randint(3, (count,), generator=generator)
    kept = by_definition(boxes, scores, labels, 0.1)
    assert nms_rotated(boxes, scores, 0.1, labels).tolist() == kept
    assert nms_rotated(boxes, scores, 0.1).tolist() == by_definition(boxes, scores, torch.zeros(count), 0.1)
    if count:
        dets, indices = mmcv.ops.nms_rotated(boxes, scores, 0.1, labels)
        assert indices.tolist() == kept
        torch.testing.assert_close(dets, torch.cat((boxes[kept], scores[kept, None]), dim=1))


def test_nms_of_a_batch():
    boxes, scores = random_boxes(300, 7).float(), torch.rand(300, generator=torch.Generator().manual_seed(0))
    labels, images = torch.arange(300) % 2, torch.arange(300) % 3
    kept = batched_nms(boxes, scores, labels, images, 4, 0.2, max_per_img=10)
    assert [len(one) for one in kept] == [10, 10, 10, 0]
    for image in range(3):
        members = (images == image).nonzero()[:, 0]
        alone = by_definition(boxes[members], scores[members], labels[members], 0.2)[:10]
        assert kept[image].tolist() == members[alone].tolist()
