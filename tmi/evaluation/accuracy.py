"""Numbers of a validation: per class the best score threshold and what it brings, and which class is taken for which.

A prediction is right if it takes an object of its class at IoU 0.5, as for COCO's average precision; one that takes a
crowd does not count. The suggested threshold of a class is the score from which upwards its F1 is best; that of all
classes together is found alike, and the confusion matrix counts predictions from it upwards. The reports of
platforms have the same definitions.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mmyolo.evaluation.validation_result import ValidationResult
from mmyolo.tools.analysis.confusion_matrix import box_record, count_boxes, match_boxes

IOU = 0.5
CHUNK = 100_000  # predictions that are matched at once, which bounds memory
GRID = np.linspace(0, 1, 101)  # scores at which F1 is drawn
WRONG, RIGHT, NEUTRAL = 0, 1, -1


class Threshold(NamedTuple):
    """The score from which upwards F1 is best, and what there is then; the highest of equal ones.

    Args:
        score: From 0 to 1; NaN if nothing right is found.
        precision, recall, f1: NaN without objects.
        tp, fp, fn: Predictions that are right and wrong, and objects that are not found.
    """

    score: float
    precision: float
    recall: float
    f1: float
    tp: int
    fp: int
    fn: int


class ClassAccuracy(NamedTuple):
    """One class; NaN where nothing defines a number.

    Args:
        name: Of the class.
        objects: Labelled ones, without crowds.
        ap: COCO's average precision over IoU 0.5 to 0.95.
        ap50: At IoU 0.5.
        ar: COCO's average recall over IoU 0.5 to 0.95.
        best: At the threshold that is best for this class.
    """

    name: str
    objects: int
    ap: float
    ap50: float
    ar: float
    best: Threshold


@dataclass(frozen=True)
class Accuracy:
    """All numbers of a validation.

    Args:
        classes: One of each class.
        best: At the threshold that is best for all classes together.
        confusion: (C + 1, C + 1) objects (rows) by predictions (columns) from that threshold upwards, each box once;
            the last row counts predictions without an object, the last column objects without a prediction.
        curves: (R, C) precision at R recalls from 0 to 1, at IoU 0.5.
        f1: (101, C) F1 of each class from each score of `GRID` upwards.
        f1_all: (101,) of all classes together.
    """

    classes: list[ClassAccuracy]
    best: Threshold
    confusion: np.ndarray
    curves: np.ndarray
    f1: np.ndarray
    f1_all: np.ndarray

    @property
    def names(self) -> list[str]:
        return [one.name for one in self.classes]

    @property
    def num_objects(self) -> int:
        return sum(one.objects for one in self.classes)


def measure(result: ValidationResult, class_names: Sequence[str]) -> Accuracy:
    """Compute the numbers of a validation.

    Args:
        result: What the validation kept.
        class_names: By label.

    Raises:
        ValueError: the validation was about another number of classes.
    """
    if result.num_classes != len(class_names):
        raise ValueError(f'the validation was about {result.num_classes} classes, not {len(class_names)}')
    chunks = list(_chunks(result))
    outcomes = np.zeros(len(result.scores), np.int8)
    for rows, objects in chunks:
        outcomes[rows] = _outcomes(result, rows, objects)
    judged = outcomes != NEUTRAL
    scores, labels, right = result.scores[judged], result.labels[judged], outcomes[judged] == RIGHT
    counts = np.bincount(result.object_labels[~result.crowds], minlength=result.num_classes)
    by_label = np.argsort(labels, kind='stable')
    borders = np.searchsorted(labels[by_label], np.arange(result.num_classes + 1))
    classes, f1 = [], np.full((len(GRID), result.num_classes), np.nan)
    for label, name in enumerate(class_names):
        mine = by_label[borders[label] : borders[label + 1]]
        best = best_threshold(scores[mine], right[mine], int(counts[label]))
        averages = (float(values[label]) for values in (result.ap, result.ap50, result.ar))
        classes.append(ClassAccuracy(name, int(counts[label]), *averages, best))
        f1[:, label] = f1_from(GRID, scores[mine], right[mine], int(counts[label]))
    num_objects = int(counts.sum())
    best = best_threshold(scores, right, num_objects)
    confusion = np.zeros((result.num_classes + 1,) * 2, np.int64)
    for rows, objects in chunks if num_objects else ():
        shown = rows[result.scores[rows] >= best.score] if best.tp else rows[:0]
        confusion += count_boxes(_objects(result, objects), _detections(result, shown), result.num_classes, IOU)
    return Accuracy(classes, best, confusion, result.curves, f1, f1_from(GRID, scores, right, num_objects))


def best_threshold(scores: np.ndarray, right: np.ndarray, num_objects: int) -> Threshold:
    """Find the score from which upwards F1 is best.

    Args:
        scores: (n,) of predictions.
        right: (n,) bool.
        num_objects: That are to be found.
    """
    nothing = Threshold(math.nan, math.nan, 0.0, 0.0, 0, 0, num_objects)
    if not num_objects:
        return nothing._replace(recall=math.nan, f1=math.nan)
    if not right.any():
        return nothing
    order = np.argsort(-scores, kind='stable')
    falling, found = scores[order], np.cumsum(right[order])
    f1 = 2 * found / (np.arange(1, len(falling) + 1) + num_objects)
    is_last = np.append(falling[1:] != falling[:-1], True)  # equal scores are kept or left together
    place = int(np.argmax(np.where(is_last, f1, -1)))
    tp, kept = int(found[place]), place + 1
    return Threshold(
        float(falling[place]), tp / kept, tp / num_objects, float(f1[place]), tp, kept - tp, num_objects - tp
    )


def f1_from(thresholds: np.ndarray, scores: np.ndarray, right: np.ndarray, num_objects: int) -> np.ndarray:
    """Return F1 of the predictions from each score upwards, (T,); NaN without objects.

    Args:
        thresholds: (T,) scores.
        scores: (n,) of predictions.
        right: (n,) bool.
        num_objects: That are to be found.
    """
    if not num_objects:
        return np.full(len(thresholds), np.nan)
    kept, found = (
        len(values) - np.searchsorted(values, thresholds) for values in (np.sort(scores), np.sort(scores[right]))
    )
    return 2 * found / (kept + num_objects)


def _chunks(result: ValidationResult) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the predictions and objects of some images after the others, by their rows."""
    images, places = np.unique(np.concatenate([result.image_ids, result.object_image_ids]), return_inverse=True)
    rows, objects = (
        np.argsort(values, kind='stable') for values in (places[: len(result.scores)], places[len(result.scores) :])
    )
    of_rows, of_objects = places[rows], places[len(result.scores) + objects]
    start = 0
    while start < len(images):
        first = np.searchsorted(of_rows, start)
        last = min(first + CHUNK, len(rows) - 1)
        end = max(int(of_rows[last]), start + 1) if last < len(rows) - 1 else len(images)
        yield tuple(
            values[slice(*np.searchsorted(of_values, [start, end]))]
            for values, of_values in ((rows, of_rows), (objects, of_objects))
        )
        start = end


def _outcomes(result: ValidationResult, rows: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Return whether each of some predictions is right, (n,)."""
    found = np.full(len(rows), WRONG, np.int8)
    if not len(rows) or not len(objects):
        return found
    truth = _objects(result, objects)
    for place, taken in match_boxes(truth, _detections(result, rows), IOU).items():
        found[place] = NEUTRAL if truth[taken]['iscrowd'] else RIGHT
    return found


def _objects(result: ValidationResult, rows: np.ndarray) -> list[dict[str, Any]]:
    columns = (result.object_image_ids, result.object_labels, result.object_boxes, result.crowds)
    return [
        box_record(image, box, label, iscrowd=int(crowd))
        for image, label, box, crowd in zip(*(values[rows].tolist() for values in columns))
    ]


def _detections(result: ValidationResult, rows: np.ndarray) -> list[dict[str, Any]]:
    columns = (result.image_ids, result.labels, result.boxes, result.scores)
    return [
        box_record(image, box, label, score=score)
        for image, label, box, score in zip(*(values[rows].tolist() for values in columns))
    ]
