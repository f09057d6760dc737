"""Labels worth another look: planted damage comes first; hard objects and classes that score low are no damage."""

from collections import Counter

import pytest

from tests.tmi.labels.simulated import CLASSES, draw, examined, spoil
from tmi.inference.shards import Prediction
from tmi.labels.check import KINDS, LEAST_DOUBT, check_labels
from tmi.labels.pairs import PredictedBoxes, pair
from ymir_exc import label_check


def doubts_of(scenes):
    return check_labels(scenes.examined(), len(CLASSES), 0.0)


def is_hit(doubt, spoilt):
    """Whether a doubt is about the damaged label, or about the object that has lost its label."""
    row = spoilt.get((doubt.kind, int(doubt.path)))
    if row is None:
        return False
    if doubt.kind == 'missing':
        return max(abs(a - b) for a, b in zip(doubt.prediction.xyxy, row[1:])) < 0.2 * (row[3] - row[1])
    return (doubt.label.label, *doubt.label.xyxy) == row


@pytest.mark.parametrize('seed', [1, 2])
def test_damage_comes_first(seed):
    scenes = draw(200, seed)
    spoilt = spoil(scenes, 0.05, seed)
    first = doubts_of(scenes)[: len(spoilt)]
    hits = [doubt for doubt in first if is_hit(doubt, spoilt)]
    assert len(hits) >= 0.8 * len(spoilt) > 20
    wanted, found = Counter(kind for kind, _ in spoilt), Counter(doubt.kind for doubt in hits)
    assert all(found[kind] >= 0.65 * wanted[kind] for kind in KINDS), (wanted, found)


def test_scores_are_about_the_share_of_wrong_labels():
    likely, hits = 0, 0
    for seed in range(3):
        scenes = draw(150, seed)
        spoilt = spoil(scenes, 0.05, seed)
        doubts = [doubt for doubt in doubts_of(scenes) if doubt.score >= 0.5]
        likely += len(doubts)
        hits += sum(is_hit(doubt, spoilt) for doubt in doubts)
    assert likely > 40 and hits / likely >= 0.7


def test_without_damage_hardly_a_label_is_likely_wrong():
    scenes = draw(150, 5)
    likely = [doubt for doubt in doubts_of(scenes) if doubt.score >= 0.5]
    assert len(likely) < 0.02 * sum(map(len, scenes.labels))


def test_the_order_of_images_changes_nothing():
    scenes = draw(60, 3)
    spoil(scenes, 0.05, 3)
    forward = check_labels(scenes.examined(), len(CLASSES), 0.0)
    backward = check_labels(scenes.examined()[::-1], len(CLASSES), 0.0)
    assert {one[:-1]: one.score for one in backward} == pytest.approx(
        {one[:-1]: one.score for one in forward}, rel=1e-6
    )
    assert [one.score for one in forward] == sorted((one.score for one in forward), reverse=True)


def test_only_what_is_doubtful_is_returned():
    scenes = draw(60, 3)
    spoil(scenes, 0.05, 3)
    every = check_labels(scenes.examined(), len(CLASSES), 0.0)
    assert check_labels(scenes.examined(), len(CLASSES)) == [one for one in every if one.score >= LEAST_DOUBT]
    assert any(one.score < LEAST_DOUBT for one in every)


def test_images_that_were_trained_on_are_judged_apart():
    """On new images the model misses much; that is no reason to doubt less what it misses where it was trained."""
    trained, new = draw(150, 11), draw(150, 12)
    for rows in new.found[::2]:
        rows.clear()
    trained.labels.append([(0, 100, 100, 200, 200)])
    trained.found.append([])
    images = [*trained.examined(), *(image._replace(is_training=False) for image in new.examined())]
    together = check_labels(images, len(CLASSES), 0.0)
    assert [one for one in together if one.is_training] == doubts_of(trained)
    assert score_at(together, 150, 'extra') > 0.6
    assert max(one.score for one in together if not one.is_training and one.kind == 'extra') < 0.4


def score_at(doubts, image, kind):
    return max((doubt.score for doubt in doubts if doubt.path == str(image) and doubt.kind == kind), default=0.0)


def with_two_more(scenes, first, second):
    """Adds two images with the rows (label or None, prediction or None) each."""
    for label, found in (first, second):
        scenes.labels.append([label] if label else [])
        scenes.found.append([found] if found else [])
    return len(scenes.labels) - 2, len(scenes.labels) - 1


def test_a_missing_label_is_judged_by_what_its_class_scores():
    """A score of 0.4 is much for a class whose good boxes have 0.4, and little for one whose good boxes have 0.9."""
    scenes = draw(150, 6)
    box = (100, 100, 200, 200)
    low, high = with_two_more(scenes, (None, (2, 0.4, 6, *box)), (None, (0, 0.4, 6, *box)))
    doubts = doubts_of(scenes)
    assert score_at(doubts, low, 'missing') > 0.8 and score_at(doubts, high, 'missing') < 0.5


def test_a_label_that_is_not_seen_is_judged_by_its_class_and_size():
    """Small objects of class 3 are often missed, large ones and small ones of class 1 are not."""
    scenes = draw(250, 7)
    small, large = (100, 100, 120, 120), (100, 100, 200, 200)
    hard, easy = with_two_more(scenes, ((3, *small), None), ((3, *large), None))
    other, _ = with_two_more(scenes, ((1, *small), None), (None, None))
    doubts = doubts_of(scenes)
    assert score_at(doubts, hard, 'extra') < 0.2
    assert score_at(doubts, easy, 'extra') > 0.6
    assert score_at(doubts, other, 'extra') > 2 * score_at(doubts, hard, 'extra')


def test_a_loose_box_is_judged_by_how_boxes_fit():
    scenes = draw(150, 8)
    label = (0, 100, 100, 200, 200)
    shifted, usual = with_two_more(
        scenes, (label, (0, 0.9, 9, 140, 100, 240, 200)), (label, (0, 0.9, 9, 103, 100, 203, 200))
    )
    inside, unsure = with_two_more(
        scenes, (label, (0, 0.9, 9, 120, 100, 220, 200)), (label, (0, 0.1, 1, 140, 100, 240, 200))
    )
    doubts = doubts_of(scenes)
    assert score_at(doubts, shifted, 'loose') > 0.6 and score_at(doubts, inside, 'loose') > 0.35  # IoU 0.43 and 0.67
    assert score_at(doubts, usual, 'loose') < 0.2
    assert score_at(doubts, unsure, 'loose') < score_at(doubts, shifted, 'loose')


def test_a_second_opinion_for_the_label_takes_doubt_away():
    scenes = draw(150, 9)
    label, found = (1, 100, 100, 200, 200), (0, 0.9, 9, 100, 100, 200, 200)
    sure, torn = with_two_more(scenes, (label, found), (label, found))
    scenes.found[torn].append((1, 0.8, 9, 101, 100, 201, 200))
    doubts = doubts_of(scenes)
    assert score_at(doubts, sure, 'class') > 0.6 and score_at(doubts, torn, 'class') < 0.3


BOX = (100, 100, 200, 200)


@pytest.mark.parametrize('num_labels, num_found', [(0, 0), (3, 0), (0, 3), (1, 1)])
def test_next_to_nothing_to_learn_from(num_labels, num_found):
    boxes = [(10, 10, 50, 50), (60, 60, 90, 90), (100, 100, 120, 130)]
    labels, found = [(0, *box) for box in boxes[:num_labels]], [(0, 0.9, 1, *box) for box in boxes[:num_found]]
    doubts = check_labels([examined('x', labels, found)], 2, 0.0)
    assert all(0 < doubt.score < 1 for doubt in doubts)
    kinds = Counter(doubt.kind for doubt in doubts)
    both = int(num_labels == num_found == 1)
    assert [kinds[kind] for kind in KINDS] == [0, num_found - both, num_labels - both, both]


def test_no_images():
    assert check_labels([], 3) == []


def test_an_unreadable_image_is_left_out():
    image = examined('x', [(0, *BOX)], [])._replace(prediction=Prediction(0, 'x', problem='cut short'))
    assert check_labels([image], 1, 0.0) == []


def test_crowds_are_neither_right_nor_wrong():
    found = [(0, 0.9, 5, 110, 110, 140, 140), (0, 0.8, 5, 300, 300, 340, 340)]
    doubts = check_labels([examined('x', [(0, *BOX)], found, crowds=1)], 1, 0.0)
    assert [(doubt.kind, doubt.prediction.place) for doubt in doubts] == [('missing', 1)]


def test_pairs():
    """A better box of the class goes before one of another class, and a second opinion gets no label."""
    _, labels, prediction = examined(
        'x',
        [(0, 0, 0, 100, 100), (1, 200, 0, 300, 100), (2, 400, 0, 500, 100)],
        [
            (1, 0.9, 1, 0, 0, 100, 100),
            (0, 0.8, 1, 2, 0, 102, 100),
            (1, 0.7, 1, 200, 0, 300, 90),
            (2, 0.6, 1, 450, 0, 550, 100),
            (1, 0.5, 1, 240, 0, 300, 100),
        ],
    )
    pairs = pair(labels, PredictedBoxes.of(prediction))
    assert pairs.leading.tolist() == [True, False, True, True, True]
    assert pairs.label_of.tolist() == [0, -1, 1, 2, -1]
    assert pairs.prediction_of.tolist() == [0, 2, 3]
    assert pairs.repeated.tolist() == [False, True, False, False, True]
    assert pairs.iou[2, 3] == pytest.approx(1 / 3)


def test_kinds_are_those_of_the_table():
    assert KINDS == label_check.KINDS
