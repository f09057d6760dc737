"""The first lines of the page: how good the model is, what goes wrong, what to do next."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from report_pages.charts import number
from ymir_exc.stage_values import main_metric

from ..texts import Text, t
from .evaluation import KINDS, Evaluation

QUALITY = t('report.how good it is')
FAULTS = t('report.what goes wrong')
NEXT = t('report.what to do next')
QUESTIONS = (QUALITY, FAULTS, NEXT)
# At least this share, in words.
SHARES = (
    (1.0, t('report.all')),
    (0.95, t('report.nearly all')),
    (0.75, t('report.most')),
    (0.5 + 1e-9, t('report.more than half')),
    (0.5, t('report.half')),
    (0.25, t('report.fewer than half')),
    (1e-9, t('report.few')),
    (0.0, t('report.none')),
)
KIND_COUNTS = {
    'missed': t('report.n missed'),
    'background': t('report.n on background'),
    'wrong class': t('report.of the wrong class'),
    'badly placed': t('report.n badly placed'),
    'duplicate': t('report.n found twice'),
}
FEW_OBJECTS = 100  # labels below which a number may be off by a tenth
FEW_EXAMPLES = 50  # training objects of a class
WEAKEST = 3
Answers = dict[Text, list['Sentence']]


class Sentence(NamedTuple):
    """A sentence, and the id of the part of the page that shows more."""

    text: Text
    anchor: str = ''


def share_of(part: int, whole: int) -> Text:
    """Return a share in words: 'most' for 8 of 10."""
    share = part / whole if whole else 0.0
    return next(words for least, words in SHARES if share >= least)


def labelled_inference(result: Evaluation, names: Sequence[str]) -> Answers:
    """Return the answers for an inference whose images have labels.

    Args:
        result: the comparison.
        names: class names.
    """
    num_truth = len(result.truth)
    found = int((result.matched >= 0).sum())
    shown = sum(item.num_predicted for item in result.classes)
    if not num_truth:
        return {QUALITY: [Sentence(t('report.no object is labelled so'))]}
    if not len(result.found):
        return {
            QUALITY: [Sentence(t('report.none of the labelled objects', num_truth))],
            NEXT: [Sentence(t('report.check that the model belongs'))],
        }
    quality = [
        Sentence(
            t(
                'report.of the labelled objects are',
                share_of(found, num_truth),
                found,
                num_truth,
                share_of(found, shown),
                found,
                shown,
                f'{result.score:.2f}',
            ),
            'classes',
        ),
        Sentence(t('report.map50 map iou 0 5 to', f'{result.map50:.3f}', f'{result.map:.3f}')),
    ]
    if num_truth < FEW_OBJECTS:
        quality.append(Sentence(t('report.with only labelled objects these', num_truth)))
    return {QUALITY: quality, FAULTS: _faults(result, names), NEXT: _advice(result, names)}


def _faults(result: Evaluation, names: Sequence[str]) -> list[Sentence]:
    counts = _kind_counts(result)
    if not counts:
        return [Sentence(t('report.there are no mistakes on'))]
    listed = [KIND_COUNTS[kind].format(f'{count:,}') for kind, count in counts.items()]
    kinds = Text(', '.join(item.en for item in listed), '，'.join(item.zh for item in listed))
    sentences = [Sentence(kinds, 'mistakes')]
    sentences += _weakest('report.weakest by ap50', [item.ap50 for item in result.classes], names, 'classes')
    if 'wrong class' in counts:
        label, prediction, count = _most_confused(result)
        sentences.append(
            Sentence(t('report.wrong class most often where', names[prediction], names[label], count), 'wrong-class')
        )
    return sentences


def _weakest(key: str, precisions: Sequence[float], names: Sequence[str], anchor: str) -> list[Sentence]:
    known = sorted((value, name) for value, name in zip(precisions, names) if value == value)
    listed = ', '.join(f'{name} ({value:.3f})' for value, name in known[: min(WEAKEST, len(known) - 1)])
    return [Sentence(t(key, listed), anchor)] if len(known) > 1 else []


def _advice(result: Evaluation, names: Sequence[str]) -> list[Sentence]:
    kind = next(iter(_kind_counts(result)), '')
    if kind == 'missed':
        missed = np.bincount(
            [result.truth.label[item.truth] for item in result.mistakes if item.kind == 'missed'], minlength=len(names)
        )
        worst = int(missed.argmax())
        text = t(
            'report.missed objects are the most common',
            names[worst],
            int(missed[worst]),
            result.classes[worst].num_truth,
        )
    elif kind == 'background':
        text = t('report.boxes on background are the')
    elif kind == 'wrong class':
        label, prediction, _ = _most_confused(result)
        text = t('report.a wrong class is the', names[label], names[prediction])
    elif kind == 'badly placed':
        text = t('report.badly placed boxes are the')
    elif kind == 'duplicate':
        text = t('report.objects found twice are the')
    else:
        return [Sentence(t('report.try images that are harder'))]
    return [Sentence(text, kind.replace(' ', '-'))]


def _kind_counts(result: Evaluation) -> dict[str, int]:
    """Return the kinds of mistakes that occur, the most common first."""
    counts = {kind: sum(item.kind == kind for item in result.mistakes) for kind in KINDS}
    return {kind: count for kind, count in sorted(counts.items(), key=lambda row: -row[1]) if count}


def _most_confused(result: Evaluation) -> tuple[int, int, int]:
    """Return the class of the label, class of the prediction, and how often; there is at least one such mistake."""
    pairs = Counter(
        (int(result.truth.label[item.truth]), int(result.found.label[item.found]))
        for item in result.mistakes
        if item.kind == 'wrong class'
    )
    (label, prediction), count = pairs.most_common(1)[0]
    return label, prediction, count


def plain_inference(num_images: int, num_boxes: int, num_empty: int, ranked: bool) -> Answers:
    """Return the answers for an inference whose images have no labels.

    Args:
        num_images: all images.
        num_boxes: all boxes.
        num_empty: images without boxes.
        ranked: a mining of the same run says what to label next.
    """
    found = t('report.boxes in of images whether', num_boxes, num_images - num_empty, num_images)
    advice = t('report.label first the images with')
    return {QUALITY: [Sentence(found)], NEXT: [] if ranked or not num_images else [Sentence(advice, 'samples')]}


def training(
    metrics: Mapping[str, float],
    best_epoch: object,
    curve: np.ndarray | None,
    num_val: int,
    objects: Sequence[Sequence[int]],
    names: Sequence[str],
    precisions: Sequence[float] = (),
    evaluated: bool = False,
) -> Answers:
    """Return the answers for a training.

    Args:
        metrics: of the best stage, 'mAP' and perhaps 'mAP_50', or 'maskAP' and so on; empty if nothing was saved.
        best_epoch: when it was reached, '' if unknown.
        curve: (N,) accuracy at each validation; None if unknown.
        num_val: validation images.
        objects: training and validation objects of each class; empty if unknown.
        names: class names.
        precisions: average precision of each class, nan without objects; empty if unknown.
        evaluated: the page also shows what the model finds in the validation images.
    """
    answers: Answers = {QUALITY: [], FAULTS: [], NEXT: []}
    name = main_metric(metrics)
    if name is None:
        answers[QUALITY].append(Sentence(t('report.no model was saved')))
        return answers
    text = t('report.the best model has', name, f'{metrics[name]:.3f}')
    if f'{name}_50' in metrics:
        text = t('report.with value at 50', text, f'{name}50', f'{metrics[f"{name}_50"]:.3f}')
    if best_epoch != '':
        text = t('report.reached in epoch', text, best_epoch)
    answers[QUALITY].append(Sentence(t('report.1 is perfect', text), 'models'))
    num_objects = sum(row[1] for row in objects)
    if 0 < num_objects < FEW_OBJECTS:
        answers[QUALITY].append(Sentence(t('report.it was measured on images', num_val, num_objects)))
    if curve is not None and len(curve) >= 4:
        answers[FAULTS].append(Sentence(_course(curve), 'curves'))
    if not evaluated:
        answers[FAULTS] += _weakest('report.weakest by ap', precisions, names, 'data')
    answers[NEXT] += _examples_wanted(objects, names)
    if not evaluated:
        answers[NEXT].append(Sentence(t('report.to see its accuracy by')))
    return answers


def _course(curve: np.ndarray) -> Text:
    """Return how accuracy went, from the last quarter of it."""
    best, quarter = float(np.max(curve)), max(len(curve) // 4, 1)
    last, before = float(np.mean(curve[-quarter:])), float(np.mean(curve[-2 * quarter : -quarter]))
    if best < 0.01:
        return t('report.it has learned next to')
    if last > before * 1.03:
        return t('report.accuracy was still rising at')
    if curve[-1] < 0.9 * best:
        return t('report.accuracy fell from to at', f'{best:.3f}', f'{curve[-1]:.3f}')
    return t('report.accuracy has levelled off more')


def _examples_wanted(objects: Sequence[Sequence[int]], names: Sequence[str]) -> list[Sentence]:
    counts = [row[0] for row in objects]
    if not counts or not sum(counts):
        return []
    few = [(count, name) for count, name in zip(counts, names) if count < max(FEW_EXAMPLES, max(counts) / 10)]
    if not few:
        return []
    listed = ', '.join(f'{name} ({count})' for count, name in sorted(few)[:WEAKEST])
    return [Sentence(t('report.label more objects of the', listed), 'data')]


def labels_to_check(likely: int) -> Answers:
    """Return the answers for the labels that a model contradicts.

    Args:
        likely: how many of them are more likely wrong than right.
    """
    text = t('report.labels more likely wrong', likely) if likely else t('report.hardly a label is contradicted')
    return {NEXT: [Sentence(text, 'labels-to-check')]}


def mining(
    num_images: int, num_shown: int, is_random: bool, high: float, median: float, near_duplicates: int = 0
) -> Answers:
    """Return the answers for a mining.

    Args:
        num_images: in the ranking.
        num_shown: of its top.
        is_random: the order is random.
        high: the highest score; NaN where the scores only repeat the order.
        median: of the scores.
        near_duplicates: images that were passed over.
    """
    if not num_images:
        return {}
    text = t('report.label images from the top', num_shown, num_images)
    if is_random:
        text = t('report.the order is random any')
    elif np.isfinite(high) and high > median:
        text = t('report.scores fall from at the', text, number(high), number(median))
    answers = [Sentence(text, 'top')]
    if near_duplicates:
        answers.append(Sentence(near_duplicates_follow(near_duplicates)))
    return {NEXT: answers}


def near_duplicates_follow(number: int) -> Text:
    """Return the sentence that says that images stand further back, however uncertain they are.

    Args:
        number: of images that were passed over, at least 1.
    """
    return t('report.one near-duplicate follows' if number == 1 else 'report.n near-duplicates follow', number)


def merged(parts: Sequence[Answers]) -> Answers:
    """Return the answers of all parts of a page by question, in order; leave out questions without an answer."""
    joined = {question: [item for part in parts for item in part.get(question, [])] for question in QUESTIONS}
    return {question: items for question, items in joined.items() if items}
