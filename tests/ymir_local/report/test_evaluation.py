import numpy as np
import pytest

from ymir_local.report.evaluation import NO_BOXES, BoxTable, best_f1, evaluate

# Image 0: labels A (class 0), B (class 0), C (class 1), D (class 1, large, never found).
TRUTH = BoxTable.of(
    [(0, 0, 0, 0, 10, 10, 1), (0, 0, 50, 0, 10, 10, 1), (0, 1, 0, 50, 10, 10, 1), (1, 1, 0, 0, 30, 30, 1)]
)
FOUND = BoxTable.of(
    [
        (0, 0, 0, 0, 10, 10, 0.9),  # A
        (0, 0, 1, 0, 10, 10, 0.8),  # A again
        (0, 0, 56, 0, 10, 10, 0.85),  # B, IoU 40 / 160 = 0.25
        (0, 0, 0, 50, 10, 10, 0.7),  # C as class 0
        (0, 1, 80, 80, 10, 10, 0.95),  # nothing
        (0, 1, 1, 50, 10, 10, 0.6),  # C
    ]
)


def test_every_kind_of_mistake():
    result = evaluate(FOUND, TRUTH, 2, 2)
    # F1 by score: 0.95: 0/5; 0.9: 2*1/(2+4); ... 0.6: 2*2/(6+4) = 0.4, the best
    assert result.score == 0.6
    assert [(item.kind, item.found, item.truth) for item in result.mistakes] == [
        ('background', 4, -1),
        ('badly placed', 2, 1),
        ('duplicate', 1, 0),
        ('wrong class', 3, 2),
        ('missed', -1, 3),
    ]
    assert result.matched.tolist() == [0, -1, -1, -1, -1, 2]
    assert result.errors.tolist() == [4, 1]
    assert result.confusion.tolist() == [[1, 0, 1], [0, 1, 1], [3, 1, 0]]


def test_wrong_class_when_the_label_is_free():
    kept = [0, 1, 2, 3, 4]
    found = BoxTable(FOUND.image[kept], FOUND.label[kept], FOUND.xywh[kept], FOUND.score[kept])
    result = evaluate(found, TRUTH, 2, 2)
    assert result.score == 0.9  # one right of two, 2 * 1 / (2 + 4)
    assert result.confusion.tolist() == [[1, 0, 1], [0, 0, 2], [0, 1, 0]]
    lower = evaluate(BoxTable.of([(0, 0, 0, 50, 10, 10, 0.7)]), TRUTH, 2, 2)
    assert [(item.kind, item.truth) for item in lower.mistakes if item.found == 0] == [('wrong class', 2)]
    assert lower.confusion.tolist() == [[0, 0, 2], [1, 0, 1], [0, 0, 0]]


def test_class_rows():
    first, second = evaluate(FOUND, TRUTH, 2, 2).classes
    assert (first.num_truth, first.num_found, first.num_predicted) == (2, 1, 4)
    assert (first.precision, first.recall) == (0.25, 0.5)
    assert first.ap50 == pytest.approx(51 / 101)  # precision 1 up to recall 0.5
    assert (first.best_score, first.best_f1) == (0.9, pytest.approx(2 / 3))
    assert second.ap50 == pytest.approx(51 / 101 / 2)  # one wrong before the right one
    assert second.ap == pytest.approx(np.mean([51 / 101 / 2] * 7 + [0] * 3))  # IoU 90 / 110 = 0.82: 0.5 to 0.8


def test_a_class_without_labels_has_no_ap_and_does_not_count():
    result = evaluate(FOUND, TRUTH, 3, 2)
    assert np.isnan(result.classes[2].ap) and result.classes[2].num_truth == 0
    assert result.map50 == pytest.approx((51 / 101 + 51 / 202) / 2)


def test_best_f1_keeps_equal_scores_together():
    # above 0.8: 1 of 1 right (F1 2/3 of 2 labels); the two at 0.5 come together: 2 of 3 right, F1 0.8
    score, f1 = best_f1(np.array([0.8, 0.5, 0.5]), np.array([True, True, False]), 2)
    assert (score, f1) == (0.5, pytest.approx(0.8))
    assert np.isnan(best_f1(np.zeros(0), np.zeros(0, bool), 3)[1])


def test_difficult_objects_are_neither_found_nor_missed():
    """Any number of predictions on one of them do not count."""
    truth = BoxTable.of([(0, 0, 0, 0, 10, 10, 1), (0, 0, 40, 0, 10, 10, 1)])
    difficult = BoxTable.of([(0, 0, 20, 0, 10, 10, 1), (0, 0, 1, 0, 10, 10, 1)])
    found = BoxTable.of(
        [
            (0, 0, 0, 0, 10, 10, 0.9),
            (0, 0, 20, 0, 10, 10, 0.8),
            (0, 0, 21, 0, 10, 10, 0.7),
            (0, 1, 20, 0, 10, 10, 0.6),
            (0, 0, 40, 0, 10, 10, 0.5),
            (0, 0, 70, 0, 10, 10, 0.4),
        ]
    )
    result = evaluate(found, truth, 2, 1, difficult)
    # The first is right although it reaches a difficult object too; the fourth is of another class.
    assert result.neutral.tolist() == [False, True, True, False, False, False]
    assert result.score == 0.5 and result.classes[0].ap50 == pytest.approx(1.0)
    assert (result.classes[0].num_found, result.classes[0].num_predicted, result.classes[0].num_truth) == (2, 2, 2)
    assert [(item.kind, item.found) for item in result.mistakes] == [('background', 3)]
    assert result.confusion.tolist() == [[2, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert evaluate(found, truth, 2, 1).classes[0].ap50 == pytest.approx((51 + 50 * 2 / 4) / 101)  # as objects


def test_a_prediction_that_lies_in_a_crowd_by_half_does_not_count():
    crowd = BoxTable.of([(0, 0, 0, 0, 100, 100, 1)])
    found = BoxTable.of([(0, 0, 90, 0, 20, 10, 0.9), (0, 0, 91, 0, 20, 10, 0.9), (0, 0, 0, 0, 0, 0, 0.9)])
    assert evaluate(found, NO_BOXES, 1, 1, crowd).neutral.tolist() == [True, False, False]


@pytest.mark.parametrize('found, truth', [([], []), ([(0, 0, 0, 0, 5, 5, 0.5)], []), ([], [(0, 0, 0, 0, 5, 5, 1)])])
def test_empty_sides(found, truth):
    result = evaluate(BoxTable.of(found), BoxTable.of(truth), 1, 1)
    assert result.confusion.tolist() == [[0, len(truth)], [len(found), 0]]
    assert [item.kind for item in result.mistakes] == ['background'] * len(found) + ['missed'] * len(truth)
    assert result.map == 0 if truth else np.isnan(result.map)


def test_all_predictions_are_shown_and_100_of_a_class_in_an_image_count_for_ap():
    """150 objects in a row, all found: AP stops at the first 100, as COCO has it."""
    truth = BoxTable.of([(0, 0, 10 * k, 0, 8, 8, 1) for k in range(150)])
    found = BoxTable(truth.image, truth.label, truth.xywh, np.linspace(0.9, 0.5, 150))
    result = evaluate(found, truth, 1, 1)
    assert result.classes[0].ap50 == pytest.approx(67 / 101)
    assert (result.score, result.classes[0].num_found, len(result.mistakes)) == (0.5, 150, 0)
