"""The numbers of a validation against plain loops, and against cases whose answer is known."""

import io
import math

import numpy as np
import pytest

from mmyolo.evaluation.validation_result import ValidationResult
from tests.tmi.evaluation import sets
from tmi.evaluation import accuracy, tables
from tmi.evaluation.accuracy import GRID, best_threshold, measure


def best_by_trial(scores, right, num_objects):
    """Try every score: the best F1, of equal ones the one with the highest score."""
    best = (0.0, math.nan, 0, 0)
    for score in sorted(set(scores), reverse=True):
        kept = [hit for value, hit in zip(scores, right) if value >= score]
        f1 = 2 * sum(kept) / (len(kept) + num_objects)
        if f1 > best[0]:
            best = (f1, score, sum(kept), len(kept) - sum(kept))
    return best


@pytest.mark.parametrize(
    'num_classes, unlabelled, chunk',
    [(1, 0, 100_000), (4, 1, 7), (4, 1, 100_000), (90, 0, 300), pytest.param(1000, 0, 300, marks=pytest.mark.slow)],
)
def test_numbers_are_those_of_plain_loops(tmp_path, monkeypatch, num_classes, unlabelled, chunk):
    monkeypatch.setattr(accuracy, 'CHUNK', chunk)
    truth, found = sets.drawn(num_classes, unlabelled=unlabelled)
    result = sets.validate(tmp_path, truth, found, num_classes, 30)
    measured = measure(result, [f'class {label}' for label in range(num_classes)])
    outcome, _ = sets.matched(truth, found)
    assert {'right', 'wrong', 'crowd'} == set(outcome.values())
    rows = [(*found[place][1::2], outcome[place] == 'right') for place in outcome if outcome[place] != 'crowd']
    for label in range(0, num_classes, num_classes // 30 + 1):
        mine = [row for row in rows if row[0] == label]
        objects = sum(item[1] == label and not item[3] for item in truth)
        one = measured.classes[label]
        f1, score, tp, fp = best_by_trial([row[1] for row in mine], [row[2] for row in mine], objects)
        assert (one.name, one.objects) == (f'class {label}', objects)
        assert (one.best.tp, one.best.fp, one.best.fn) == (tp, fp, objects - tp)
        if not objects:
            assert np.isnan([one.ap, one.ap50, one.ar, one.best.f1, one.best.recall, one.best.score]).all()
            continue
        assert one.best.f1 == pytest.approx(f1) and one.best.score == pytest.approx(score, nan_ok=True)
        assert one.best.precision == pytest.approx(tp / (tp + fp) if tp else math.nan, nan_ok=True)
        assert one.best.recall == pytest.approx(tp / objects)
        _check_curve(measured, label, mine, objects)
    f1, score, tp, fp = best_by_trial([row[1] for row in rows], [row[2] for row in rows], measured.num_objects)
    assert measured.best.f1 == pytest.approx(f1) and measured.best.score == score
    assert (measured.best.tp, measured.best.fp, measured.best.fn) == (tp, fp, measured.num_objects - tp)
    np.testing.assert_array_equal(measured.confusion, sets.confusion(truth, found, num_classes, measured.best.score))


def _check_curve(measured, label, mine, objects):
    """Precision over recall is the best that is reached at that recall or above."""
    tp = fp = 0
    points = []
    for _, _, hit in sorted(mine, key=lambda row: -row[1]):
        tp, fp = tp + hit, fp + (not hit)
        points.append((tp / objects, tp / (tp + fp)))
    expected = [max((p for r, p in points if r >= recall - 1e-12), default=0.0) for recall in np.linspace(0, 1, 101)]
    assert measured.curves[:, label] == pytest.approx(expected, abs=1e-9)
    assert measured.classes[label].ap50 == pytest.approx(np.mean(expected))
    for place in (0, 30, 50, 90):
        kept = [hit for _, score, hit in mine if score >= GRID[place]]
        assert measured.f1[place, label] == pytest.approx(2 * sum(kept) / (len(kept) + objects))


def test_averages_are_those_of_the_validation(tmp_path):
    """A box that is found exactly, one that is off by a fifth (IoU 2/3), and one that is missed."""
    truth = [(0, 0, [0.0, 0, 100, 100], False), (1, 0, [0.0, 0, 100, 100], False), (2, 1, [0.0, 0, 50, 50], False)]
    found = [(0, 0, [0.0, 0, 100, 100], 0.75), (1, 0, [20.0, 0, 120, 100], 0.5)]
    one, two, three = measure(sets.validate(tmp_path, truth, found, 3, 3), ['a', 'b', 'c']).classes
    assert one.ar == pytest.approx((4 * 1 + 6 * 0.5) / 10)  # both at 0.5 to 0.65, then one of two
    assert one.ap == pytest.approx((4 * 1 + 6 * 51 / 101) / 10) and one.ap50 == pytest.approx(1)
    assert (one.best.score, one.best.f1, one.best.tp, one.best.fp, one.best.fn) == (0.5, 1, 2, 0, 0)
    assert (two.ap, two.ar, two.best.f1, two.best.fn) == (0, 0, 0, 1) and math.isnan(two.best.score)
    assert three.objects == 0 and math.isnan(three.ap)


def test_without_an_object_or_a_prediction(tmp_path):
    nothing = measure(sets.validate(tmp_path, [], [(0, 0, [1.0, 1, 9, 9], 0.5)], 2, 1), ['a', 'b'])
    assert nothing.num_objects == 0 and math.isnan(nothing.best.score) and not nothing.confusion.any()
    blind = measure(sets.validate(tmp_path, [(0, 1, [1.0, 1, 9, 9], False)], [], 2, 1), ['a', 'b'])
    assert (blind.best.tp, blind.best.fn, blind.best.f1) == (0, 1, 0.0)
    assert blind.confusion.tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 0]]
    with pytest.raises(ValueError, match='about 2 classes, not 1'):
        measure(sets.validate(tmp_path, [], [], 2, 1), ['a'])


def test_equal_scores_are_kept_together():
    scores, right = np.array([0.9, 0.5, 0.5, 0.5]), np.array([True, True, True, False])
    assert best_threshold(scores, right, 3)[:4] == pytest.approx((0.5, 3 / 4, 1, 6 / 7))
    assert best_threshold(scores, np.array([True, False, False, True]), 1).score == 0.9


def test_what_is_kept_is_read_again(tmp_path):
    truth, found = sets.drawn(3)
    result = sets.validate(tmp_path, truth, found, 3, 30)
    with open(tmp_path / 'a.npz', 'wb') as stream:
        result.write(stream)
    with open(tmp_path / 'a.npz', 'rb') as stream:
        again = ValidationResult.read(stream)
    for name, value in vars(result).items():
        np.testing.assert_array_equal(getattr(again, name), value, strict=True)
    assert (tmp_path / 'a.npz').stat().st_size < result.nbytes + 4000
    with pytest.raises(ValueError, match='has no curves'):
        ValidationResult.read(_archive(scores=np.zeros(3)))
    with pytest.raises(ValueError):  # never unpickled
        ValidationResult.read(_archive(**{**vars(result), 'scores': np.array([print], object)}))


def _archive(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    stream.seek(0)
    return stream


def test_tables(tmp_path):
    truth = [(0, 0, [0.0, 0, 100, 100], False), (0, 1, [200.0, 0, 300, 100], False)]
    found = [(0, 0, [0.0, 0, 100, 100], 0.75), (0, 0, [200.0, 0, 300, 100], 0.75), (0, 2, [0.0, 300, 9, 400], 0.8125)]
    measured = measure(sets.validate(tmp_path, truth, found, 3, 1), ['猫', 'a,b', 'c'])
    lines = tables.class_table(measured, [5, 6, 7]).splitlines()
    assert lines[0] == ','.join(tables.CLASS_COLUMNS)
    assert lines[1] == '猫,5,1,1,1,1,0.75,0.5,1,0.666667,1,1,0'
    assert lines[2] == '"a,b",6,1,0,0,0,,,0,0,0,0,1'
    assert lines[3] == 'c,7,0,,,,,,,,0,0,0'
    assert lines[4] == '(all),18,2,0.5,0.5,0.5,0.75,0.333333,0.5,0.4,1,2,1'
    assert tables.confusion_table(measured).splitlines() == [
        'object,prediction,count',
        '猫,猫,1',
        '"a,b",猫,1',
        '(background),c,1',
    ]


def test_a_class_whose_name_looks_like_a_formula_is_text_to_spreadsheets(tmp_path):
    truth = [(0, 0, [0.0, 0, 100, 100], False)]
    found = [(0, 1, [0.0, 0, 100, 100], 0.75)]
    measured = measure(sets.validate(tmp_path, truth, found, 2, 1), ['=1+1', '-b'])
    lines = tables.class_table(measured, [-5, 6]).splitlines()
    assert [line.split(',')[:2] for line in lines[1:3]] == [["'=1+1", '-5'], ["'-b", '6']]
    assert tables.confusion_table(measured).splitlines()[1] == "'=1+1,(background),1"
