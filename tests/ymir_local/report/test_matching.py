import numpy as np
import pytest

from tests.ymir_local.report import coco_reference
from ymir_local.report.evaluation import best_f1, evaluate
from ymir_local.report.matching import (
    Boxes,
    cover_of,
    interpolated,
    iou_of,
    match,
    pairs_within,
    precision_recall,
    rank_within,
    reached,
)


def random_boxes(rng, num, num_images, num_classes, scores=None):
    xy = rng.integers(0, 40, (num, 2))
    wh = rng.integers(0 if scores else 1, 25, (num, 2))  # predictions may have no width
    score = rng.choice(scores, num) if scores else np.ones(num)
    return Boxes(
        rng.integers(0, num_images, num), rng.integers(0, num_classes, num), np.hstack([xy, wh]).astype(float), score
    )


@pytest.mark.parametrize(
    'num_images, num_classes, num_found, num_truth, num_crowds',
    [
        (1, 1, 250, 30, 0),  # more than 100 in one image and class
        (4, 2, 400, 80, 0),
        (4, 2, 400, 80, 5),
        (12, 5, 600, 150, 40),
        (3, 20, 100, 30, 10),  # classes without labels
        (3, 2, 1, 1, 0),
    ],
)
def test_numbers_are_those_of_coco_evaluators(num_images, num_classes, num_found, num_truth, num_crowds):
    rng = np.random.default_rng(num_found)
    truth = random_boxes(rng, num_truth, num_images, num_classes)
    found = random_boxes(rng, num_found, num_images, num_classes, scores=[0.1, 0.3, 0.30001, 0.5, 0.9])  # many ties
    # near copies of labels, so that high thresholds decide as well; some exact, some equally far from two labels
    rows = rng.integers(0, num_truth, num_found // 2)
    for name in ('image', 'label'):
        getattr(found, name)[: len(rows)] = getattr(truth, name)[rows]
    found.xywh[: len(rows)] = truth.xywh[rows] + rng.integers(-1, 2, (len(rows), 4)).clip(0)
    crowds = random_boxes(rng, num_crowds, num_images, num_classes)
    result = evaluate(found, truth, num_classes, num_images, crowds, np.ones(num_crowds, bool))
    for package in coco_reference.PACKAGES:
        reference = coco_reference.evaluated(package, found, truth, crowds, num_classes, num_images)
        precision = coco_reference.precisions(reference)
        expected = np.where((precision > -1).all(1), precision.mean(1), np.nan)  # (T, C)
        assert np.allclose([item.ap50 for item in result.classes], expected[0], atol=1e-6, equal_nan=True), package
        assert np.allclose([item.ap for item in result.classes], expected.mean(0), atol=1e-6, equal_nan=True), package
        assert result.map == pytest.approx(np.nanmean(expected), abs=1e-6)
        for label, item in enumerate(result.classes):
            if item.num_truth:
                assert np.allclose(item.curve, precision[0, :, label], atol=1e-6)
    assert (
        result.confusion.tolist()
        == coco_reference.confusion(found, truth, crowds, num_classes, num_images, result.score).tolist()
    )


def test_the_larger_overlap_wins_and_of_equal_ones_the_last_label():
    truth = Boxes.of([(0, 0, 0, 0, 10, 10, 1), (0, 0, 0, 0, 10, 10, 1), (0, 0, 0, 1, 10, 10, 1)])
    found = Boxes.of(
        [(0, 0, 0, 0, 10, 10, 0.5), (0, 0, 0, 0, 10, 10, 0.9), (0, 0, 0, 0, 10, 10, 0.2), (0, 1, 0, 0, 10, 10, 1.0)]
    )
    assert match(found, truth)[0].tolist() == [0, 1, 2, -1]
    # whatever the class: the fourth has the highest score and takes the last of two equal labels
    assert match(found, truth, by_class=False, thresholds=np.array([0.5]))[0].tolist() == [2, 0, -1, 1]
    assert match(found, truth)[-1].tolist() == [0, 1, -1, -1]  # IoU 0.82 is below 0.95


def test_average_precision_by_hand():
    # right, wrong, right of 4 labels: precision 1, 1/2, 2/3 at recall 1/4, 1/4, 1/2
    scores, precision, recall = precision_recall(np.array([0.5, 0.9, 0.7]), np.array([True, True, False]), 4)
    assert scores.tolist() == [0.9, 0.7, 0.5]
    assert precision == pytest.approx([1, 0.5, 2 / 3]) and recall == pytest.approx([0.25, 0.25, 0.5])
    # recalls 0 to 0.25 are 26 points at 1, up to 0.5 another 25 at 2/3
    assert interpolated(precision, recall).mean() == pytest.approx((26 + 25 * 2 / 3) / 101)


def test_best_f1_keeps_equal_scores_together():
    # above 0.8: 1 of 1 right (F1 2/3 of 2 labels); the two at 0.5 come together: 2 of 3 right, F1 0.8
    score, f1 = best_f1(np.array([0.8, 0.5, 0.5]), np.array([True, True, False]), 2)
    assert (score, f1) == (0.5, pytest.approx(0.8))
    assert np.isnan(best_f1(np.zeros(0), np.zeros(0, bool), 3)[1])


def test_helpers():
    one = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 0, 0], [0, 0, 4, 4]], float)
    other = np.array([[5, 0, 10, 10], [10, 0, 5, 5], [0, 0, 0, 0], [0, 0, 4, 4]], float)
    assert iou_of(one, other) == pytest.approx([1 / 3, 0, 0, 1])
    rows, others = pairs_within(np.array([3, 1, 9]), np.array([1, 3, 3]))
    assert list(zip(rows.tolist(), others.tolist())) == [(0, 1), (0, 2), (1, 0)]
    assert rank_within(np.array([7, 7, 2, 7]), np.array([0.1, 0.9, 0.5, 0.1])).tolist() == [1, 0, 0, 2]


def test_difficult_objects_are_neither_found_nor_missed():
    """As VOC does it: any number of predictions on one of them do not count."""
    truth = Boxes.of([(0, 0, 0, 0, 10, 10, 1), (0, 0, 40, 0, 10, 10, 1)])
    difficult = Boxes.of([(0, 0, 20, 0, 10, 10, 1), (0, 0, 1, 0, 10, 10, 1)])
    found = Boxes.of(
        [
            (0, 0, 0, 0, 10, 10, 0.9),
            (0, 0, 20, 0, 10, 10, 0.8),
            (0, 0, 21, 0, 10, 10, 0.7),
            (0, 1, 20, 0, 10, 10, 0.6),
            (0, 0, 40, 0, 10, 10, 0.5),
            (0, 0, 70, 0, 10, 10, 0.4),
        ]
    )
    assert reached(found, difficult, np.zeros(2, bool))[0].tolist() == [True, True, True, False, False, False]
    result = evaluate(found, truth, 2, 1, difficult)
    # The first is right although it reaches a difficult object too; the fourth is of another class.
    assert result.neutral.tolist() == [False, True, True, False, False, False]
    assert result.score == 0.5 and result.classes[0].ap50 == pytest.approx(1.0)
    assert (result.classes[0].num_found, result.classes[0].num_predicted, result.classes[0].num_truth) == (2, 2, 2)
    assert [(item.kind, item.found) for item in result.mistakes] == [('background', 3)]
    assert result.confusion.tolist() == [[2, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert evaluate(found, truth, 2, 1).classes[0].ap50 == pytest.approx((51 + 50 * 2 / 4) / 101)  # as objects


def test_a_crowd_is_reached_by_the_share_inside():
    crowd = Boxes.of([(0, 0, 0, 0, 100, 100, 1)])
    found = Boxes.of([(0, 0, 90, 0, 20, 10, 0.9), (0, 0, 91, 0, 20, 10, 0.9), (0, 0, 0, 0, 0, 0, 0.9)])
    assert cover_of(found.xywh, np.repeat(crowd.xywh, 3, 0)).tolist() == [0.5, 0.45, 0]
    assert reached(found, crowd, np.array([True]))[0].tolist() == [True, False, False]
    assert not reached(found, crowd, np.array([False])).any()


@pytest.mark.parametrize('found, truth', [([], []), ([(0, 0, 0, 0, 5, 5, 0.5)], []), ([], [(0, 0, 0, 0, 5, 5, 1)])])
def test_empty_sides(found, truth):
    result = evaluate(Boxes.of(found), Boxes.of(truth), 1, 1)
    assert result.confusion.tolist() == [[0, len(truth)], [len(found), 0]]
    assert [item.kind for item in result.mistakes] == ['background'] * len(found) + ['missed'] * len(truth)
    assert result.map == 0 if truth else np.isnan(result.map)
