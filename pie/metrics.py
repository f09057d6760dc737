"""Precision, recall, F1 and average precision of boxes, as trainlog.json has them (contract section 8).

A prediction is right if it overlaps a labelled box of its class by an IoU of at least 0.5 that no prediction with a
higher score has taken. The average precision of a class is the area under its curve of precision over recall, where
the precision at a recall is the highest at any recall from there on. P, R and F1 are those at one confidence for all
classes: the one with the highest mean F1. A class without labelled boxes counts 0, and the values of `all` are plain
means over the classes, so that each is the mean of the rows below it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pie.trainlog import ALL

IOU = 0.5
CONFIDENCES = np.arange(1001) / 1000


class Boxes(NamedTuple):
    """Boxes of one image.

    Args:
        boxes: (n, 4), x1, y1, x2, y2 in pixels.
        labels: (n,) class indices.
        scores: (n,) confidences from 0 to 1; ones for labelled boxes.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class Scores:
    """What was measured; arrays have a number for each class.

    Args:
        precision: Share of right ones among the predictions.
        recall: Share of found ones among the labelled boxes.
        f1: 2PR / (P + R).
        average_precision: Area under the curve.
        confidence: At which the first three hold.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    average_precision: np.ndarray
    confidence: float

    def rows(self, names: Sequence[str]) -> dict[str, dict[str, float]]:
        """Return the rows of trainlog.json: `all`, then each class."""
        values = {'P': self.precision, 'R': self.recall, 'F1_score': self.f1, 'mAP': self.average_precision}
        rows = {ALL: {key: float(value.mean()) for key, value in values.items()}}
        for index, name in enumerate(names):
            rows[name] = {key: float(value[index]) for key, value in values.items()}
        return rows


def overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the IoU of boxes.

    Args:
        first: (n, 4), x1, y1, x2, y2.
        second: (m, 4).

    Returns:
        (n, m), 0 where both have no area.
    """
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def match(predicted: Boxes, labelled: Boxes) -> np.ndarray:
    """Return which predictions of one image are right.

    Args:
        predicted: In any order.
        labelled: Of the same image.

    Returns:
        (n,) bool.
    """
    right = np.zeros(len(predicted.scores), bool)
    if not len(right) or not len(labelled.labels):
        return right
    iou = overlaps(predicted.boxes.astype(np.float64), labelled.boxes.astype(np.float64))
    iou[predicted.labels[:, None] != labelled.labels[None]] = 0
    possible = np.flatnonzero(iou.max(axis=1) >= IOU)
    for index in possible[np.argsort(-predicted.scores[possible], kind='stable')]:
        best = int(iou[index].argmax())
        if iou[index, best] >= IOU:
            right[index] = True
            iou[:, best] = 0
    return right


def measure(predicted: Sequence[Boxes], labelled: Sequence[Boxes], num_classes: int) -> Scores:
    """Measure predictions of many images.

    Args:
        predicted: By image.
        labelled: Of the same images.
        num_classes: How many.
    """
    labels = _joined([one.labels for one in predicted]).astype(int)
    scores = _joined([one.scores for one in predicted])
    right = _joined([match(*pair) for pair in zip(predicted, labelled, strict=True)]).astype(bool)
    counts = np.bincount(_joined([one.labels for one in labelled]).astype(int), minlength=num_classes)
    hits = np.zeros((num_classes, len(CONFIDENCES)))
    shown = np.zeros_like(hits)
    average = np.zeros(num_classes)
    for index in range(num_classes):
        own = labels == index
        order = np.argsort(-scores[own], kind='stable')
        ordered, good = scores[own][order], np.cumsum(right[own][order])
        average[index] = _area(good, int(counts[index]))
        shown[index] = np.searchsorted(-ordered, -CONFIDENCES, side='right')
        hits[index] = np.concatenate([[0], good])[shown[index].astype(int)]
    precision = hits / np.maximum(shown, 1)
    recall = hits / np.maximum(counts, 1)[:, None]
    total = precision + recall
    f1 = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
    mean = f1.mean(axis=0)
    best = len(mean) - 1 - int(mean[::-1].argmax())  # of equal ones that with the fewest predictions
    return Scores(precision[:, best], recall[:, best], f1[:, best], average, float(CONFIDENCES[best]))


def image_f1(predicted: Boxes, labelled: Boxes, confidence: float) -> float:
    """Return the F1 of one image over all classes, from 0 to 1; 0 where nothing is labelled."""
    shown = predicted.scores >= confidence
    right = match(Boxes(*(part[shown] for part in predicted)), labelled).sum()
    return float(2 * right / max(shown.sum() + len(labelled.labels), 1))


def _area(good: np.ndarray, count: int) -> float:
    """Return the area under the curve of one class.

    Args:
        good: Right predictions among the first 1, 2, ... by score.
        count: Labelled boxes.
    """
    if not count or not len(good):
        return 0.0
    precision = good / np.arange(1, len(good) + 1)
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.diff(np.concatenate([[0], good])) / count
    return float((highest * steps).sum())


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0)
