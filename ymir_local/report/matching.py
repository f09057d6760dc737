"""COCO's matching of predictions to labels and its average precision, on flat arrays.

As pycocotools: within an image and a class, predictions in order of falling score each take the free label with the
largest IoU of at least the threshold (of equal ones the last); 100 predictions count; precision is made to fall and is
read at 101 recalls. There is no loop over boxes: the n-th best predictions of all images and classes choose at once,
which is the same, since no two of them can want one label.

Labels that do not count (COCO's crowds, VOC's difficult objects) take no part in that: a prediction that is left
without a label and reaches one of them does not count either, however many do.
"""

from dataclasses import dataclass

import numpy as np

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALL_THRESHOLDS = np.linspace(0.0, 1.0, 101)
MAX_PER_CLASS = 100


@dataclass(frozen=True)
class Boxes:
    """Boxes of many images.

    Args:
        image: (N,) index of the image.
        label: (N,) class index.
        xywh: (N, 4) in pixels.
        score: (N,) 1 for labels.
    """

    image: np.ndarray
    label: np.ndarray
    xywh: np.ndarray
    score: np.ndarray

    @classmethod
    def of(cls, rows: list) -> 'Boxes':
        """Make arrays of rows `(image, label, x, y, w, h, score)`."""
        table = np.array(rows, np.float64).reshape(-1, 7)
        return cls(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2:6], table[:, 6])

    def __len__(self) -> int:
        return len(self.image)


def _overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    sides = np.minimum(one[:, :2] + one[:, 2:], other[:, :2] + other[:, 2:]) - np.maximum(one[:, :2], other[:, :2])
    return np.where((sides > 0).all(1), sides.prod(1), 0.0)


def iou_of(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the IoU of the boxes of two (N, 4) xywh arrays, row by row; 0 where nothing overlaps."""
    inter = _overlap(one, other)
    union = one[:, 2:].prod(1) + other[:, 2:].prod(1) - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=(inter > 0) & (union > 0))


def cover_of(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the share of each (N, 4) xywh box inside the box of the other array, row by row; COCO's IoU of crowds."""
    inter = _overlap(one, other)
    area = one[:, 2:].prod(1)
    return np.divide(inter, area, out=np.zeros_like(inter), where=area > 0)


def pairs_within(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all pairs of rows of equal key.

    Args:
        first: (N,) integer keys.
        second: (M,) integer keys.

    Returns:
        Two (P,) arrays: the row in `first` and the row in `second`, the latter rising for each of the former.
    """
    order = np.argsort(second, kind='stable')
    begin, end = (np.searchsorted(second[order], first, side) for side in ('left', 'right'))
    count = end - begin
    rows = np.repeat(np.arange(len(first)), count)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
    return rows, order[begin[rows] + within]


def rank_within(key: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return (N,) place of each row among those of its key, 0 for the highest score; equal scores keep their order."""
    order = np.lexsort((np.arange(len(key)), -score, key))
    starts = np.searchsorted(key[order], key[order])
    rank = np.empty(len(key), np.int64)
    rank[order] = np.arange(len(key)) - starts
    return rank


def match(found: Boxes, truth: Boxes, by_class: bool = True, thresholds: np.ndarray = IOU_THRESHOLDS) -> np.ndarray:
    """Match predictions to labels.

    Args:
        found: predictions.
        truth: labels.
        by_class: only boxes of one class match.
        thresholds: (T,) least IoU.

    Returns:
        (T, N) row of the label that a prediction took, -1 for none and for those beyond 100 in an image and class.
    """
    taken = np.full((len(thresholds), len(found)), -1, np.int64)
    if not len(found) or not len(truth):
        return taken
    classes = int(max(found.label.max(), truth.label.max())) + 1
    found_key, truth_key = (
        (boxes.image * classes + boxes.label) if by_class else boxes.image for boxes in (found, truth)
    )
    rank = rank_within(found_key, found.score)
    counted = np.flatnonzero((rank < MAX_PER_CLASS) | (not by_class))
    one, other = pairs_within(found_key[counted], truth_key)
    one = counted[one]
    iou = iou_of(found.xywh[one], truth.xywh[other])
    # pycocotools takes thresholds up to 1 - 1e-10
    keep = iou >= min(thresholds.min(), 1 - 1e-10)
    one, other, iou = one[keep], other[keep], iou[keep]
    order = np.lexsort((other, iou, one, rank[one]))
    one, other, iou = one[order], other[order], iou[order]
    bounds = np.append(np.flatnonzero(np.diff(rank[one], prepend=-1)), len(one))
    for level, threshold in enumerate(thresholds):
        free = np.ones(len(truth), bool)
        for begin, end in zip(bounds[:-1], bounds[1:]):
            step = np.arange(begin, end)
            step = step[free[other[step]] & (iou[step] >= min(threshold, 1 - 1e-10))]
            best = step[np.append(one[step][1:] != one[step][:-1], True)] if len(step) else step
            taken[level, one[best]] = other[best]
            free[other[best]] = False
    return taken


def reached(found: Boxes, uncounted: Boxes, crowd: np.ndarray, thresholds: np.ndarray = IOU_THRESHOLDS) -> np.ndarray:
    """Return which predictions reach a label of their class that does not count.

    Args:
        found: predictions.
        uncounted: crowds and difficult objects.
        crowd: (M,) which of them are crowds: a prediction reaches those by the share of it that lies inside.
        thresholds: (T,) least IoU, or share.

    Returns:
        (T, N) booleans.
    """
    best = np.zeros(len(found))
    if len(found) and len(uncounted):
        classes = int(max(found.label.max(), uncounted.label.max())) + 1
        one, other = pairs_within(found.image * classes + found.label, uncounted.image * classes + uncounted.label)
        boxes = found.xywh[one], uncounted.xywh[other]
        np.maximum.at(best, one, np.where(crowd[other], cover_of(*boxes), iou_of(*boxes)))
    return best >= np.minimum(thresholds, 1 - 1e-10)[:, None]


def precision_recall(score: np.ndarray, hit: np.ndarray, num_truth: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the curves over falling score.

    Args:
        score: (N,) of the predictions of one class.
        hit: (N,) whether each took a label.
        num_truth: labels of the class, at least 1.

    Returns:
        Scores, precision and recall, (N,) each.
    """
    order = np.argsort(-score, kind='stable')
    true = np.cumsum(hit[order]).astype(np.float64)
    return score[order], true / np.arange(1, len(order) + 1), true / num_truth


def interpolated(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    """Return (101,) precision, made to fall, at the recalls 0, 0.01, ..., 1; 0 beyond the last."""
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(recall, RECALL_THRESHOLDS, 'left')
    return np.where(place < len(falling), np.append(falling, 0.0)[np.minimum(place, len(falling))], 0.0)
