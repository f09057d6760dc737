"""Costs and assignments."""

import itertools

import pytest
import torch

from vidt.losses.matcher import HungarianMatcher


def test_costs_by_hand():
    logits = torch.tensor([[[0.0, 2.0]]])  # one level, one query
    boxes = torch.tensor([[[0.5, 0.5, 0.2, 0.2]]])
    objects = torch.tensor([[0.5, 0.5, 0.4, 0.2], [0.1, 0.5, 0.2, 0.2]])
    cost = HungarianMatcher().cost(logits, boxes, torch.tensor([0, 1]), objects)
    # sigmoid 0.5 and 0.880797; the focal cost is 0.25 (1 - p)^2 (-ln p) - 0.75 p^2 (-ln(1 - p))
    first = 2 * -0.0866434 + 5 * 0.2 - 2 * 0.5
    second = 2 * -1.237112 + 5 * 0.4 - 2 * (0 - 0.02 / 0.12 / 1 * (0.12 - 0.08) / 0.02)
    assert cost.shape == (1, 1, 2)
    assert cost[0, 0].tolist() == pytest.approx([first, second], abs=1e-5)
    with_background = HungarianMatcher(background=True).cost(logits, boxes, torch.tensor([0]), objects[:1])
    assert float(with_background) == pytest.approx(2 * -0.119203 + 5 * 0.2 - 2 * 0.5, abs=1e-5)


def seeded(levels, images, queries, counts, classes=5):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(levels, images, queries, classes, generator=generator)
    boxes = torch.rand(levels, images, queries, 4, generator=generator) * 0.5 + 0.2
    targets = [
        {
            'labels': torch.randint(classes, (count,), generator=generator),
            'boxes': torch.rand(count, 4, generator=generator) * 0.5 + 0.2,
        }
        for count in counts
    ]
    return logits, boxes, targets


def test_assignment_is_the_cheapest_of_each_level_and_image():
    matcher = HungarianMatcher()
    logits, boxes, targets = seeded(2, 3, 5, (3, 0, 2))
    matches = matcher(logits, boxes, targets)
    assert [len(level) for level in matches] == [3, 3]
    for level, image in itertools.product(range(2), range(3)):
        queries, objects = matches[level][image]
        target = targets[image]
        count = len(target['labels'])
        assert queries.tolist() == sorted(set(queries.tolist()))
        assert sorted(objects.tolist()) == list(range(count))
        if not count:
            continue
        cost = matcher.cost(logits[:, image], boxes[:, image], target['labels'], target['boxes'])[level]
        least = min(sum(cost[q, o] for o, q in enumerate(p)) for p in itertools.permutations(range(5), count))
        assert float(cost[queries, objects].sum()) == pytest.approx(float(least), abs=1e-5)


def test_more_objects_than_queries():
    ((queries, objects),) = HungarianMatcher()(*seeded(1, 1, 4, (9,)))[0]
    assert queries.tolist() == [0, 1, 2, 3]
    assert len(set(objects.tolist())) == 4


@pytest.mark.parametrize('wrong', [float('nan'), float('inf')])
def test_others_are_matched_where_numbers_are_lost(wrong):
    logits, boxes, targets = seeded(1, 1, 4, (3,))
    boxes[0, 0, 2] = wrong
    ((queries, objects),) = HungarianMatcher()(logits, boxes, targets)[0]
    assert queries.tolist() == [0, 1, 3]
    ((queries, objects),) = HungarianMatcher()(logits, boxes * wrong, targets)[0]
    assert len(queries) == 3


def test_half_precision_is_left():
    logits, boxes, targets = seeded(1, 1, 6, (3,))
    with torch.autocast('cpu', torch.bfloat16):
        cost = HungarianMatcher().cost(logits[:, 0].bfloat16(), boxes[:, 0].bfloat16(), *targets[0].values())
    assert cost.dtype == torch.float32
