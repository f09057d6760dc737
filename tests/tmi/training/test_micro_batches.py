"""A step whose images go through the network in parts: what the optimizer sees is what it sees of all at once."""

import copy

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from mmengine.structures import BaseDataElement
from torch import nn

from tests.mmyolo.models.heads import build, features
from tests.mmyolo.models.maps import TRAIN_METAS
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


@pytest.mark.parametrize('overlap', [True, False])
def test_masks_go_with_their_images_or_their_objects(overlap):
    """Also where a batch has as many objects as images; the losses of the parts are those of the images alone."""
    head = build('rtmdet_ins').train()
    head.mask_overlap = overlap
    rows = torch.tensor([[0, 1, 4, 6, 30, 40], [0, 2, 34, 10, 60, 50.0]])
    apart = torch.zeros(2, 16, 16)
    for number, (_, _, *box) in enumerate(rows.int().tolist()):
        x1, y1, x2, y2 = (side // 4 for side in box)
        apart[number, y1:y2, x1:x2] = 1
    masks = torch.stack((apart[0] + 2 * apart[1], torch.zeros(16, 16))) if overlap else apart
    samples = {'bboxes_labels': rows, 'masks': masks, 'img_metas': TRAIN_METAS}
    per_image = ('img_metas', 'masks') if overlap else ('img_metas',)
    first, second = (
        part for _, part in split_batch({'inputs': torch.zeros(2, 1), 'data_samples': samples}, 2, per_image)
    )
    one_image = [level[:1] for level in features('rtmdet_ins')]
    found = head.loss(one_image, first['data_samples'])['loss_mask']
    alone = head.loss(one_image, {**samples, 'masks': masks[:1] if overlap else masks})['loss_mask']
    assert found > 0 and found.item() == pytest.approx(alone.item())
    assert head.loss(one_image, second['data_samples'])['loss_mask'] == 0


class Overlapping(nn.Module):
    """A model with maps of numbers, which notes the masks of each step."""

    def __init__(self):
        super().__init__()
        self.mask_overlap, self.seen, self.weight = True, [], nn.Parameter(torch.ones(1))

    def data_preprocessor(self, batch, training):
        return batch

    def _run_forward(self, data, mode):
        self.seen.append(data['data_samples']['masks'].tolist())
        return {'loss': self.weight.sum()}

    def parse_losses(self, losses):
        return losses['loss'], losses


def test_the_model_says_whose_the_masks_are():
    model = Overlapping()
    samples = {'bboxes_labels': torch.zeros(2, 6), 'masks': torch.tensor([[1, 2], [0, 0]]), 'img_metas': TRAIN_METAS}
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    train_in_parts(model, {'inputs': torch.zeros(2, 1), 'data_samples': samples}, wrapper, 2)
    assert model.seen == [[[1, 2]], [[0, 0]]]


def test_lists_of_samples_are_cut_and_never_into_more_parts_than_images():
    samples = [BaseDataElement(metainfo={'id': number}) for number in range(3)]
    parts = list(split_batch({'inputs': torch.zeros(3, 1), 'data_samples': samples}, 8))
    assert [[sample.id for sample in part['data_samples']] for _, part in parts] == [[0], [1], [2]]
