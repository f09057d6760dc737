"""Rotated boxes and quadrilaterals: conversions, conventions of angles, and transforms, against the corners."""

import math

import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes, convert_box_type, get_box_type

from mmyolo.standins.mmcv import box_iou_rotated
from mmyolo.standins.mmrotate.structures import QuadriBoxes, RotatedBoxes


def boxes(count=40):
    generator = torch.Generator().manual_seed(0)
    scale = torch.tensor([200, 100, 60, 30, 6.0])
    return torch.rand(count, 5, generator=generator) * scale + torch.tensor([0, 0, 4, 2, -3.0])


def test_registered():
    assert get_box_type('rbox')[1] is RotatedBoxes and get_box_type('qbox')[1] is QuadriBoxes


def test_conversions():
    rotated = RotatedBoxes([[50.0, 40, 20, 10, math.pi / 2], [50, 40, 20, 10, 0], [0, 0, 2, 2, math.pi / 4]])
    root = math.sqrt(2)
    extents = rotated.convert_to('hbox').tensor
    torch.testing.assert_close(extents, torch.tensor([[45, 30, 55, 50], [40, 35, 60, 45], [-root, -root, root, root]]))
    # clockwise with y downwards: the upper left corner of a box turned by a quarter is at the upper right
    corners = rotated.convert_to('qbox').tensor[:2]
    torch.testing.assert_close(corners[0], torch.tensor([55.0, 30, 55, 50, 45, 50, 45, 30]))
    torch.testing.assert_close(corners[1], torch.tensor([40.0, 35, 60, 35, 60, 45, 40, 45]))
    torch.testing.assert_close(QuadriBoxes(corners).convert_to('hbox').tensor, extents[:2])
    torch.testing.assert_close(
        HorizontalBoxes(extents[:2]).convert_to('rbox').tensor,
        torch.tensor([[50.0, 40, 10, 20, 0], [50, 40, 20, 10, 0]]),
    )
    torch.testing.assert_close(HorizontalBoxes(extents[1:2]).convert_to('qbox').tensor, corners[1:])

    there = convert_box_type(RotatedBoxes(boxes()), dst_type='qbox')
    back = there.convert_to('rbox')
    assert box_iou_rotated(boxes(), back.tensor, aligned=True).min() > 0.9999
    torch.testing.assert_close(there.areas, back.areas, rtol=1e-3, atol=1e-2)
    for kind in ('hbox', 'qbox'):
        assert RotatedBoxes(torch.zeros(0, 5)).convert_to(kind).tensor.shape[0] == 0
    assert QuadriBoxes(torch.zeros(0, 8)).convert_to('rbox').tensor.shape == (0, 5)


@pytest.mark.parametrize('pattern, start, width_first', [('le90', -90, True), ('le135', -45, True), ('oc', -90, False)])
def test_regularize(pattern, start, width_first):
    regular = RotatedBoxes(boxes()).regularize_boxes(pattern)
    assert box_iou_rotated(boxes(), regular, aligned=True).min() > 0.9999
    degrees = regular[:, 4] * 180 / math.pi
    assert (degrees >= start - 1e-3).all() and (degrees < start + (180 if width_first else 90)).all()
    if width_first:
        assert (regular[:, 2] >= regular[:, 3]).all()
    table = {
        'le90': [[9.0, 9, 4, 2, -math.pi / 2], [9, 9, 4, 2, 0.5]],
        'le135': [[9.0, 9, 4, 2, math.pi / 2], [9, 9, 4, 2, 0.5]],
        'oc': [[9.0, 9, 4, 2, -math.pi / 2], [9, 9, 2, 4, 0.5 - math.pi / 2]],
    }
    found = RotatedBoxes([[9.0, 9, 2, 4, 0], [9, 9, 4, 2, 0.5 + math.pi]]).regularize_boxes(pattern)
    if pattern == 'oc':
        found[0] = RotatedBoxes([[9.0, 9, 2, 4, 0]]).regularize_boxes(pattern)[0]
    torch.testing.assert_close(found, torch.tensor(table[pattern]), rtol=0, atol=1e-5)


def test_regularize_unknown():
    assert RotatedBoxes(boxes()).regularize_boxes() is not None
    with pytest.raises(ValueError, match='allowed are'):
        RotatedBoxes(boxes()).regularize_boxes('le180')


MOVES = {
    'horizontal flip': (lambda b: b.flip_((100, 200)), lambda p: torch.stack((200 - p[..., 0], p[..., 1]), -1)),
    'vertical flip': (
        lambda b: b.flip_((100, 200), 'vertical'),
        lambda p: torch.stack((p[..., 0], 100 - p[..., 1]), -1),
    ),
    'diagonal flip': (lambda b: b.flip_((100, 200), 'diagonal'), lambda p: torch.tensor([200.0, 100]) - p),
    'translation': (lambda b: b.translate_((3, -4)), lambda p: p + torch.tensor([3.0, -4])),
    'quarter turn': (
        lambda b: b.rotate_((10, 20), 90),
        lambda p: torch.stack((10 - (p[..., 1] - 20), 20 + (p[..., 0] - 10)), -1),
    ),
    'scale': (lambda b: b.rescale_((1.5, 1.5)), lambda p: p * 1.5),
    'projection': (
        lambda b: b.project_(torch.tensor([[0.0, -2, 5], [2, 0, 7], [0, 0, 1]])),
        lambda p: torch.stack((5 - 2 * p[..., 1], 7 + 2 * p[..., 0]), -1),
    ),
}


@pytest.mark.parametrize('name', MOVES)
@pytest.mark.parametrize('kind', [RotatedBoxes, QuadriBoxes])
def test_moves(name, kind):
    """Boxes move as the points of their corners do."""
    move, move_points = MOVES[name]
    moved = RotatedBoxes(boxes()).convert_to('rbox' if kind is RotatedBoxes else 'qbox')
    points = move_points(moved.corners())
    move(moved)
    wanted = QuadriBoxes(points.flatten(-2))
    assert moved.overlaps(moved, wanted, is_aligned=True).min() > 0.9995
    torch.testing.assert_close(moved.centers, wanted.centers, rtol=1e-4, atol=1e-3)


def test_stretching():
    rotated = RotatedBoxes([[10.0, 20, 8, 4, 0], [10, 20, 8, 4, math.pi / 2], [10, 20, 8, 4, math.pi / 4]])
    rotated.rescale_((2, 1))
    side = math.sqrt(2.5)
    # the sides are as long as the stretched sides, the angle is that of the stretched height
    wanted = [[20.0, 20, 16, 4, 0], [20, 20, 8, 8, math.pi / 2], [20, 20, 8 * side, 4 * side, math.atan(2)]]
    torch.testing.assert_close(rotated.tensor, torch.tensor(wanted))
    rotated.resize_((0.5, 0.5))
    assert rotated.centers.tolist() == [[20, 20]] * 3
    torch.testing.assert_close(rotated.widths, torch.tensor([8, 4, 4 * side]))


@pytest.mark.parametrize('kind', ['rbox', 'qbox'])
def test_places(kind):
    rotated = RotatedBoxes([[0.0, 0, 20, 10, 0], [205, 50, 20, 10, 1], [100, 50, 20, 10, math.pi / 2]]).convert_to(kind)
    before = rotated.tensor.clone()
    rotated.clip_((100, 200))
    assert torch.equal(rotated.tensor, before)
    assert rotated.is_inside((100, 200)).tolist() == [True, False, True]
    assert rotated.is_inside((100, 200), allowed_border=6).all()
    points = torch.tensor([[9.0, 0], [100, 59], [109, 50]])
    assert rotated.find_inside_points(points).tolist() == [[True, False, False], [False, False, True], [False] * 3]
    assert rotated.find_inside_points(points, is_aligned=True).tolist() == [True, False, False]
