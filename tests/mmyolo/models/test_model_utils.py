"""Scaling of widths and depths, padded ground truth, wrappers that note results."""

import copy

import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import InstanceData

from mmyolo.models.utils import (
    OutputSaveFunctionWrapper,
    OutputSaveObjectWrapper,
    gt_instances_preprocess,
    make_divisible,
    make_round,
)


@pytest.mark.parametrize(
    'x, factor, divisor, wanted',
    [(64, 0.25, 8, 16), (100, 1.0, 8, 104), (768, 0.75, 8, 576), (10, 0.5, 4, 8), (64, 1.25, 8, 80)],
)
def test_make_divisible(x, factor, divisor, wanted):
    assert make_divisible(x, factor, divisor) == wanted


@pytest.mark.parametrize(
    'x, factor, wanted', [(3, 0.33, 1), (9, 0.33, 3), (1, 1.33, 1), (3, 0.1, 1), (6, 1.33, 8), (5, 0.5, 2), (3, 0.5, 2)]
)
def test_make_round(x, factor, wanted):
    assert make_round(x, factor) == wanted


ROWS = torch.tensor(
    [[2.0, 5, 1, 2, 3, 4], [0, 1, 5, 6, 7, 8], [2, 3, 9, 9, 9, 9], [0, 2, 1, 1, 1, 1], [2, 4, 0, 0, 1, 1]]
)


def test_rows_are_padded_in_their_order():
    padded = gt_instances_preprocess(ROWS, 4)
    assert padded.shape == (4, 3, 5)
    assert padded[0].tolist() == [[1, 5, 6, 7, 8], [2, 1, 1, 1, 1], [0] * 5]
    assert padded[2].tolist() == [[5, 1, 2, 3, 4], [3, 9, 9, 9, 9], [4, 0, 0, 1, 1]]
    assert not padded[[1, 3]].any()


@pytest.mark.parametrize('box_dim', [4, 5])
def test_instances_give_the_same_as_rows(box_dim):
    rows = torch.rand(7, 2 + box_dim)
    rows[:, 0] = torch.tensor([0, 0, 0, 2, 2, 3, 3])
    rows[:, 1] = torch.arange(7)
    instances = [
        InstanceData(labels=rows[rows[:, 0] == i, 1].long(), bboxes=rows[rows[:, 0] == i, 2:]) for i in range(4)
    ]
    assert torch.equal(gt_instances_preprocess(instances, 4), gt_instances_preprocess(rows, 4))


def test_box_objects():
    instance = InstanceData(labels=torch.tensor([3]), bboxes=HorizontalBoxes(torch.tensor([[1.0, 2.0, 3.0, 4.0]])))
    assert gt_instances_preprocess([instance], 1).tolist() == [[[3, 1, 2, 3, 4]]]


def test_no_boxes():
    assert gt_instances_preprocess(torch.zeros(0, 6), 2).shape == (2, 0, 5)
    none = InstanceData(labels=torch.zeros(0, dtype=torch.int64), bboxes=torch.zeros(0, 4))
    assert gt_instances_preprocess([none, none], 2).shape == (2, 0, 5)


class Counter:
    start = 3

    def add(self, number):
        return self.start + number


def test_object_wrapper():
    wrapper = OutputSaveObjectWrapper(Counter())
    assert (wrapper.add(1), wrapper.add(number=2), wrapper.start) == (4, 5, 3)
    assert wrapper.log == {'add': [4, 5], 'start': [3]}
    other = copy.deepcopy(wrapper)
    assert other.obj is not wrapper.obj and not other.log
    wrapper.clear()
    assert not wrapper.log


def double(number):
    return 2 * number


def test_function_wrapper():
    with OutputSaveFunctionWrapper(double) as log:
        assert double(2) == 4
        assert double(3) == 6
    assert log == [4, 6]
    double(4)
    assert log == [4, 6]
    namespace = {'double': double}
    with OutputSaveFunctionWrapper(double, namespace) as log:
        namespace['double'](5)
        double(6)
    assert log == [10]
    with pytest.raises(ValueError, match='got list'):
        OutputSaveFunctionWrapper(double, [])


def test_function_is_put_back_after_an_error():
    with pytest.raises(RuntimeError):
        with OutputSaveFunctionWrapper(double) as log:
            raise RuntimeError
    double(1)
    assert log == []
