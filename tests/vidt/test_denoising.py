"""Queries that begin at noised boxes: what they are, that they train, that the others know nothing of them."""

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_overlaps

import vidt  # noqa: F401  registers the detector
from tests.vidt.test_criterion import plain_losses
from vidt.losses.criterion import ViDTCriterion
from vidt.models.denoising import NoisedQueries, make_noised_queries

TARGETS = [
    {'labels': torch.tensor([2, 0]), 'boxes': torch.tensor([[0.3, 0.4, 0.2, 0.3], [0.7, 0.6, 0.4, 0.2]])},
    {'labels': torch.tensor([1]), 'boxes': torch.tensor([[0.5, 0.5, 0.3, 0.3]])},
]
NONE = {'labels': torch.zeros(0, dtype=torch.int64), 'boxes': torch.zeros(0, 4)}
IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def small_detector(**options):
    torch.manual_seed(0)
    backbone = {
        'type': 'SwinWithRAM',
        'arch': {'embed_dims': 16, 'depths': (1, 1, 1, 1), 'num_heads': (1, 2, 4, 8)},
        'num_det_tokens': 10,
    }
    config = {'type': 'ViDT', 'backbone': backbone, 'num_classes': 3, 'num_decoder_layers': 2, **options}
    return MODELS.build({**config, 'criterion': {'type': 'ViDTCriterion', 'num_classes': 3}})


def draw(targets, groups=40, number=160):
    torch.manual_seed(0)
    tokens = torch.randn(len(targets), number, 8)
    return tokens, make_noised_queries(tokens, torch.randn(1, number, 8), targets, groups)


def test_a_group_has_each_object_once_and_as_many_boxes_of_none():
    tokens, queries = draw(TARGETS)
    assert queries.objects.view(2, 40, 4).tolist() == [[[0, 1, -1, -1]] * 40, [[0, -1, -1, -1]] * 40]
    chosen = (queries.tokens[0, :4, None] == tokens[0]).all(-1)
    assert chosen.sum(1).tolist() == [1] * 4 and chosen.sum(0).max() == 1  # tokens of this image, no two the same
    boxes = queries.boxes
    assert boxes.min() >= 0 and boxes.max() <= 1 and (boxes[..., 2:] > 0).all()


def test_boxes_that_are_to_give_an_object_lie_nearer_to_it():
    _, queries = draw(TARGETS)
    boxes = bbox_cxcywh_to_xyxy(queries.boxes[0].view(40, 4, 4))
    objects = bbox_cxcywh_to_xyxy(TARGETS[0]['boxes'])
    overlaps = [bbox_overlaps(boxes[:, slot], objects[slot % 2][None])[:, 0] for slot in range(4)]
    assert all(overlap.std() > 0.05 for overlap in overlaps)  # each time another box
    assert min(overlap.mean() for overlap in overlaps[:2]) > 2 * max(overlap.mean() for overlap in overlaps[2:])


def test_no_objects_and_more_objects_than_tokens():
    assert draw([NONE, NONE])[1] is None
    assert draw(TARGETS, 40, 159)[1].groups == 39  # no more queries than tokens
    crowd = {'labels': torch.zeros(12, dtype=torch.int64), 'boxes': torch.full((12, 4), 0.5)}
    assert draw([crowd], 3, 10)[1].objects.tolist() == [list(range(10))]
    some = {name: values[:7] for name, values in crowd.items()}
    assert draw([some], 3, 10)[1].objects.tolist() == [[*range(7), -1, -1, -1]]


@pytest.mark.parametrize('training', [False, True])
def test_the_other_queries_know_nothing_of_them(training):
    plain, model = small_detector().train(training), small_detector(denoising_groups=3).train(training)
    assert plain.state_dict().keys() == model.state_dict().keys()
    outputs = []
    for detector in (plain, model):
        torch.manual_seed(1)
        outputs.append(detector.forward_levels(IMAGES, targets=TARGETS))
    noised = outputs[1].pop('noised')
    assert noised['pred_logits'].shape == (2, 2, 8, 3)  # 2 groups, as 10 tokens are too few for 3
    for mine, wanted in zip([outputs[1], *outputs[1]['aux']], [outputs[0], *outputs[0]['aux']]):
        assert torch.equal(mine['pred_logits'], wanted['pred_logits'])
        assert torch.equal(mine['pred_boxes'], wanted['pred_boxes'])
    assert 'noised' not in model.forward_levels(IMAGES)


def test_groups_know_nothing_of_each_other():
    model = small_detector().eval()
    seen = {}
    model.transformer.decoder.layers[0].register_forward_pre_hook(lambda _, inputs: seen.update(memory=inputs[3]))
    model.forward_levels(IMAGES)
    torch.manual_seed(0)
    queries = NoisedQueries(
        torch.randn(2, 6, 256), torch.randn(2, 6, 256), torch.rand(2, 6, 4), torch.zeros(2, 6, dtype=torch.int64), 2
    )
    changed = queries._replace(tokens=queries.tokens.clone())
    changed.tokens[:, 4] += 1
    before, after = (
        model.transformer.denoise(part, seen['memory'], model.bbox_embed)[0][-1] for part in (queries, changed)
    )
    difference = (after - before).abs().amax((0, 2))
    assert difference[:3].max() < 1e-5 and difference[3:].min() > 1e-3


def test_their_losses_are_those_of_their_objects():
    torch.manual_seed(0)
    noised = {
        'pred_logits': torch.randn(3, 2, 4, 5),
        'pred_boxes': torch.rand(3, 2, 4, 4) / 2 + 0.1,
        'objects': torch.tensor([[0, 1, 1, -1], [0, -1, -1, 0]]),
        'groups': 2,
    }
    outputs = {'pred_logits': torch.randn(2, 6, 5), 'pred_boxes': torch.rand(2, 6, 4), 'aux': []}
    criterion = ViDTCriterion(5)
    losses = criterion({**outputs, 'noised': noised}, TARGETS)
    matches = [(torch.tensor([0, 1, 2]), torch.tensor([0, 1, 1])), (torch.tensor([0, 3]), torch.tensor([0, 0]))]
    for name in ('loss_ce', 'loss_bbox', 'loss_giou'):
        levels = [
            {'pred_logits': x, 'pred_boxes': y, 'pred_ious': torch.zeros(2, 4, 1)}
            for x, y in zip(noised['pred_logits'], noised['pred_boxes'])
        ]
        wanted = sum(plain_losses(level, matches, TARGETS, 5)[name] for level in levels) / 2
        torch.testing.assert_close(losses[f'{name}_denoising'], wanted)
    weights = criterion.weights(losses)
    assert weights['loss_giou_denoising'] == weights['loss_giou']
    alone = criterion(outputs, TARGETS)
    assert all(torch.equal(losses[name], value) for name, value in alone.items())


def test_they_train_what_the_other_queries_use():
    model = small_detector(denoising_groups=2).train()
    outputs = model.forward_levels(IMAGES, targets=TARGETS)
    losses = model.criterion({**outputs}, TARGETS)
    sum(value for name, value in losses.items() if name.endswith('_denoising')).backward()
    for name in ('class_embed.1.weight', 'bbox_embed.2.layers.2.weight', 'tgt_proj.0.weight', 'input_proj.1.0.weight'):
        assert model.get_parameter(name).grad.abs().max() > 0, name


def test_they_need_layers_that_correct_boxes():
    model = small_detector(denoising_groups=1, box_refine=False)
    assert 'noised' not in model.forward_levels(IMAGES, targets=TARGETS)


@pytest.mark.parametrize('dropout', [None, 0.0])
def test_without_dropout_a_training_is_not_random(dropout):
    model = small_detector(**({} if dropout is None else {'dropout': dropout})).train()
    first, second = (model.forward_levels(IMAGES)['pred_logits'] for _ in range(2))
    assert torch.equal(first, second) == (dropout == 0.0)
