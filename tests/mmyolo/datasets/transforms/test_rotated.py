"""Transforms of rotated boxes, against the pixels of marked points."""

import math

import numpy as np
import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes

import mmyolo.datasets.transforms  # noqa: F401  (registers the names)
from mmyolo.datasets.transforms import Mosaic, RandomFlip, RegularizeRotatedBox, YOLOv5MixUp
from mmyolo.registry import TRANSFORMS
from mmyolo.standins.mmrotate.structures import QuadriBoxes, RotatedBoxes
from mmyolo.standins.mmrotate.transforms import ConvertBoxType, RandomRotate, Rotate


def results(boxes=((40.0, 30, 20, 10, 0.4), (90, 60, 16, 8, -0.7)), size=(120, 100)):
    """An image with a bright spot in the middle of each box."""
    image = np.zeros((size[1], size[0], 3), np.uint8)
    for x, y, *_ in boxes:
        image[int(y) - 2 : int(y) + 2, int(x) - 2 : int(x) + 2] = 255
    return {
        'img': image,
        'img_shape': image.shape[:2],
        'gt_bboxes': RotatedBoxes(torch.tensor(boxes).reshape(-1, 5)),
        'gt_bboxes_labels': np.arange(len(boxes)),
        'gt_ignore_flags': np.zeros(len(boxes), bool),
    }


def assert_spots(found, count=None):
    boxes = found['gt_bboxes']
    assert isinstance(boxes, RotatedBoxes)
    assert count is None or len(boxes) == count
    assert len(boxes) == len(found['gt_bboxes_labels']) == len(found['gt_ignore_flags'])
    height, width = found['img'].shape[:2]
    for x, y in boxes.centers.tolist():
        if 2 < x < width - 2 and 2 < y < height - 2:
            assert found['img'][int(y - 0.5) : int(y + 0.5) + 1, int(x - 0.5) : int(x + 0.5) + 1].max() > 120


def test_names():
    for name in ('ConvertBoxType', 'Rotate', 'RandomRotate'):
        assert TRANSFORMS.get(f'mmrotate.{name}') is globals()[name]
    assert TRANSFORMS.get('RegularizeRotatedBox') is RegularizeRotatedBox


def test_regularize_and_convert():
    given = {'gt_bboxes': QuadriBoxes([[5.0, 0, 5, 10, 0, 10, 0, 0]])}
    found = ConvertBoxType({'gt_bboxes': 'rbox', 'absent': 'rbox'})(given)
    found = RegularizeRotatedBox('le90')(found)
    torch.testing.assert_close(found['gt_bboxes'].tensor, torch.tensor([[2.5, 5, 10, 5, -math.pi / 2]]))
    with pytest.raises(AssertionError, match='RotatedBoxes'):
        RegularizeRotatedBox()({'gt_bboxes': HorizontalBoxes([[0.0, 0, 1, 1]])})
    with pytest.raises(AssertionError, match='box_type'):
        ConvertBoxType({'gt_bboxes': 'rbox'})({'gt_bboxes': np.zeros((0, 4))})


@pytest.mark.parametrize('angle', [0, 10, 90, -90, 180, -37.5])
def test_rotate(angle):
    found = Rotate(angle)(results())
    assert_spots(found)
    assert found['img'].shape == (100, 120, 3)
    x, y = 90 - 60, 60 - 50
    turn = math.radians(angle)
    wanted = (60 + x * math.cos(turn) - y * math.sin(turn), 50 + x * math.sin(turn) + y * math.cos(turn))
    if 0 < wanted[0] < 120 and 0 < wanted[1] < 100:
        assert found['gt_bboxes_labels'][-1] == 1
        np.testing.assert_allclose(found['gt_bboxes'].centers[-1], wanted, atol=1e-3)
        assert found['gt_bboxes'].angles[-1].item() == pytest.approx(turn - 0.7, abs=1e-5)


def test_rotate_drops_what_leaves():
    found = Rotate(90, img_border_value=(1, 2, 3))(results(((10.0, 50, 8, 4, 0), (60, 50, 8, 4, 0))))
    assert found['gt_bboxes_labels'].tolist() == [0, 1]
    assert found['gt_bboxes'].centers.tolist()[0] == pytest.approx([60, 0])
    found = Rotate(90)(results(((5.0, 50, 8, 4, 0), (60, 50, 8, 4, 0))))
    assert found['gt_bboxes_labels'].tolist() == [1]
    assert Rotate(33)(results(()))['gt_bboxes'].tensor.shape == (0, 5)
    found = Rotate(45, img_border_value=(1, 2, 3))(results(()))
    assert found['img'][0, 0].tolist() == [1, 2, 3]


def test_random_rotate():
    np.random.seed(0)
    transform = RandomRotate(prob=0.5, angle_range=30, rect_obj_labels=[9, 11], rotate_type='mmrotate.Rotate')
    angles = []
    for _ in range(60):
        found = transform(results())
        assert_spots(found)
        turned = found['gt_bboxes'].angles - torch.tensor([0.4, -0.7])[found['gt_bboxes_labels']]
        angles += (turned * 180 / math.pi).tolist()
    assert 0.2 < np.mean(np.abs(angles) < 1e-3) < 0.8
    assert -30 <= min(angles) < -15 and 15 < max(angles) <= 30.001

    always, angles = RandomRotate(prob=1, angle_range=30, rect_obj_labels=[1], rotate_type='Rotate'), set()
    for _ in range(40):
        always(results())
        angles.add(always.rotate.rotate_angle)
    assert angles == {90, 180, -90, -180}
    with pytest.raises(AssertionError):
        RandomRotate(angle_range=200)


@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
def test_flip(direction):
    found = RandomFlip(prob=1.0, direction=direction)(results())
    assert_spots(found, 2)
    sign = 1 if direction == 'diagonal' else -1
    torch.testing.assert_close(found['gt_bboxes'].angles, torch.tensor([0.4, -0.7]) * sign)


def test_resize_crop_pad():
    np.random.seed(0)
    for step in (
        {'type': 'mmdet.Resize', 'scale': (240, 200), 'keep_ratio': True},
        {'type': 'mmdet.RandomCrop', 'crop_size': (80, 80)},
        {'type': 'mmdet.Pad', 'size': (150, 150)},
    ):
        found = TRANSFORMS.build(step)(results())
        assert_spots(found)
        if 'scale' in step:
            torch.testing.assert_close(found['gt_bboxes'].tensor[0], torch.tensor([80, 60, 40, 20, 0.4]))


@pytest.mark.parametrize('empty', [False, True])
def test_mixes(empty):
    np.random.seed(0)
    boxes = () if empty else ((40.0, 30, 20, 10, 0.4),)
    for transform, count in ((Mosaic(img_scale=(120, 100), use_cached=True), 4), (YOLOv5MixUp(use_cached=True), 2)):
        for _ in range(6):
            found = transform(results(boxes))
        assert_spots(found, 0 if empty else count)
        if not empty:
            torch.testing.assert_close(found['gt_bboxes'].angles, torch.full((count,), 0.4))
