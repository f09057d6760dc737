"""Suppression held against its definition, candidate by candidate in plain Python."""

import numpy as np
import pytest
import torch

import mmyolo.standins.mmcv.nms as ops
from mmyolo.standins.mmcv import batched_nms

SMALL = {'BLOCK': 3, 'FIRST_CHUNK': 2, 'HEAD': 4, 'MANY': 8, 'PAIRS_ON_CPU': 16}


def overlap(a: np.ndarray, b: np.ndarray) -> np.float32:
    width = max(min(a[2], b[2]) - max(a[0], b[0]), np.float32(0))
    height = max(min(a[3], b[3]) - max(a[1], b[1]), np.float32(0))
    if width * height == 0:
        return np.float32(0)
    return width * height / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height)


def greedy(case: dict) -> list:
    """The definition: best score first, then lowest index; out goes what overlaps a kept one of its class too much."""
    boxes, kept = case['boxes'].numpy(), []
    for image in range(case['num_images']):
        order = sorted((-float(score), i) for i, score in enumerate(case['scores']) if case['image_ids'][i] == image)
        order = order[: case['nms_pre']] if case['nms_pre'] >= 0 else order
        mine = []
        for _, i in order:
            rivals = [j for j in mine if case['class_agnostic'] or case['labels'][i] == case['labels'][j]]
            if all(overlap(boxes[i], boxes[j]) <= np.float32(case['iou_threshold']) for j in rivals):
                mine.append(i)
        kept.append(mine[: case['max_per_img']] if case['max_per_img'] >= 0 else mine)
    return kept


def random_case(seed: int) -> dict:
    """Few places, sizes and scores, so that there are duplicates, ties, boxes without area and swapped corners."""
    rng = np.random.default_rng(seed)
    count, num_images = int(rng.integers(0, 50)), int(rng.integers(1, 4))
    corner = rng.integers(0, 20, (count, 2)).astype(np.float32)
    if seed % 2:
        corner += rng.random((count, 2), dtype=np.float32)
    size = rng.integers(-1, 12, (count, 2)).astype(np.float32)
    image_ids = rng.integers(0, num_images, count)
    return {
        'boxes': torch.from_numpy(np.concatenate([corner, corner + size], axis=1)),
        'scores': torch.from_numpy((rng.integers(0, 10, count) / 10).astype(np.float32)),
        'labels': torch.from_numpy(rng.integers(0, 3, count)),
        'image_ids': torch.from_numpy(np.sort(image_ids) if seed % 3 else image_ids),
        'num_images': num_images,
        'iou_threshold': float(rng.choice([0.0, 0.25, 0.5, 0.65, 1.0])),
        'max_per_img': int(rng.choice([-1, 0, 1, 5, 300])),
        'nms_pre': int(rng.choice([-1, 0, 1, 20])),
        'class_agnostic': bool(rng.integers(2)),
    }


def as_on_a_device(case: dict) -> list:
    """The way that is taken where all images are worked on at once."""
    columns = ops._columns(case['boxes'], None if case['class_agnostic'] else case['labels'])
    ranking = ops._rank_together(case['scores'], case['image_ids'], case['num_images'], case['nms_pre'])
    return ops._suppress(columns, [ranking], case['iou_threshold'], case['max_per_img'])


@pytest.mark.parametrize('constants', [{}, SMALL], ids=['usual blocks', 'small blocks'])
def test_batched_nms_equals_the_definition(constants, monkeypatch):
    for name, value in constants.items():
        monkeypatch.setattr(ops, name, value)
    kept = 0
    for seed in range(300):
        case = random_case(seed)
        wanted = greedy(case)
        assert [rows.tolist() for rows in batched_nms(**case)] == wanted, seed
        assert [rows.tolist() for rows in as_on_a_device(case)] == wanted, seed
        kept += sum(map(len, wanted))
    assert kept > 1000


def test_ties_keep_the_lower_index():
    boxes, zeros = torch.tensor([[0.0, 0.0, 10.0, 10.0]]).repeat(4, 1), torch.zeros(4, dtype=torch.int64)
    kept = batched_nms(boxes, torch.full((4,), 0.5), torch.tensor([0, 1, 0, 1]), zeros, 1, 0.5)
    assert kept[0].tolist() == [0, 1]


def test_threshold_itself_does_not_suppress():
    boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 2.0]])
    scores, zeros = torch.tensor([0.9, 0.8]), torch.zeros(2, dtype=torch.int64)
    assert batched_nms(boxes, scores, zeros, zeros, 1, 0.5)[0].tolist() == [0, 1]
    assert batched_nms(boxes, scores, zeros, zeros, 1, 0.49)[0].tolist() == [0]


def test_a_chain_of_overlaps_is_resolved_one_after_another():
    left = torch.arange(200.0)
    boxes = torch.stack([left, torch.zeros(200), left + 2, torch.ones(200)], dim=1)  # IoU 1/3 with the next, else 0
    zeros = torch.zeros(200, dtype=torch.int64)
    kept = batched_nms(boxes, torch.linspace(1, 0.5, 200), zeros, zeros, 1, 0.3)
    assert kept[0].tolist() == list(range(0, 200, 2))


@pytest.mark.parametrize('num_images', [0, 1, 3])
def test_no_candidates(num_images):
    none = torch.zeros(0, dtype=torch.int64)
    kept = batched_nms(torch.zeros(0, 4), torch.zeros(0), none, none, num_images, 0.5, 300)
    assert [len(rows) for rows in kept] == [0] * num_images
    assert all(rows.dtype == torch.int64 for rows in kept)


def test_images_without_candidates_and_images_with_many():
    case = random_case(1)
    boxes = torch.rand(3000, 4, generator=torch.Generator().manual_seed(0)) * 100
    boxes[:, 2:] += boxes[:, :2]
    image_ids = torch.tensor([1] * 2990 + [3] * 10)
    case.update(
        boxes=boxes,
        scores=torch.linspace(1, 0, 3000),
        labels=torch.zeros(3000, dtype=torch.int64),
        image_ids=image_ids,
        num_images=4,
        iou_threshold=0.5,
        max_per_img=20,
        nms_pre=-1,
    )
    kept = batched_nms(**case)
    assert [len(rows) for rows in kept][:3] == [0, 20, 0]
    for one, other in zip(kept, as_on_a_device(case)):
        assert torch.equal(one, other)


def test_large_labels_and_coordinates_stay_apart():
    boxes = torch.tensor([[9000.0, 9000.0, 9100.0, 9100.0]]).repeat(3, 1)
    labels = torch.tensor([20000, 20001, 20000])
    kept = batched_nms(boxes, torch.tensor([0.5, 0.6, 0.4]), labels, torch.zeros(3, dtype=torch.int64), 1, 0.5)
    assert kept[0].tolist() == [1, 0]


@pytest.mark.parametrize('side', [float('inf'), float('-inf'), float('nan')])
def test_a_box_without_bounds_changes_nothing_for_others(side):
    case = dict(random_case(1), iou_threshold=0.25, max_per_img=-1, nms_pre=-1, class_agnostic=False)
    expected = batched_nms(**case)
    broken = dict(case, boxes=torch.cat([case['boxes'], torch.tensor([[0.0, 0.0, side, 3.0]])]))
    for key, value in (('scores', 2.0), ('labels', 1), ('image_ids', 0)):
        broken[key] = torch.cat([case[key], torch.tensor([value]).to(case[key])])
    rest = [[index for index in kept.tolist() if index < len(case['boxes'])] for kept in batched_nms(**broken)]
    assert len(case['boxes']) > 10 and rest[1:] == [kept.tolist() for kept in expected[1:]]
    assert side > 0 or rest == [kept.tolist() for kept in expected]  # an endless box may suppress some of its class


def test_without_a_limit_classes_are_not_compared_with_each_other(monkeypatch):
    count, classes, pairs = 5000, 50, []
    iou = ops._iou

    def counting_iou(first, second):
        pairs.append(first[0].numel() * second.shape[-1])
        return iou(first, second)

    monkeypatch.setattr(ops, '_iou', counting_iou)
    corner = torch.arange(count)[:, None] * 10.0
    boxes = torch.cat([corner, corner, corner + 5, corner + 5], dim=1)
    labels, zeros = torch.arange(count) % classes, torch.zeros(count, dtype=torch.int64)
    assert len(batched_nms(boxes, torch.rand(count), labels, zeros, 1, 0.5)[0]) == count
    assert sum(pairs) < 2 * count * count / classes


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64, torch.int64])
def test_other_number_types(dtype):
    boxes = torch.tensor([[0, 0, 300, 300], [0, 0, 300, 290], [400, 0, 500, 90]], dtype=dtype)
    zeros = torch.zeros(3, dtype=torch.int64)
    assert batched_nms(boxes, torch.tensor([0.5, 0.6, 0.4]), zeros, zeros, 1, 0.65)[0].tolist() == [1, 2]


def test_nothing_needs_a_gradient():
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]], requires_grad=True)
    zeros = torch.zeros(1, dtype=torch.int64)
    assert batched_nms(boxes * 2, torch.ones(1, requires_grad=True) * 2, zeros, zeros, 1, 0.5)[0].tolist() == [0]


def test_pairwise_iou():
    first = torch.tensor([[0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 1.0, 1.0]])
    second = torch.tensor([[1.0, 0.0, 3.0, 2.0], [0.0, 0.0, 2.0, 2.0], [5.0, 5.0, 6.0, 6.0]])
    assert torch.allclose(ops.pairwise_iou(first, second), torch.tensor([[1 / 3, 1, 0], [0, 0, 0]]))
