"""Metrics against numbers worked out by hand."""

import numpy as np
import pytest

from pie.metrics import Boxes, image_f1, measure, overlaps


def boxes(*rows):
    """Rows of x1, y1, x2, y2, label[, score]."""
    values = np.array([(*row, 1.0)[:6] for row in rows], float).reshape(-1, 6)
    return Boxes(values[:, :4], values[:, 4].astype(int), values[:, 5])


def test_overlaps():
    first = np.array([[0, 0, 10, 10], [0, 0, 0, 0]], float)
    second = np.array([[5, 0, 15, 10], [0, 0, 10, 5], [20, 20, 30, 30]], float)
    np.testing.assert_allclose(overlaps(first, second), [[1 / 3, 1 / 2, 0], [0, 0, 0]])


def test_one_class_by_hand():
    """Three objects; right at 0.9, wrong at 0.8, right at 0.7, and one is not found.

    Precision by number of predictions: 1, 1/2, 2/3. Area: 1/3 at the highest precision 1, then 1/3 at 2/3.
    At 0.7: P = R = F1 = 2/3; at 0.9: P = 1, R = 1/3, F1 = 1/2.
    """
    labelled = boxes((0, 0, 10, 10, 0), (20, 0, 30, 10, 0), (40, 0, 50, 10, 0))
    predicted = boxes((0, 0, 10, 10, 0, 0.9), (60, 0, 70, 10, 0, 0.8), (20, 0, 30, 9, 0, 0.7))
    scores = measure([predicted], [labelled], 1)
    row = scores.rows(['a'])['a']
    assert row == pytest.approx({'P': 2 / 3, 'R': 2 / 3, 'F1_score': 2 / 3, 'mAP': 1 / 3 + 2 / 9})
    assert scores.confidence == pytest.approx(0.7)


def test_an_object_counts_once():
    """The second prediction of the same object is wrong, though it overlaps well."""
    labelled = boxes((0, 0, 10, 10, 0))
    scores = measure([boxes((0, 0, 10, 9, 0, 0.5), (0, 0, 10, 10, 0, 0.6))], [labelled], 1)
    assert scores.average_precision[0] == 1 and scores.confidence == pytest.approx(0.6)
    both = measure([boxes((0, 0, 10, 9, 0, 0.6), (0, 0, 10, 10, 0, 0.6))], [labelled], 1)
    assert both.precision[0] == pytest.approx(0.5) and both.f1[0] == pytest.approx(2 / 3)


def test_the_limit_of_the_overlap():
    labelled = boxes((0, 0, 10, 10, 0))
    assert measure([boxes((0, 0, 10, 5, 0, 0.6))], [labelled], 1).average_precision[0] == 1  # 0.5
    assert measure([boxes((0, 0, 10, 4.99, 0, 0.6))], [labelled], 1).average_precision[0] == 0


def test_two_classes_and_images():
    """Class a: 1 of 2 found; class b: predicted as a only, so 0; the means are plain."""
    labelled = [boxes((0, 0, 10, 10, 0)), boxes((0, 0, 10, 10, 0), (20, 20, 30, 30, 1)), boxes()]
    predicted = [boxes((0, 0, 10, 10, 0, 0.8)), boxes((20, 20, 30, 30, 0, 0.9)), boxes()]
    rows = measure(predicted, labelled, 2).rows(['a', 'b'])
    assert list(rows) == ['all', 'a', 'b']
    assert rows['a'] == pytest.approx({'P': 0.5, 'R': 0.5, 'F1_score': 0.5, 'mAP': 0.25})
    assert rows['b'] == {'P': 0, 'R': 0, 'F1_score': 0, 'mAP': 0}
    for key in ('P', 'R', 'F1_score', 'mAP'):
        assert rows['all'][key] == pytest.approx((rows['a'][key] + rows['b'][key]) / 2)


def test_identities_of_random_boxes():
    generator = np.random.default_rng(0)

    def some(count):
        low = generator.uniform(0, 50, (count, 2))
        return np.concatenate([low, low + generator.uniform(5, 40, (count, 2))], axis=1)

    labelled = [Boxes(some(6), generator.integers(0, 3, 6), np.ones(6)) for _ in range(20)]
    predicted = [
        Boxes(one.boxes + generator.normal(0, 2, (6, 4)), one.labels, generator.uniform(size=6)) for one in labelled
    ]
    scores = measure(predicted, labelled, 3)
    np.testing.assert_allclose(
        scores.f1, 2 * scores.precision * scores.recall / (scores.precision + scores.recall), rtol=1e-12
    )
    assert (scores.average_precision > 0.1).all() and (scores.average_precision <= 1).all()


def test_nothing_predicted_or_labelled():
    scores = measure([boxes(), boxes()], [boxes((0, 0, 1, 1, 0)), boxes()], 2)
    assert scores.rows(['a', 'b'])['all'] == {'P': 0, 'R': 0, 'F1_score': 0, 'mAP': 0}
    assert measure([], [], 1).rows(['a'])['all']['mAP'] == 0
    alone = measure([boxes((0, 0, 1, 1, 0, 0.9))], [boxes()], 1)
    assert alone.rows(['a'])['a'] == {'P': 0, 'R': 0, 'F1_score': 0, 'mAP': 0}


def test_f1_of_an_image():
    labelled = boxes((0, 0, 10, 10, 0), (20, 0, 30, 10, 0))
    predicted = boxes((0, 0, 10, 10, 0, 0.9), (50, 0, 60, 10, 0, 0.2))
    assert image_f1(predicted, labelled, 0.5) == pytest.approx(2 / 3)
    assert image_f1(predicted, labelled, 0.1) == pytest.approx(0.5)
    assert image_f1(boxes(), boxes(), 0.5) == 0
