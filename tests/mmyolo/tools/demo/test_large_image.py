"""Patches of large images: where they lie, and how their predictions are moved and merged."""

import math

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmyolo.tools.demo.large_image import merge_results_by_nms, shift_predictions, shift_rbboxes, slice_windows


def sample(boxes, scores=None, labels=None, **more):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, more.pop('dim', 4))
    scores = torch.ones(len(boxes)) if scores is None else torch.tensor(scores)
    labels = torch.zeros(len(boxes), dtype=torch.long) if labels is None else torch.tensor(labels)
    return DetDataSample(
        metainfo={'ori_shape': (100, 100)},
        pred_instances=InstanceData(bboxes=boxes, scores=scores, labels=labels, **more),
    )


@pytest.mark.parametrize(
    'height, width, size, ratio, expected',
    [
        (100, 100, 100, 0.25, [(0, 0, 100, 100)]),
        (60, 80, 100, 0.25, [(0, 0, 80, 60)]),
        (100, 200, 100, 0.0, [(0, 0, 100, 100), (100, 0, 200, 100)]),
        (100, 230, 100, 0.25, [(0, 0, 100, 100), (75, 0, 175, 100), (130, 0, 230, 100)]),
        (175, 101, 100, 0.25, [(0, 0, 100, 100), (1, 0, 101, 100), (0, 75, 100, 175), (1, 75, 101, 175)]),
        (50, 130, 100, 0.333, [(0, 0, 100, 50), (30, 0, 130, 50)]),
    ],
)
def test_windows(height, width, size, ratio, expected):
    assert slice_windows(height, width, size, ratio) == expected


def naive_windows(height, width, size, ratio):
    """The rule in words: step until an edge is reached, and shift what reaches past it back."""
    windows, step, y = [], size - int(ratio * size), 0
    while True:
        x, bottom = 0, min(y + size, height)
        while True:
            right = min(x + size, width)
            windows.append((max(right - size, 0), max(bottom - size, 0), right, bottom))
            if x + size >= width:
                break
            x += step
        if y + size >= height:
            return windows
        y += step


def test_windows_equal_the_rule():
    cases = [(1500, 2400, 640, 0.25), (641, 640, 640, 0.5), (333, 1000, 97, 0.1), (7, 9, 3, 0)]
    for height, width, size, ratio in cases:
        assert slice_windows(height, width, size, ratio) == naive_windows(height, width, size, ratio)


@pytest.mark.parametrize('arguments', [(0, 5, 5, 0.1), (5, 5, 0, 0.1), (5, 5, 5, 1), (5, 5, 5, -0.1)])
def test_windows_of_nothing(arguments):
    with pytest.raises(ValueError, match='must be'):
        slice_windows(*arguments)


def test_boxes_masks_and_keypoints_move():
    mask = torch.zeros(1, 4, 5, dtype=torch.bool)
    mask[0, 1, 2] = True
    results = [
        sample([[1, 2, 3, 4]], masks=mask, keypoints=torch.tensor([[[1.0, 2.0]]])),
        sample([[0, 0, 1, 1]], masks=mask, keypoints=torch.tensor([[[1.0, 2.0]]])),
    ]
    moved = shift_predictions(results, [(0, 0), (7, 3)], (8, 10))
    assert moved.bboxes.tolist() == [[1, 2, 3, 4], [7, 3, 8, 4]]
    assert moved.masks.shape == (2, 8, 10)  # the second patch reaches past the edge
    assert moved.masks.nonzero().tolist() == [[0, 1, 2], [1, 4, 9]]
    assert moved.keypoints.tolist() == [[[1, 2]], [[8, 5]]]
    assert results[1].pred_instances.bboxes.tolist() == [[0, 0, 1, 1]]
    assert results[1].pred_instances.masks.shape == (1, 4, 5)


def test_rotated_boxes_move():
    boxes = torch.tensor([[1, 2, 3, 4, 0.5]])
    assert torch.equal(shift_rbboxes(boxes, (10, 20)), torch.tensor([[11, 22, 3, 4, 0.5]]))
    moved = shift_predictions([sample([[1, 2, 3, 4, 0.5]], dim=5)], [(10, 20)], (50, 50))
    assert torch.equal(moved.bboxes, torch.tensor([[11, 22, 3, 4, 0.5]]))
    assert boxes[0, 0] == 1


def test_wrong_input():
    with pytest.raises(ValueError, match='1 patches and 2 offsets'):
        shift_predictions([sample([])], [(0, 0), (1, 1)], (8, 8))
    with pytest.raises(ValueError, match='at least one patch'):
        shift_predictions([], [], (8, 8))
    with pytest.raises(NotImplementedError, match=r'\(1, 8\)'):
        shift_predictions([sample([list(range(8))], dim=8)], [(0, 0)], (8, 8))


def iou(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inter = max(w, 0) * max(h, 0)
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)


def naive_merge(results, offsets, threshold):
    found = [
        ([box[0] + x, box[1] + y, box[2] + x, box[3] + y], score, label)
        for result, (x, y) in zip(results, offsets)
        for box, score, label in zip(*(result.pred_instances[key].tolist() for key in ('bboxes', 'scores', 'labels')))
    ]
    kept = []
    for box, score, label in sorted(found, key=lambda one: -one[1]):
        if all(label != other or iou(box, held) <= threshold for held, _, other in kept):
            kept.append((box, score, label))
    return kept


@pytest.mark.parametrize('threshold', [0.1, 0.25, 0.7])
def test_merge_equals_a_naive_one(threshold):
    torch.manual_seed(0)
    results, offsets = [], [(0, 0), (40, 0), (0, 40), (40, 40)]
    for _ in offsets:
        corner, side = torch.rand(40, 2) * 50, torch.rand(40, 2) * 30 + 5
        results.append(
            sample(
                torch.cat([corner, corner + side], 1).tolist(),
                torch.rand(40).tolist(),
                torch.randint(3, (40,)).tolist(),
            )
        )
    merged = merge_results_by_nms(results, offsets, (120, 120), {'type': 'nms', 'iou_threshold': threshold})
    expected = naive_merge(results, offsets, threshold)
    assert len(expected) < 160
    instances = merged.pred_instances
    assert instances.labels.tolist() == [label for *_, label in expected]
    torch.testing.assert_close(instances.scores, torch.tensor([score for _, score, _ in expected]))
    torch.testing.assert_close(instances.bboxes, torch.tensor([box for box, *_ in expected]))
    assert merged.ori_shape == (100, 100)
    assert len(results[0].pred_instances) == 40


def test_merge_of_nothing():
    merged = merge_results_by_nms(
        [sample([]), sample([])], [(0, 0), (9, 9)], (20, 20), {'type': 'nms', 'iou_threshold': 0.25}
    )
    assert len(merged.pred_instances) == 0


def test_merge_of_rotated_boxes():
    results = [
        sample([[20, 10, 20, 4, 0.7]], [0.9], dim=5),
        sample([[10, 10, 20, 4, 0.7], [10, 10, 20, 4, 0.7 + math.pi / 2]], [0.8, 0.7], dim=5),
    ]
    merged = merge_results_by_nms(results, [(0, 0), (10, 0)], (40, 40), {'type': 'nms_rotated', 'iou_threshold': 0.25})
    torch.testing.assert_close(
        merged.pred_instances.bboxes, torch.tensor([[20, 10, 20, 4, 0.7], [20, 10, 20, 4, 0.7 + math.pi / 2]])
    )
    torch.testing.assert_close(merged.pred_instances.scores, torch.tensor([0.9, 0.7]))
