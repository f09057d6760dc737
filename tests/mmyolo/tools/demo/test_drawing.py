"""Pictures of predictions."""

import math

import numpy as np
import torch
from mmengine.structures import InstanceData

from mmyolo.tools.demo.drawing import class_colours, draw_instances

RED = (255, 0, 0)


def instances(boxes, **fields):
    count = len(boxes)
    return InstanceData(
        bboxes=torch.tensor(boxes),
        labels=torch.zeros(count, dtype=torch.long),
        scores=torch.full((count,), 0.5),
        **fields,
    )


def where(picture, colour=RED):
    """Rows and columns that hold a colour: first and last of each."""
    rows, columns = np.nonzero((picture == colour).all(2))
    return rows.min(), rows.max(), columns.min(), columns.max()


def test_box_and_label_above_it():
    image = np.zeros((200, 300, 3), np.uint8)
    picture = draw_instances(image, instances([[50.0, 100, 90, 150]]), ['x'], [RED], line_width=1)
    assert image.max() == 0
    top, bottom, left, right = where(picture)
    assert (bottom, left) == (150, 50) and 80 < top < 95
    assert (picture[101:150, 51:90] == 0).all()  # nothing covers the object
    assert (picture[100, 50:91] == RED).all() and (picture[100:151, 90] == RED).all()


def test_label_below_a_box_at_the_top():
    picture = draw_instances(np.zeros((200, 300, 3), np.uint8), instances([[50.0, 0, 90, 40]]), ['x'], [RED])
    assert where(picture)[1] > 45
    assert (picture[5:38, 55:85] == 0).all()


def test_no_boxes():
    image = np.full((20, 30, 3), 7, np.uint8)
    nothing = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    assert (draw_instances(image, nothing, ['x'], [RED]) == image).all()


def test_rotated_box():
    picture = draw_instances(
        np.zeros((200, 200, 3), np.uint8), instances([[100.0, 100, 80, 20, math.pi / 2]]), ['x'], [RED], line_width=1
    )
    top, bottom, left, right = where(picture[65:])  # below the label
    assert bottom + 65 == 140 and (left, right) == (90, 110)


def test_mask():
    mask = np.zeros((1, 50, 60), bool)
    mask[0, 20:30, 20:30] = True
    found = instances([[15.0, 15, 35, 35]], masks=mask)
    picture = draw_instances(np.full((50, 60, 3), 100, np.uint8), found, ['x'], [RED])
    assert picture[25, 25].tolist() == [170, 55, 55]  # 100 + 0.45 * (255 - 100), 100 - 0.45 * 100


def test_lines_and_text_grow_with_the_image():
    def rows(size):
        box = [size * 0.3, size * 0.5, size * 0.7, size * 0.9]
        picture = draw_instances(np.zeros((size, size, 3), np.uint8), instances([box]), ['x'], [RED])
        column = (picture[:, int(box[0]) + 1] == RED).all(1)
        return column[: int(box[1])].sum(), (picture[int(size * 0.7)] == RED).all(1)[: size // 2].sum()

    (small_text, small_line), (large_text, large_line) = rows(300), rows(1500)
    assert small_line == 1 and large_line in (5, 6)
    assert large_text > 2 * small_text


def test_colours():
    assert class_colours([RED], 1) == [RED]
    assert len(class_colours([RED], 5)) == 5  # a palette that is too short
    assert class_colours('coco', 2)[0] == (220, 20, 60)
    assert len(class_colours('coco', 200)) == 200
    assert class_colours('random', 3) == class_colours(None, 3)


def test_names_in_other_scripts_are_not_all_the_same_box():
    image, found = np.zeros((200, 200, 3), np.uint8), instances([[20.0, 60.0, 180.0, 180.0]])
    first, second = (draw_instances(image, found, [name], [RED]) for name in ('猫', '狗'))
    assert (first != second).any()
