"""Accuracy of predictions against labels: per class, per image, and mistake by mistake.

AP is COCO's. Everything that needs one decision per object (found, precision, confusion, mistakes) counts predictions
from one score upwards: the one with the best F1 over all classes together, at IoU 0.5. Crowds and difficult objects are
neither found nor missed, and predictions that reach nothing else are neither right nor wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .matching import (
    IOU_THRESHOLDS,
    MAX_PER_CLASS,
    Boxes,
    interpolated,
    iou_of,
    match,
    pairs_within,
    precision_recall,
    rank_within,
    reached,
)

NEAR = 0.1  # least IoU at which a prediction is badly placed and not on background
KINDS = ('wrong class', 'badly placed', 'background', 'duplicate', 'missed')


class ClassResult(NamedTuple):
    """Return one row of the table; ratios are NaN where nothing defines them.

    Args:
        num_truth: labels.
        num_found: labels found at the common score.
        num_predicted: predictions at the common score.
        precision, recall: at the common score.
        ap, ap50: COCO's AP over IoU 0.5 to 0.95, and at 0.5.
        best_score, best_f1: where F1 is best for this class, and that F1.
        curve: (101,) precision at recalls 0 to 1, at IoU 0.5.
    """

    num_truth: int
    num_found: int
    num_predicted: int
    precision: float
    recall: float
    ap: float
    ap50: float
    best_score: float
    best_f1: float
    curve: np.ndarray


class Mistake(NamedTuple):
    """One mistake.

    Args:
        kind: one of KINDS.
        image: index of the image.
        found: row of the prediction, -1 for a missed label.
        truth: row of the label that was missed, taken for another class, hit again or nearly hit; -1: none.
    """

    kind: str
    image: int
    found: int
    truth: int


@dataclass(frozen=True)
class Evaluation:
    """All results.

    Args:
        found, truth: predictions and labels.
        classes: one result per class.
        score: the common score.
        map, map50: means over the classes that have labels; NaN without any.
        confusion: (C + 1, C + 1) labels (rows) by predictions (columns) at the common score, each box once; the last
            row counts predictions that are left without a label, the last column labels without a prediction.
        matched: (N,) label that each prediction found, -1 for none and below the common score.
        hit: (N,) whether a prediction took a label, whatever its score.
        neutral: (N,) whether a prediction is neither right nor wrong.
        mistakes: the most confident first, of the missed labels the largest.
        errors: (I,) mistakes per image.
    """

    found: Boxes
    truth: Boxes
    classes: list[ClassResult]
    score: float
    map: float
    map50: float
    confusion: np.ndarray
    matched: np.ndarray
    hit: np.ndarray
    neutral: np.ndarray
    mistakes: list[Mistake]
    errors: np.ndarray


def evaluate(
    found: Boxes,
    truth: Boxes,
    num_classes: int,
    num_images: int,
    uncounted: Boxes | None = None,
    crowd: np.ndarray | None = None,
) -> Evaluation:
    """Compare predictions with labels.

    Args:
        found: predictions.
        truth: labels.
        num_classes: how many classes there are.
        num_images: how many images there are.
        uncounted: labels that do not count, if there are any.
        crowd: (M,) which of those are crowds; the others are difficult objects.
    """
    taken = match(found, truth)
    hit = taken[0] >= 0
    neutral = np.zeros(taken.shape, bool)
    if uncounted is not None:
        neutral = (taken < 0) & reached(found, uncounted, np.zeros(len(uncounted), bool) if crowd is None else crowd)
    counted = rank_within(found.image * max(num_classes, 1) + found.label, found.score) < MAX_PER_CLASS
    judged = counted & ~neutral[0]
    score = best_f1(found.score[judged], hit[judged], len(truth))[0]
    shown = judged & (found.score >= score)
    classes = [_class_result(found, truth, taken, counted & ~neutral, shown, label) for label in range(num_classes)]
    with_labels = [result for result in classes if result.num_truth]
    matched = np.where(shown, taken[0], -1)
    mistakes = _mistakes(found, truth, matched, shown)
    confusion = np.zeros((num_classes + 1, num_classes + 1), np.int64)
    right = matched >= 0
    np.add.at(confusion, (truth.label[matched[right]], found.label[right]), 1)
    used = set(matched[right].tolist())
    errors = np.zeros(num_images, np.int64)
    for item in mistakes:
        errors[item.image] += 1
        if item.kind == 'wrong class' and item.truth not in used:
            confusion[truth.label[item.truth], found.label[item.found]] += 1
            used.add(item.truth)
        elif item.kind != 'missed':
            confusion[-1, found.label[item.found]] += 1
    confusion[:-1, -1] = np.bincount(truth.label, minlength=num_classes) - confusion[:-1, :-1].sum(1)
    return Evaluation(
        found,
        truth,
        classes,
        score,
        _mean([result.ap for result in with_labels]),
        _mean([result.ap50 for result in with_labels]),
        confusion,
        matched,
        hit,
        neutral[0],
        mistakes,
        errors,
    )


def best_f1(score: np.ndarray, hit: np.ndarray, num_truth: int) -> tuple:
    """Return the score from which upwards F1 is best, and that F1; the highest of equal ones; (0, NaN) without any."""
    if not len(score) or not num_truth:
        return 0.0, float('nan')
    scores, precision, _ = precision_recall(score, hit, num_truth)
    count = np.arange(1, len(scores) + 1)
    f1 = 2 * precision * count / (count + num_truth)
    last = np.append(scores[1:] != scores[:-1], True)  # equal scores are kept or left together
    best = int(np.argmax(np.where(last, f1, -1)))
    return float(scores[best]), float(f1[best])


def _class_result(
    found: Boxes, truth: Boxes, taken: np.ndarray, judged: np.ndarray, shown: np.ndarray, label: int
) -> ClassResult:
    """Return one row of the table; `judged` (T, N) predictions count at each IoU, `shown` (N,) are drawn."""
    mine = found.label == label
    num_truth = int((truth.label == label).sum())
    num_predicted, num_found = int((mine & shown).sum()), int((mine & shown & (taken[0] >= 0)).sum())
    precision = num_found / num_predicted if num_predicted else float('nan')
    if not num_truth:
        nan = float('nan')
        return ClassResult(0, 0, num_predicted, precision, nan, nan, nan, nan, nan, np.full(101, nan))
    rows = np.flatnonzero(mine)
    rows = rows[np.argsort(found.image[rows], kind='stable')]  # COCO takes equal scores in the order of the images
    levels = [(rows[keep[rows]], row) for keep, row in zip(judged, taken)]
    curves = [interpolated(*precision_recall(found.score[kept], row[kept] >= 0, num_truth)[1:]) for kept, row in levels]
    kept = levels[0][0]
    best_score, f1 = best_f1(found.score[kept], taken[0][kept] >= 0, num_truth)
    return ClassResult(
        num_truth,
        num_found,
        num_predicted,
        precision,
        num_found / num_truth,
        float(np.mean(curves)),
        float(np.mean(curves[0])),
        best_score if f1 > 0 else float('nan'),
        f1,
        curves[0],
    )


def _mistakes(found: Boxes, truth: Boxes, matched: np.ndarray, shown: np.ndarray) -> list[Mistake]:
    """Return what is wrong with each prediction without a label; a label is missed if no such prediction is at it."""
    loose = np.flatnonzero(shown & (matched < 0))
    free = np.setdiff1d(np.arange(len(truth)), matched[matched >= 0])
    other = match(_take(found, loose), _take(truth, free), by_class=False, thresholds=IOU_THRESHOLDS[:1])[0]
    # A free label of the same class at IoU 0.5 would have been taken before: what matches now is of another class.
    confused = {int(loose[k]): int(free[row]) for k, row in enumerate(other) if row >= 0}
    one, two = pairs_within(found.image[loose], truth.image)
    iou = iou_of(found.xywh[loose[one]], truth.xywh[two])
    same = found.label[loose[one]] == truth.label[two]
    order = np.lexsort((iou, one))
    nearest, other_class = (
        {int(loose[one[k]]): (float(iou[k]), int(two[k])) for k in order[which[order]]}  # the largest comes last
        for which in (same, ~same)
    )
    mistakes = []
    for row in loose[np.argsort(-found.score[loose], kind='stable')].tolist():
        image = int(found.image[row])
        near, label = nearest.get(row, (0.0, -1))
        if row in confused:
            mistakes.append(Mistake('wrong class', image, row, confused[row]))
        elif near >= IOU_THRESHOLDS[0]:
            mistakes.append(Mistake('duplicate', image, row, label))
        elif other_class.get(row, (0.0, -1))[0] >= IOU_THRESHOLDS[0]:  # its label has been found by another prediction
            mistakes.append(Mistake('wrong class', image, row, other_class[row][1]))
        elif near >= NEAR:
            mistakes.append(Mistake('badly placed', image, row, label))
        else:
            mistakes.append(Mistake('background', image, row, -1))
    near_hits = [item.truth for item in mistakes if item.kind == 'badly placed']
    missed = np.setdiff1d(free, [*confused.values(), *near_hits])
    missed = missed[np.argsort(-truth.xywh[missed, 2:].prod(1), kind='stable')]
    return mistakes + [Mistake('missed', int(truth.image[row]), -1, int(row)) for row in missed]


def _take(boxes: Boxes, rows: np.ndarray) -> Boxes:
    return Boxes(boxes.image[rows], boxes.label[rows], boxes.xywh[rows], boxes.score[rows])


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float('nan')
