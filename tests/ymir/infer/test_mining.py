"""Scoring rules against hand-made numbers, and the order of result.tsv."""

import errno
import math
import os
from typing import get_args

import numpy as np
import pytest

from tmi.inference.shards import Prediction
from tmi.mining import ALGORITHMS
from tmi.mining.entropy_legacy import EntropyLegacy
from tmi.mining.random import Random
from tmi.mining.rank import rank
from tmi.settings import MiningSettings
from ymir import ymir_mining
from ymir.mining_result import write_order
from ymir.params import MiningParams
from ymir_exc.mining_summary import read_mining_summary

from .sandbox import Task

SETTINGS = MiningSettings(class_names=['cat'])


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
def test_entropy_legacy(scores, entropy):
    score = EntropyLegacy(SETTINGS).uncertainty(with_scores(*scores))
    assert score == pytest.approx(entropy, abs=1e-8)
    assert math.copysign(1, score) == 1


def test_random_depends_on_path_and_seed_alone():
    paths = [f'/in/assets/{number}.jpg' for number in range(2000)]

    def draw(seed: int) -> list[float]:
        algorithm = Random(SETTINGS.model_copy(update={'mining_seed': seed}))
        return [algorithm.uncertainty(Prediction(0, path)) for path in paths]

    first = draw(1)
    assert first == draw(1)
    assert first != draw(2)
    assert 0 <= min(first) and max(first) < 1
    # mean and variance of a uniform distribution; 2,000 draws put the mean within 0.03 of it all but surely
    mean = sum(first) / 2000
    assert mean == pytest.approx(0.5, abs=0.03)
    assert sum((score - mean) ** 2 for score in first) / 2000 == pytest.approx(1 / 12, abs=0.01)
    assert not Random.passes


def test_result_holds_every_candidate_in_the_order_of_its_rank(tmp_path, monkeypatch):
    monkeypatch.setattr('ymir_exc.settings.DEFAULT_ENV_FILE_PATH', str(tmp_path / 'env.yaml'))
    (tmp_path / 'env.yaml').write_text(f'output: {{mining_result_file: {tmp_path}/result.tsv}}')
    write_order(iter(['a', 'b', 'a', 'c']), np.array([3, 0, 2, 1]))
    assert (tmp_path / 'result.tsv').read_text() == 'c\t1\na\t0.75\na\t0.5\nb\t0.25\n'


def test_ties_keep_the_order_of_the_list_and_unreadable_images_are_last():
    predictions = [
        with_scores(0.5)._replace(index=0),
        Prediction(1, 'bad', problem='cut short'),
        with_scores(0.5, 0.25)._replace(index=2),
        with_scores(0.5)._replace(index=3),
        with_scores()._replace(index=4),
    ]
    ranking = rank(predictions, 5, EntropyLegacy(SETTINGS))
    assert ranking.positions.tolist() == [2, 0, 3, 4, 1]
    assert (ranking.unreadable, ranking.without_boxes) == (1, 1)
    assert ranking.uncertainty.tolist()[:1] == [0.5] and math.isnan(ranking.uncertainty[1])


@pytest.mark.parametrize('error', [OSError(errno.ENOSPC, 'No space left on device'), ValueError('not finite')])
def test_what_goes_wrong_after_the_ranking_costs_the_summary_alone(tmp_path, monkeypatch, capsys, error):
    def fail(*_):
        raise error

    task = Task(tmp_path, ['/in/a.jpg', '/in/b.jpg'], [], ('mining',), mining_algorithm='random')
    monkeypatch.setattr(os, 'environ', dict(os.environ))
    monkeypatch.setattr('ymir_exc.settings.DEFAULT_ENV_FILE_PATH', str(tmp_path / 'in/env.yaml'))
    ymir_mining.main()
    assert read_mining_summary(task.out).is_of([row[0] for row in task.ranking()])
    (task.out / 'result.tsv').unlink()
    monkeypatch.setattr(ymir_mining, 'write_summary', fail)
    ymir_mining.main()
    assert len(task.ranking()) == 2
    log = capsys.readouterr().out
    assert 'mining-summary.json cannot be written' in log and str(error) in log


@pytest.mark.parametrize('weights, words', [('1,2', ''), ('5', 'not reach count 1'), ('1,2,3', 'no effect'), ('', '')])
def test_class_weights_of_another_number_than_the_classes_are_told(tmp_path, monkeypatch, capsys, weights, words):
    names = {'class_names': ['cat', 'dog'], 'class_distribution_scores': weights}
    task = Task(tmp_path, ['/in/a.jpg'], [], ('mining',), mining_algorithm='random', **names)
    monkeypatch.setattr(os, 'environ', dict(os.environ))
    monkeypatch.setattr('ymir_exc.settings.DEFAULT_ENV_FILE_PATH', str(task.env_file))
    ymir_mining.main()
    log = capsys.readouterr().out
    assert words in log and ('class_distribution_scores has' in log) == bool(words)
