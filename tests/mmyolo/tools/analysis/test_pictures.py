"""Pictures: what is where, and files under their own names."""

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import InstanceData

from mmyolo.tools.analysis.pictures import CAPTION, MARGIN, Gallery, Painter, Steps, grid, write_picture


def test_painter_draws_boxes_in_the_colour_of_their_class():
    painter = Painter({'classes': ('猫', 'dog'), 'palette': [(255, 0, 0), (0, 255, 0)]})
    instances = InstanceData(
        bboxes=HorizontalBoxes(torch.tensor([[20.0, 30.0, 70.0, 80.0], [-5.0, 60.0, 10.0, 90.0]])),
        labels=torch.tensor([1, 0]),
    )
    image = np.full((100, 120, 3), 40, np.uint8)
    drawn = painter.draw(image, instances)
    assert drawn.shape == image.shape and (image == 40).all()
    right = drawn[55, 60:85].astype(int)
    assert (right[:, 1] > right[:, 0] + 100).any() and (right[:, 1] > right[:, 2] + 100).any()
    assert (drawn[75, :20, 0] > 150).any()
    assert (drawn[5, :] == 40).all()
    np.testing.assert_array_equal(painter.draw(image, InstanceData()), image)


def test_steps_are_remembered_as_they_were():

    def load(data):
        return {
            'img': np.zeros((4, 6, 3), np.uint8),
            'gt_bboxes': HorizontalBoxes(torch.ones(1, 4)),
            'gt_bboxes_labels': np.array([2]),
        }

    class Paint:
        def __call__(self, data):
            data['img'][..., 0] = 9  # blue, in place
            data['gt_bboxes'].tensor.add_(1)
            return data

    steps = Steps([load, Paint(), lambda data: {'packed': True}])
    assert steps({}) == {'packed': True}
    (first, before, boxes), (second, after, moved) = steps.recorded
    assert (first, second) == ('function', 'Paint')
    assert before.sum() == 0 and after[0, 0].tolist() == [0, 0, 9]  # RGB
    assert boxes.bboxes.tensor.tolist() == [[1, 1, 1, 1]] and moved.bboxes.tensor.tolist() == [[2, 2, 2, 2]]
    assert moved.labels.tolist() == [2]
    assert Steps([load, lambda data: None])({}) is None


def test_grid():
    shapes = (100, 1280, 3), (60, 50, 3), (9, 9, 3)
    pictures = [np.full(shape, value, np.uint8) for shape, value in zip(shapes, (10, 20, 30))]
    out = grid(pictures, ['one', 'two', 'three'])
    cell = (60 + CAPTION + MARGIN, 640 + 2 * MARGIN)
    assert out.shape == (2 * cell[0], 2 * cell[1], 3)
    assert (out[CAPTION : CAPTION + 50, MARGIN : MARGIN + 640] == 10).all()
    assert (out[CAPTION : CAPTION + 60, cell[1] + MARGIN : cell[1] + MARGIN + 50] == 20).all()
    assert (out[cell[0] + CAPTION :, cell[1] :] == 255).all()
    assert (out[:CAPTION, : cell[1]] < 100).any()  # the line


def test_files_keep_their_names(tmp_path):
    gallery = Gallery(None, str(tmp_path / 'out'), False, 0)
    for value in 10, 20, 30:
        gallery.add('图.png', np.full((3, 4, 3), value, np.uint8))
    values = {path.name: cv2.imread(str(path))[0, 0, 0] for path in (tmp_path / 'out').iterdir()}
    assert values == {'图.png': 10, '图_2.png': 20, '图_3.png': 30}
    with pytest.raises(ValueError, match='xyz'):
        write_picture(tmp_path / 'a.xyz', np.zeros((3, 4, 3), np.uint8))
