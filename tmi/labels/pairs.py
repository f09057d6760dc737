"""Which prediction and which label of an image are about the same object, whatever the class of either."""

from typing import NamedTuple

import numpy as np

from tmi.inference.shards import Prediction
from tmi.mining.matching import MIN_IOU, iou_matrix
from tmi.training.examination import Labels

SAME_OBJECT_IOU = 0.65  # two predictions that overlap more are about one object, whatever their classes
LEAST_IOU = 0.1  # of a prediction and a label of its class, for the label to be a poor box of what is predicted


class PredictedBoxes(NamedTuple):
    """What a model predicts in an image, best first.

    Args:
        boxes: (n, 4) xyxy in pixels of the image.
        labels: (n,) positions in class_names.
        scores: (n,) in [0, 1].
        support: (n,) boxes before NMS that agree with each, at least 1.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    support: np.ndarray

    @classmethod
    def of(cls, prediction: Prediction) -> 'PredictedBoxes':
        """Return the boxes of a prediction of mining."""
        return cls(
            np.array(prediction.boxes, float).reshape(-1, 4),
            np.array(prediction.labels, int),
            np.array(prediction.scores, float),
            np.array(prediction.support, float),
        )


class Pairs(NamedTuple):
    """Labels and predictions of an image that are about the same object.

    Args:
        leading: (n,) bool, predictions that no better one stands for; the others are second opinions on an object.
        same: (n, n) bool, the best prediction of each class that is about the same object as a leading prediction.
        total: (n,) in [0, 1], probability of an object of any class, as if those of the classes were independent.
        label_of: (n,) the label of a prediction, -1 for none.
        prediction_of: (m,) the prediction of a label, -1 for none.
        iou: (m, n) of labels and predictions.
        repeated: (n,) bool, predictions without a label of their own at one that has its prediction, or at a crowd.
    """

    leading: np.ndarray
    same: np.ndarray
    total: np.ndarray
    label_of: np.ndarray
    prediction_of: np.ndarray
    iou: np.ndarray
    repeated: np.ndarray


class Case(NamedTuple):
    """An image with its pairs; `size` is (width, height) in pixels."""

    labels: Labels
    found: PredictedBoxes
    pairs: Pairs
    size: tuple[float, float]


def pair(labels: Labels, found: PredictedBoxes) -> Pairs:
    """Pair the labels and the predictions of an image, each with one other at most.

    Leading predictions choose by descending score: a free label of their class with the largest IoU of at least 0.5;
    those left over, such a label of any class; those left over then, a free label of their class with the largest IoU
    of at least `LEAST_IOU`.

    Args:
        labels: Of the image.
        found: What the model predicts there.

    Returns:
        The pairs.
    """
    iou = iou_matrix(labels.boxes, found.boxes)
    leading, about = _leading(found)
    same = labels.classes[:, None] == found.labels[None, :]
    label_of, prediction_of = np.full(len(found.scores), -1), np.full(len(labels.classes), -1)
    for allowed in (same & (iou >= MIN_IOU), iou >= MIN_IOU, same & (iou >= LEAST_IOU)):
        values = np.where(allowed & ~labels.crowd[:, None], iou, 0.0)
        for place in np.flatnonzero(leading & (label_of < 0) & values.any(axis=0)):
            choice = np.where(prediction_of < 0, values[:, place], 0.0)
            best = int(choice.argmax())
            if choice[best] > 0:
                label_of[place], prediction_of[best] = best, place
    crowds = labels.boxes[labels.crowd]
    in_crowd = iou_matrix(found.boxes, crowds, np.ones(len(crowds), bool)) >= MIN_IOU
    repeated = (label_of < 0) & ((iou >= MIN_IOU).any(axis=0) | in_crowd.any(axis=1))
    total = 1 - np.where(about, 1 - found.scores, 1.0).prod(axis=1)
    return Pairs(leading, about, total, label_of, prediction_of, iou, repeated)


def _leading(found: PredictedBoxes) -> tuple[np.ndarray, np.ndarray]:
    """Return which predictions overlap no better leading one by more than `SAME_OBJECT_IOU`, and `Pairs.same`."""
    count = len(found.scores)
    leading, same = np.ones(count, bool), np.zeros((count, count), bool)
    overlap = np.triu(iou_matrix(found.boxes, found.boxes) > SAME_OBJECT_IOU, 1)
    for place in range(count):
        if leading[place]:
            about = np.flatnonzero(overlap[place] & leading)
            leading[about] = False
            about = np.concatenate([[place], about])
            same[place, about[np.unique(found.labels[about], return_index=True)[1]]] = True
    return leading, same
