"""Overlaps and losses against numbers of the published implementation and against PyTorch's own."""

import pytest
import torch
import torch.nn.functional as F
from mmdet.models.losses import VarifocalLoss
from mmdet.structures.bbox import bbox_xyxy_to_cxcywh

from mmyolo.models.losses import IoULoss, bbox_overlaps
from mmyolo.models.losses.sparse_target_bce import sparse_target_bce
from mmyolo.models.losses.sparse_target_vfl import sparse_target_vfl

PRED = torch.tensor([[10.0, 20, 50, 80], [0, 0, 10, 10], [30, 30, 60, 40]])
TARGET = torch.tensor([[15.0, 25, 55, 70], [20, 20, 40, 30], [30, 30, 60, 40]])
OVERLAPS = {
    'iou': [0.6, 0, 1],
    'giou': [0.572222, -0.75, 1],
    'ciou': [0.594296, -0.411689, 1],
    'siou': [0.59041, -0.359742, 1],
}


@pytest.mark.parametrize('mode', OVERLAPS)
def test_overlaps_of_each_mode_and_format(mode):
    expected = torch.tensor(OVERLAPS[mode])
    torch.testing.assert_close(bbox_overlaps(PRED, TARGET, mode, 'xyxy'), expected, rtol=1e-4, atol=1e-5)
    pred, target = bbox_xyxy_to_cxcywh(PRED), bbox_xyxy_to_cxcywh(TARGET)
    torch.testing.assert_close(bbox_overlaps(pred, target, mode, 'xywh'), expected, rtol=1e-4, atol=1e-5)


def test_overlaps_of_another_set():
    pred = torch.tensor([[10.0, 10, 50, 60], [0, 0, 10, 10], [30, 30, 40, 80]])
    target = torch.tensor([[12.0, 8, 48, 70], [20, 20, 30, 40], [30, 30, 40, 80]])
    expected = {
        'iou': [0.740132, 0, 1],
        'giou': [0.720777, -0.75, 1],
        'ciou': [0.736894, -0.411689, 1],
        'siou': [0.735466, -0.359742, 1],
    }
    for mode, values in expected.items():
        torch.testing.assert_close(
            bbox_overlaps(pred, target, mode, 'xyxy'), torch.tensor(values), rtol=1e-4, atol=1e-5
        )


def test_overlaps_broadcast_and_take_no_boxes():
    pairwise = bbox_overlaps(PRED[:, None], TARGET[None], 'ciou', 'xyxy')
    torch.testing.assert_close(pairwise.diagonal(), bbox_overlaps(PRED, TARGET, 'ciou', 'xyxy'))
    assert bbox_overlaps(PRED[:0], TARGET[:0]).shape == (0,)


def test_iou_loss_reductions_and_weights():
    one_minus = 1 - torch.tensor(OVERLAPS['ciou'])
    weight = torch.tensor([1.0, 2, 0])
    loss, iou = IoULoss(bbox_format='xyxy', loss_weight=2.0)(PRED, TARGET)
    assert loss.item() == pytest.approx(2 * one_minus.mean().item(), rel=1e-4)
    assert iou.tolist() == pytest.approx(OVERLAPS['ciou'], rel=1e-4, abs=1e-5)

    summed = IoULoss(bbox_format='xyxy', reduction='sum', return_iou=False)
    assert summed(PRED, TARGET, weight=weight).item() == pytest.approx((one_minus * weight).sum().item(), rel=1e-4)
    assert summed(PRED, TARGET, weight=weight[:, None].repeat(1, 4)).item() == pytest.approx(
        (one_minus * weight).sum().item(), rel=1e-4
    )
    averaged = summed(PRED, TARGET, weight=weight, avg_factor=3.0, reduction_override='mean')
    assert averaged.item() == pytest.approx((one_minus * weight).sum().item() / 3, rel=1e-4)


@pytest.mark.parametrize('rows', [0, 3])
def test_iou_loss_without_weight_is_zero_and_still_returns_overlaps(rows):
    pred = PRED[:rows].clone().requires_grad_()
    loss, iou = IoULoss(bbox_format='xyxy')(pred, TARGET[:rows], weight=torch.zeros(rows), avg_factor=1)
    loss.backward()
    assert loss.item() == 0 and iou.shape == (rows,) and not pred.grad.any()


@pytest.mark.parametrize('argument', [{'iou_mode': 'iou'}, {'bbox_format': 'yxyx'}, {'reduction': 'median'}])
def test_iou_loss_names_what_is_allowed(argument):
    with pytest.raises(ValueError, match=f'{next(iter(argument))} must be one of'):
        IoULoss(**argument)


@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('elements', [0, 5])
def test_sparse_target_bce_equals_the_dense_one(memory_format, elements):
    torch.manual_seed(0)
    logits = (torch.randn(2, 3, 4, 5) * 8).contiguous(memory_format=memory_format).requires_grad_()
    flat = torch.randperm(2 * 3 * 20)[:elements]
    image, channel, cell = flat // 60, flat // 20 % 3, flat % 20
    targets = torch.rand(elements)
    dense = torch.zeros(120).index_put((flat,), targets).reshape(2, 3, 4, 5)

    (2 * sparse_target_bce(logits, image, channel, cell, targets)).backward()
    expected = logits.detach().clone().requires_grad_()
    loss = F.binary_cross_entropy_with_logits(expected, dense, reduction='sum')
    (2 * loss).backward()
    torch.testing.assert_close(sparse_target_bce(logits, image, channel, cell, targets), loss)
    torch.testing.assert_close(logits.grad, expected.grad)


@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('elements', [0, 5])
@pytest.mark.parametrize('iou_weighted, gamma', [(True, 2.0), (False, 1.5)])
def test_sparse_target_vfl_equals_the_dense_one(memory_format, elements, iou_weighted, gamma):
    generator = torch.Generator().manual_seed(0)
    logits = (torch.randn(2, 3, 4, 5, generator=generator) * 4).contiguous(memory_format=memory_format)
    logits[0, 0, 0, :2] = torch.tensor([60.0, -60.0])
    logits.requires_grad_()
    flat = torch.randperm(2 * 3 * 20, generator=generator)[:elements]
    targets = torch.rand(elements, generator=generator) + 1e-3
    image, channel, cell = flat // 60, flat // 20 % 3, flat % 20

    dense = torch.zeros(2, 3, 20).index_put((image, channel, cell), targets).view(2, 3, 4, 5)
    definition = VarifocalLoss(alpha=0.6, gamma=gamma, iou_weighted=iou_weighted, reduction='sum')
    loss = definition(logits, dense)
    (2 * loss).backward()
    expected, logits.grad = logits.grad, None
    found = sparse_target_vfl(logits, image, channel, cell, targets, 0.6, gamma, iou_weighted)
    (2 * found).backward()
    torch.testing.assert_close(found, loss)
    torch.testing.assert_close(logits.grad, expected)
    assert logits.grad.is_contiguous(memory_format=memory_format)
