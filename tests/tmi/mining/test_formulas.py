"""Scores of images by their boxes, each against a slow, plain computation from its definition."""

import math

import numpy as np
import pytest

from tmi.inference.shards import Prediction
from tmi.mining import ALGORITHMS
from tmi.mining.stats import MiningStats
from tmi.settings import MiningSettings

CLASS_NAMES = ['a', 'b', 'c', 'd']
# Average precision, and coefficients of 1, ln(support) and logit(score); class c has neither, class d has the latter.
PRECISION = [0.9, 0.4, math.nan, math.nan]
OWN = [[-0.5, 0.3, 0.8], [0.2, 0.1, 1.2], [math.nan] * 3, [-1.0, 0.0, 0.5]]
TOGETHER = [-0.1, 0.2, 0.9]


def make(name, stats=None, **settings):
    return ALGORITHMS[name](MiningSettings(class_names=CLASS_NAMES, **settings), stats)


def make_stats(precision=PRECISION, own=OWN, together=TOGETHER):
    count, none = np.zeros(4, np.int64), np.zeros((0, 128), np.float16)
    return MiningStats(CLASS_NAMES, count, 10, np.array(precision), np.array(own), np.array(together), none)


def predictions(seed, number=30):
    """Random boxes of all sizes, also none, and scores of 0 and 1."""
    rng = np.random.default_rng(seed)
    for index in range(number):
        n = int(rng.integers(0, 40)) if index else 0
        corner, sides = rng.uniform(0, 500, (n, 2)), rng.choice([5, 10, 40, 200], (n, 2)) * rng.uniform(0.5, 2, (n, 2))
        scores = np.sort(np.where(rng.random(n) < 0.1, rng.integers(0, 2, n), rng.random(n)))[::-1]
        yield Prediction(
            index,
            f'{index}.jpg',
            (640, 480),
            np.concatenate([corner, corner + sides], axis=1).round(3).tolist(),
            scores.round(6).tolist(),
            rng.integers(0, 4, n).tolist(),
            support=rng.integers(1, 30, n).tolist(),
            spread=rng.random(n).round(4).tolist(),
        )


def entropy_of(p):
    """-p ln p - (1 - p) ln(1 - p)."""
    p = min(max(p, 1e-6), 1 - 1e-6)
    return -p * math.log(p) - (1 - p) * math.log(1 - p)


def chance_of(label, score, support, own, together):
    """P(true positive) by the regression of the class, that of all classes, or the score."""
    b = own[label] if not math.isnan(own[label][0]) else together
    if math.isnan(b[0]):
        return score
    score = min(max(score, 1e-6), 1 - 1e-6)
    return 1 / (1 + math.exp(-(b[0] + b[1] * math.log(support) + b[2] * math.log(score / (1 - score)))))


def difficulty_of(label, precision):
    """1 + 0.2 alpha ln(b (1 - q) + 1), alpha = 0.3, b = e^(1 / alpha) - 1; the mean of the known ones if unknown."""
    weights = [
        None if math.isnan(q) else 1 + 0.2 * 0.3 * math.log((math.exp(1 / 0.3) - 1) * (1 - q) + 1) for q in precision
    ]
    known = [weight for weight in weights if weight is not None]
    return weights[label] if weights[label] is not None else sum(known) / len(known) if known else 1


def boxes_of(prediction):
    return list(
        zip(prediction.boxes, prediction.scores, prediction.labels, prediction.support, prediction.spread, strict=True)
    )


def check(algorithm, expected_terms):
    """Compare sums over boxes, by class and in all, on random predictions."""
    compared = 0
    for prediction in predictions(1):
        terms = expected_terms(prediction)
        by_class = {}
        for label, term in terms:
            by_class[label] = by_class.get(label, 0) + term
        found = algorithm.class_terms(prediction)
        for label in range(4):
            assert found.get(label, 0) == pytest.approx(by_class.get(label, 0), rel=1e-9, abs=1e-12)
        assert algorithm.uncertainty(prediction) == pytest.approx(sum(by_class.values()), rel=1e-9, abs=1e-12)
        compared += len(terms)
    assert compared > 100


def test_entropy():
    check(make('entropy'), lambda image: [(label, entropy_of(p)) for _, p, label, _, _ in boxes_of(image)])
    assert make('entropy').box_terms(Prediction(0, '', scores=[0, 0.5, 1])) == pytest.approx(
        [0, math.log(2), 0], abs=2e-5
    )


@pytest.mark.parametrize('minimum', [16, 1])
def test_dcus(minimum):
    def expected(image):
        terms = []
        for (x1, y1, x2, y2), p, label, _, _ in boxes_of(image):
            width, height = x2 - x1, y2 - y1
            too_small = math.sqrt(width * height) <= minimum
            too_narrow = max(width / height, height / width) >= 5
            if not too_small and not too_narrow:
                terms.append((label, difficulty_of(label, PRECISION) * entropy_of(p)))
        return terms

    check(make('dcus', make_stats(), mining_min_box=minimum), expected)


def test_difficulty_of_classes():
    """Values that PPAL's formula gives; 1 for all classes of a model without statistics."""
    weights = make('dcus', make_stats(precision=[1.0, 0.75, 0.5, 0.0]))._difficulty
    assert weights == pytest.approx([1, 1.123, 1.16, 1.2], abs=1e-3)
    assert make('dcus', make_stats(precision=[math.nan] * 4))._difficulty.tolist() == [1] * 4
    assert make('dcus')._difficulty.tolist() == [1] * 4


@pytest.mark.parametrize('together', [TOGETHER, [math.nan] * 3])
def test_lius(together):
    def expected(image):
        largest = {}
        for _, p, label, support, _ in boxes_of(image):
            term = entropy_of(chance_of(label, p, support, OWN, together))
            largest[label] = max(largest.get(label, 0), term)
        return list(largest.items())

    check_largest(make('lius', make_stats(together=together)), expected)


def check_largest(algorithm, expected):
    """As `check`, for terms of classes."""
    compared = 0
    for prediction in predictions(2):
        largest = dict(expected(prediction))
        found = algorithm.class_terms(prediction)
        assert {label: term for label, term in found.items() if term} == pytest.approx(largest, rel=1e-9)
        assert algorithm.uncertainty(prediction) == pytest.approx(sum(largest.values()), rel=1e-9)
        compared += len(largest)
    assert compared > 50


def test_lius_without_statistics_takes_the_score_as_chance():
    def expected(image):
        largest = {}
        for _, p, label, _, _ in boxes_of(image):
            largest[label] = max(largest.get(label, 0), entropy_of(p))
        return list(largest.items())

    check_largest(make('lius'), expected)


def loose(spread):
    """How unsure a side is beyond a place between two of 16 bins."""
    return max(spread - 0.18, 0) / 0.82


def test_hybrid():
    def expected(image):
        terms = []
        for _, p, label, support, spread in boxes_of(image):
            doubt = entropy_of(chance_of(label, p, support, OWN, TOGETHER)) / math.log(2)
            terms.append((label, difficulty_of(label, PRECISION) * (1 - (1 - doubt) * (1 - loose(spread)))))
        return terms

    check(make('hybrid', make_stats()), expected)


def test_hybrid_without_statistics():
    def expected(image):
        return [
            (label, 1 - (1 - entropy_of(p) / math.log(2)) * (1 - loose(spread)))
            for _, p, label, _, spread in boxes_of(image)
        ]

    check(make('hybrid'), expected)


def test_many_sure_boxes_are_worth_less_than_one_in_doubt():
    sure = Prediction(0, '', scores=[0.995] * 5, labels=[0] * 5, support=[9] * 5, spread=[0.2] * 5)
    doubtful = Prediction(1, '', scores=[0.5], labels=[0], support=[9], spread=[0.2])
    assert make('hybrid').uncertainty(sure) < make('hybrid').uncertainty(doubtful) / 2


@pytest.mark.parametrize('aggregate', ['sum', 'mean', 'max', 'topm'])
@pytest.mark.parametrize('weights', ['', '2,0.5'])
def test_aggregates(aggregate, weights):
    given = [2, 0.5, 1, 1] if weights else [1] * 4
    algorithm = make(
        'entropy',
        mining_aggregate=aggregate,
        mining_top_boxes=3,
        mining_box_cost=0.1,
        class_distribution_scores=weights,
    )
    for prediction in predictions(3):
        terms = [given[label] * entropy_of(p) for _, p, label, _, _ in boxes_of(prediction)]
        terms.sort(reverse=True)
        n = len(terms)
        total = {
            'sum': sum(terms),
            'mean': sum(terms) / n if n else 0,
            'max': terms[0] if n else 0,
            'topm': sum(terms[:3]),
        }[aggregate]
        assert algorithm.uncertainty(prediction) == pytest.approx(total / (1 + 0.1 * n), rel=1e-9, abs=1e-12)


def test_entropy_legacy():
    algorithm = make('entropy_legacy', conf_threshold=0.1)
    assert algorithm.score_thr == 0.1
    for prediction in predictions(4):
        expected = 0.0
        for score in prediction.scores:
            if score > 0:
                expected -= score * math.log2(score)
        found = algorithm.uncertainty(prediction)
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12) and math.copysign(1, found) == 1
