"""The coders and losses of rotated boxes, against hand-computed values and their inverses."""

import math

import pytest
import torch

from mmyolo.models.losses import RotatedIoULoss, SmoothFocalLoss
from mmyolo.models.task_modules.coders import CSLCoder, DistanceAnglePointCoder, PseudoAngleCoder
from mmyolo.registry import MODELS, TASK_UTILS
from mmyolo.standins.mmcv import box_iou_rotated
from mmyolo.standins.mmrotate.rotated_overlaps import RBboxOverlaps2D


def test_names():
    assert TASK_UTILS.get('mmrotate.CSLCoder') is CSLCoder and TASK_UTILS.get('mmrotate.PseudoAngleCoder')
    assert TASK_UTILS.get('mmrotate.RBboxOverlaps2D') is RBboxOverlaps2D
    assert MODELS.get('mmrotate.RotatedIoULoss') is RotatedIoULoss
    assert MODELS.get('mmrotate.SmoothFocalLoss') is SmoothFocalLoss


def test_distances_decode():
    coder = DistanceAnglePointCoder(angle_version='le90')
    points = torch.tensor([[10.0, 20], [10, 20], [10, 20]])
    preds = torch.tensor([[1.0, 2, 3, 4, 0], [1, 2, 3, 4, math.pi / 2 - 1e-3], [1, 1, 1, 1, math.pi]])
    stride = torch.tensor([2.0, 2, 8])
    before = preds.clone()
    found = coder.decode(points, preds, stride)
    assert torch.equal(preds, before)
    # right minus left is 4, bottom minus top is 4: the centre lies 2 along and 2 across from the point
    wanted = torch.tensor([[12.0, 22, 8, 12, 0], [8, 22, 8, 12, math.pi / 2], [10, 20, 16, 16, 0]])
    torch.testing.assert_close(found, wanted, rtol=0, atol=5e-3)
    torch.testing.assert_close(coder.decode(points, preds[None], stride), found[None])
    with pytest.raises(AssertionError):
        coder.decode(points[:2], preds, stride)
    with pytest.raises(AssertionError):
        coder.decode(points, preds[:, :4], stride)


def test_distances_encode():
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(50, 2, generator=generator) * 4
    boxes = torch.cat(
        (
            points + 0.5,
            torch.rand(50, 2, generator=generator) * 5 + 3,
            torch.rand(50, 1, generator=generator) * 3 - 1.5,
        ),
        dim=1,
    )
    coder = DistanceAnglePointCoder(angle_version='le90')
    encoded = coder.encode(points, boxes)
    torch.testing.assert_close(coder.decode(points, encoded, torch.ones(50)), boxes)
    far = coder.encode(torch.zeros(1, 2), torch.tensor([[0.0, 0, 100, 2, 0]]))
    torch.testing.assert_close(far, torch.tensor([[15.99, 1, 15.99, 1, 0]]))


@pytest.mark.parametrize('version, start, period', [('le90', -90, 180), ('le135', -45, 180), ('r360', -180, 360)])
def test_angle_ranges(version, start, period):
    preds = torch.ones(400, 5)
    preds[:, 4] = torch.linspace(-10, 10, 400)
    angle = DistanceAnglePointCoder(angle_version=version).decode(torch.zeros(400, 2), preds, torch.ones(400))[:, 4]
    degrees = angle * 180 / math.pi
    assert (degrees >= start - 1e-3).all() and (degrees <= start + period).all()
    turns = (preds[:, 4] - angle) / math.radians(period)
    torch.testing.assert_close(turns, turns.round(), rtol=0, atol=1e-4)


def test_pseudo_angles():
    angles = torch.tensor([[0.3], [-1.0]])
    coder = PseudoAngleCoder()
    assert coder.encode_size == 1 and coder.encode(angles) is angles
    assert coder.decode(angles).shape == (2,) and coder.decode(angles, keepdim=True).shape == (2, 1)


@pytest.mark.parametrize('version, size, offset', [('oc', 90, 0), ('le90', 180, 90), ('le135', 180, 45)])
@pytest.mark.parametrize('omega', [1, 2])
@pytest.mark.parametrize('window', ['gaussian', 'triangle', 'rect', 'pulse'])
def test_angle_classes(version, size, offset, omega, window):
    coder = CSLCoder(version, omega=omega, window=window, radius=3)
    assert coder.encode_size == size // omega
    degrees = torch.arange(0.25, size, 1.5)[:, None] - offset
    label = coder.encode(degrees * math.pi / 180)
    assert label.shape == (len(degrees), size // omega)
    if window != 'rect':
        found = coder.decode(label, keepdim=True) * 180 / math.pi
        assert found.shape == degrees.shape and (found - degrees).abs().max() <= omega / 2 + 1e-3
        assert coder.decode(label).shape == (len(degrees),)
    row = label[0]  # the first class, so that the window goes around
    values = {
        'gaussian': [math.exp(-d * d) / 18 for d in range(4)],
        'triangle': [1, 2 / 3, 1 / 3, 0],
        'rect': [1] * 4,
        'pulse': [1, 0, 0, 0],
    }
    values = torch.tensor(values[window], dtype=torch.float)
    torch.testing.assert_close(row[:4], values)
    torch.testing.assert_close(row[-3:], values[1:].flip(0))
    assert (row[4:-3] == 0).all()


def test_overlaps():
    boxes = torch.tensor([[10.0, 10, 8, 4, 0.3], [10, 10, 0, 4, 0], [10, 10, -5, -5, 0]])
    before = boxes.clone()
    iou = RBboxOverlaps2D()(boxes, boxes)
    assert torch.equal(boxes, before)
    assert iou[0, 0] == pytest.approx(1, abs=1e-5) and iou[1, 1] > 0.9 and iou[0, 2] < 1e-6
    assert RBboxOverlaps2D()(boxes, boxes, is_aligned=True).shape == (3,)


@pytest.mark.parametrize('mode, value', [('linear', 0.5), ('square', 0.75), ('log', math.log(2))])
def test_rotated_iou_loss(mode, value):
    pred = torch.tensor([[10.0, 10, 8, 4, 0.3], [10, 10, 8, 4, 0]], requires_grad=True)
    target = torch.tensor([[10.0, 10, 4, 4, 0.3], [10, 10, 8, 4, 0]])
    loss = RotatedIoULoss(mode=mode, loss_weight=2.0, reduction='none')(pred, target)
    torch.testing.assert_close(loss, torch.tensor([2 * value, 0.0]), rtol=1e-4, atol=1e-5)
    mean = RotatedIoULoss(mode=mode)(pred, target, weight=torch.tensor([0.5, 1]), avg_factor=4)
    assert mean.item() == pytest.approx(0.5 * value / 4, abs=1e-5)
    mean.backward()
    assert pred.grad[0, 2] > 0  # a narrower box fits better
    nothing = RotatedIoULoss(mode=mode)(pred, target, weight=torch.zeros(2))
    assert nothing == 0 and nothing.requires_grad
    assert RotatedIoULoss(linear=True, reduction='sum')(pred, target).item() == pytest.approx(0.5, abs=1e-5)
    with pytest.raises(AssertionError, match='allowed are'):
        RotatedIoULoss(mode='cube')


def test_smooth_focal_loss():
    logits, target = torch.tensor([[0.0, 2.0], [-1.0, 0.5]]), torch.tensor([[1.0, 0.0], [0.3, 0.0]])
    wanted = 0.0
    for logit, true in zip(logits.flatten().tolist(), target.flatten().tolist()):
        p = 1 / (1 + math.exp(-logit))
        miss = p * (1 - true) + (1 - p) * true
        balance = 0.25 * true + 0.75 * (1 - true)
        wanted += -(true * math.log(p) + (1 - true) * math.log(1 - p)) * balance * miss**2
    assert SmoothFocalLoss(reduction='sum')(logits, target).item() == pytest.approx(wanted, rel=1e-5)
    weighted = SmoothFocalLoss(loss_weight=0.2)(logits, target, weight=torch.tensor([1.0, 0]), avg_factor=2)
    alone = SmoothFocalLoss(reduction='sum')(logits[:1], target[:1])
    assert weighted.item() == pytest.approx(0.1 * alone.item(), rel=1e-5)


def test_matches_the_overlap():
    boxes = torch.tensor([[10.0, 10, 8, 4, 0.3]])
    assert RotatedIoULoss(mode='linear')(boxes, boxes + 0.5) == pytest.approx(
        1 - box_iou_rotated(boxes, boxes + 0.5).item(), abs=1e-5
    )
