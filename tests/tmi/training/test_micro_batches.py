"""A step whose images go through the network in parts: what the optimizer sees is what it sees of all at once."""

import copy

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.structures import BaseDataElement

from tmi.training.micro_batches import split_batch, train_in_parts

from .test_compile_hook import make_batch, make_runner


def weights_after(runner, step):
    """The weights after a step, whose model is as before afterwards."""
    before = copy.deepcopy(runner.model.state_dict())
    log = step()
    after = {name: value.detach().clone() for name, value in runner.model.named_parameters()}
    change = torch.cat([(after[name] - before[name]).flatten() for name in after])
    runner.model.load_state_dict(before)
    return change, {name: float(value.detach()) for name, value in log.items()}


@pytest.mark.parametrize('name', ['yolov8_n', 'yolov5_n', 'yolox_nano'])  # sums, sums, a mean
def test_the_step_is_the_same_where_each_part_is_like_the_whole(name):
    runner = make_runner(name)
    MessageHub.get_current_instance().update_info('iter', 0)  # which YOLOX asks for
    pair = make_batch(2)
    boxes = pair['data_samples']['bboxes_labels']
    second = boxes + boxes.new_tensor([2, 0, 0, 0, 0, 0])
    batch = {'inputs': torch.cat([pair['inputs']] * 2), 'data_samples': {'bboxes_labels': torch.cat([boxes, second])}}
    whole, log = weights_after(
        runner, lambda: runner.model.train_step(copy.deepcopy(batch), optim_wrapper=runner.optim_wrapper)
    )
    parts, summed = weights_after(
        runner, lambda: train_in_parts(runner.model, copy.deepcopy(batch), runner.optim_wrapper, 2)
    )
    assert whole.norm() > 0 and (whole - parts).norm() < 1e-3 * whole.norm()
    assert summed == pytest.approx(log, rel=1e-3)
    assert runner.optim_wrapper._inner_count == 2  # a step each


def test_the_optimizer_makes_one_step_of_images_that_differ():
    runner = make_runner()
    batch, steps = make_batch(3), []
    runner.optim_wrapper.optimizer.register_step_post_hook(lambda *_: steps.append(1))
    train_in_parts(runner.model, batch, runner.optim_wrapper, 2)
    assert len(steps) == 1
    assert all(value.grad is None or not value.grad.any() for value in runner.model.parameters())


def test_rows_of_objects_go_with_their_images():
    boxes = torch.tensor([[0, 1.0], [2, 2.0], [2, 3.0], [4, 4.0]])
    samples = {
        'bboxes_labels': boxes,
        'keypoints': torch.arange(4),
        'img_metas': list('abcde'),
        'flips': torch.arange(5),
    }
    parts = list(split_batch({'inputs': torch.arange(5)[:, None], 'data_samples': samples}, 2))
    assert [share for share, _ in parts] == [0.6, 0.4]
    first, second = (part['data_samples'] for _, part in parts)
    assert first['bboxes_labels'].tolist() == [[0, 1], [2, 2], [2, 3]] and second['bboxes_labels'].tolist() == [[1, 4]]
    assert first['keypoints'].tolist() == [0, 1, 2] and second['img_metas'] == ['d', 'e']
    assert second['flips'].tolist() == [3, 4] and [len(part['inputs']) for _, part in parts] == [3, 2]
    with pytest.raises(ValueError, match='odd'):
        list(split_batch({'inputs': torch.zeros(5, 1), 'data_samples': {**samples, 'odd': [1]}}, 2))


def test_lists_of_samples_are_cut_and_never_into_more_parts_than_images():
    samples = [BaseDataElement(metainfo={'id': number}) for number in range(3)]
    parts = list(split_batch({'inputs': torch.zeros(3, 1), 'data_samples': samples}, 8))
    assert [[sample.id for sample in part['data_samples']] for _, part in parts] == [[0], [1], [2]]
