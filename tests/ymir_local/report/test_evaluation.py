import numpy as np
import pytest

from ymir_local.report.evaluation import evaluate
from ymir_local.report.matching import Boxes

# Image 0: labels A (class 0), B (class 0), C (class 1), D (class 1, large, never found).
TRUTH = Boxes.of([(0, 0, 0, 0, 10, 10, 1), (0, 0, 50, 0, 10, 10, 1), (0, 1, 0, 50, 10, 10, 1), (1, 1, 0, 0, 30, 30, 1)])
FOUND = Boxes.of(
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
    found = Boxes(FOUND.image[kept], FOUND.label[kept], FOUND.xywh[kept], FOUND.score[kept])
    result = evaluate(found, TRUTH, 2, 2)
    assert result.score == 0.9  # one right of two, 2 * 1 / (2 + 4)
    assert result.confusion.tolist() == [[1, 0, 1], [0, 0, 2], [0, 1, 0]]
    lower = evaluate(Boxes.of([(0, 0, 0, 50, 10, 10, 0.7)]), TRUTH, 2, 2)
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
