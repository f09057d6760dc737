"""Scoring rules against hand-made numbers, and the order of result.tsv."""

import math
from typing import get_args

import pytest

from tmi.inference.shards import Prediction
from tmi.mining import ALGORITHMS
from tmi.mining.entropy import EntropyScorer
from tmi.mining.random import RandomScorer
from ymir.mining_result import write_order
from ymir.params import MiningParams


def with_scores(*scores: float) -> Prediction:
    return Prediction(0, 'a', [9, 9], [[0, 0, 1, 1]] * len(scores), scores, [0] * len(scores))


def test_every_name_the_user_may_give_has_a_rule():
    field = MiningParams.model_fields['mining_algorithm']
    assert set(get_args(field.annotation)) == set(ALGORITHMS)


@pytest.mark.parametrize(
    'scores, entropy',
    [
        ((), 0.0),
        ((1.0,), 0.0),
        ((0.5,), 0.5),
        ((0.25, 0.5), 1.0),
        ((0.9, 0.6, 0.3), 0.9 * 0.152003093 + 0.6 * 0.736965594 + 0.3 * 1.736965594),
        ((0.0, 0.5), 0.5),
    ],
)
def test_entropy(scores, entropy):
    score = EntropyScorer().score('a', with_scores(*scores))
    assert score == pytest.approx(entropy, abs=1e-8)
    assert math.copysign(1, score) == 1


def test_random_depends_on_path_and_seed_alone():
    paths = [f'/in/assets/{number}.jpg' for number in range(2000)]
    first = [RandomScorer(1).score(path) for path in paths]
    assert first == [RandomScorer(1).score(path) for path in paths]
    assert first != [RandomScorer(2).score(path) for path in paths]
    assert 0 <= min(first) and max(first) < 1
    # mean and variance of a uniform distribution; 2,000 draws put the mean within 0.03 of it all but surely
    mean = sum(first) / 2000
    assert mean == pytest.approx(0.5, abs=0.03)
    assert sum((score - mean) ** 2 for score in first) / 2000 == pytest.approx(1 / 12, abs=0.01)
    assert not RandomScorer.needs_predictions


def test_order_is_best_first_with_ties_in_place_and_unscored_last(tmp_path, monkeypatch):
    monkeypatch.setattr('ymir_exc.settings.DEFAULT_ENV_FILE_PATH', str(tmp_path / 'env.yaml'))
    (tmp_path / 'env.yaml').write_text(f'output: {{mining_result_file: {tmp_path}/result.tsv}}')
    scored = [('a', 0.5), ('bad', None), ('b', 0.75), ('c', 0.5), ('nan', math.nan), ('a', 0.5), ('d', -1.0)]
    assert write_order(iter(scored)) == 7
    rows = [line.split('\t') for line in (tmp_path / 'result.tsv').read_text().splitlines()]
    assert [row[0] for row in rows] == ['b', 'a', 'c', 'a', 'd', 'bad', 'nan']
    scores = [float(row[1]) for row in rows]
    assert all(map(math.isfinite, scores)) and scores == sorted(scores, reverse=True)
