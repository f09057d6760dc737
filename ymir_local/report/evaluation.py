"""Accuracy of predictions against labels: per class, per image, and mistake by mistake.

Average precision and every match are those of faster-coco-eval, called as the validation of a training calls it
(mmyolo/evaluation/coco_api.py): IoU 0.5 to 0.95, the 100 best predictions of a class in an image; crowds and difficult
objects are COCO's crowds: neither found nor missed, and a prediction that takes no label and lies in one by half does
not count.

Everything that needs one decision per object (found, precision, confusion, mistakes) counts predictions from one score
upwards: the one with the best F1 over all classes together, at IoU 0.5. The confusion matrix has labels in rows and
predictions in columns and counts each of them once. Predictions choose by falling score, in two rounds: first the free
label of their class with the largest IoU of at least 0.5, as for the average precision; then those left over any label
left over, whatever its class. What is left then is counted in the background's row (predictions) and column (labels).
mmyolo/tools/analysis/confusion_matrix.py has the same definition.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

IOU = 0.5  # from which on a prediction has found a label
NEAR = 0.1  # least IoU at which a prediction is badly placed and not on background
MAX_PER_CLASS = 100
KINDS = ('wrong class', 'badly placed', 'background', 'duplicate', 'missed')


@dataclass(frozen=True)
class BoxTable:
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
    def of(cls, rows: Sequence[Sequence[float]]) -> 'BoxTable':
        """Make arrays of rows `(image, label, x, y, w, h, score)`."""
        table = np.array(rows, np.float64).reshape(-1, 7)
        return cls(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2:6], table[:, 6])

    def __len__(self) -> int:
        return len(self.image)

    def take(self, rows: np.ndarray) -> 'BoxTable':
        """Return the boxes of some rows, given by number or by (N,) booleans."""
        return BoxTable(self.image[rows], self.label[rows], self.xywh[rows], self.score[rows])


NO_BOXES = BoxTable.of([])


class ClassResult(NamedTuple):
    """One row of the table; ratios are NaN where nothing defines them.

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

    found: BoxTable
    truth: BoxTable
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


def run_coco(found: BoxTable, truth: BoxTable, ignored: BoxTable, num_classes: int, **params: Any) -> dict[str, Any]:
    """Evaluate boxes of any size with faster-coco-eval.

    Args:
        found: predictions.
        truth: labels.
        ignored: labels that are neither to be found nor missed.
        num_classes: how many classes there are.
        **params: of the library.

    Returns:
        Its `eval`: 'precision', 'matched' and more. Predictions have ids from 1, labels too, the ignored ones last.
    """
    from faster_coco_eval import COCO, COCOeval_faster  # takes a moment, and only accuracy needs it

    labels = [*_annotations(truth, 1), *_annotations(ignored, len(truth) + 1, iscrowd=1)]
    images = {item['image_id'] for item in labels}.union(found.image.tolist())
    apis = []
    for annotations in labels, list(_annotations(found, 1)):
        apis.append(COCO())
        apis[-1].dataset = {
            'images': [{'id': k} for k in images],
            'categories': [{'id': k} for k in range(num_classes)],
            'annotations': annotations,
        }
        apis[-1].createIndex()
    evaluation = COCOeval_faster(*apis, 'bbox')
    vars(evaluation.params).update(areaRng=[[0, 1e10]], areaRngLbl=['all'], **params)
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation.eval


def match(found: BoxTable, truth: BoxTable, ignored: BoxTable = NO_BOXES, num_classes: int = 1) -> np.ndarray:
    """Match all predictions, also those beyond the 100 best of a class in an image.

    Args:
        found: predictions.
        truth: labels.
        ignored: labels that are neither to be found nor missed.
        num_classes: how many classes there are.

    Returns:
        (N,) row of the label that each prediction takes at IoU 0.5, -1 for none, -2 for one of the ignored.
    """
    taken = np.full(len(found), -1)
    matched = run_coco(found, truth, ignored, num_classes, iouThrs=np.array([IOU]), maxDets=[len(found)])['matched']
    for prediction, label in (map(int, pair.split('_')) for pair in matched):
        taken[prediction - 1] = label - 1 if label <= len(truth) else -2
    return taken


def evaluate(
    found: BoxTable, truth: BoxTable, num_classes: int, num_images: int, ignored: BoxTable = NO_BOXES
) -> Evaluation:
    """Compare predictions with labels.

    Args:
        found: predictions.
        truth: labels.
        num_classes: how many classes there are.
        num_images: how many images there are.
        ignored: crowds and difficult objects.
    """
    precision = run_coco(found, truth, ignored, num_classes, maxDets=[MAX_PER_CLASS])['precision']
    precision = np.asarray(precision)[..., 0, 0]  # (T, 101, C)
    taken = match(found, truth, ignored, num_classes)
    judged = taken != -2
    score = best_f1(found.score[judged], taken[judged] >= 0, len(truth))[0]
    shown = judged & (found.score >= score)
    matched = np.where(shown, taken, -1)
    classes = [
        _class_result(found, truth, taken, judged, shown, precision[:, :, label], label) for label in range(num_classes)
    ]
    with_labels = [result for result in classes if result.num_truth]
    confused = _confused(found, truth, matched, shown)
    mistakes = _mistakes(found, truth, matched, shown, confused)
    pairs = {**{row: int(matched[row]) for row in np.flatnonzero(matched >= 0).tolist()}, **confused}
    confusion = np.zeros((num_classes + 1, num_classes + 1), np.int64)
    for row, label in pairs.items():
        confusion[truth.label[label], found.label[row]] += 1
    confusion[:-1, -1] = np.bincount(truth.label, minlength=num_classes) - confusion[:-1].sum(1)
    confusion[-1, :-1] = np.bincount(found.label[shown], minlength=num_classes) - confusion[:, :-1].sum(0)
    return Evaluation(
        found,
        truth,
        classes,
        score,
        _mean([result.ap for result in with_labels]),
        _mean([result.ap50 for result in with_labels]),
        confusion,
        matched,
        taken >= 0,
        ~judged,
        mistakes,
        np.bincount([item.image for item in mistakes], minlength=num_images),
    )


def best_f1(score: np.ndarray, hit: np.ndarray, num_truth: int) -> tuple[float, float]:
    """Return the score from which upwards F1 is best, and that F1; the highest of equal ones; (0, NaN) without any.

    Args:
        score: (N,) of predictions.
        hit: (N,) which of them took a label.
        num_truth: labels.
    """
    if not len(score) or not num_truth:
        return 0.0, float('nan')
    order = np.argsort(-score, kind='stable')
    scores = score[order]
    f1 = 2 * np.cumsum(hit[order]) / (np.arange(1, len(scores) + 1) + num_truth)
    last = np.append(scores[1:] != scores[:-1], True)  # equal scores are kept or left together
    best = int(np.argmax(np.where(last, f1, -1)))
    return float(scores[best]), float(f1[best])


def _annotations(boxes: BoxTable, first_id: int, iscrowd: int = 0) -> Iterator[dict[str, Any]]:
    rows = zip(boxes.image.tolist(), boxes.label.tolist(), boxes.xywh.tolist(), boxes.score.tolist())
    for number, (image, label, box, score) in enumerate(rows, first_id):
        yield {
            'id': number,
            'image_id': image,
            'category_id': label,
            'bbox': box,
            'area': box[2] * box[3],
            'score': score,
            'iscrowd': iscrowd,
        }


def _class_result(
    found: BoxTable,
    truth: BoxTable,
    taken: np.ndarray,
    judged: np.ndarray,
    shown: np.ndarray,
    precisions: np.ndarray,
    label: int,
) -> ClassResult:
    """Return one row of the table; `judged` (N,) predictions count, `shown` (N,) have the common score or more."""
    mine = found.label == label
    num_truth = int((truth.label == label).sum())
    num_predicted, num_found = int((mine & shown).sum()), int((mine & shown & (taken >= 0)).sum())
    precision = num_found / num_predicted if num_predicted else float('nan')
    if not num_truth:
        nan = float('nan')
        return ClassResult(0, 0, num_predicted, precision, nan, nan, nan, nan, nan, np.full(101, nan))
    best_score, f1 = best_f1(found.score[mine & judged], taken[mine & judged] >= 0, num_truth)
    return ClassResult(
        num_truth,
        num_found,
        num_predicted,
        precision,
        num_found / num_truth,
        float(precisions.mean()),
        float(precisions[0].mean()),
        best_score if f1 > 0 else float('nan'),
        f1,
        precisions[0],
    )


def _confused(found: BoxTable, truth: BoxTable, matched: np.ndarray, shown: np.ndarray) -> dict[int, int]:
    """Return for predictions left over the label, left over too, that each takes whatever its class."""
    loose = np.flatnonzero(shown & (matched < 0))
    free = np.setdiff1d(np.arange(len(truth)), matched[matched >= 0])
    one_class = [replace(boxes, label=boxes.label * 0) for boxes in (found.take(loose), truth.take(free))]
    taken = match(*one_class)
    return {int(loose[k]): int(free[row]) for k, row in enumerate(taken) if row >= 0}


def _mistakes(
    found: BoxTable, truth: BoxTable, matched: np.ndarray, shown: np.ndarray, confused: dict[int, int]
) -> list[Mistake]:
    """Return what is wrong with each prediction without a label; a label is missed if nothing of that is at it."""
    loose = np.flatnonzero(shown & (matched < 0))
    by_image = np.argsort(truth.image, kind='stable')
    images = truth.image[by_image]
    mistakes = []
    for row in loose[np.argsort(-found.score[loose], kind='stable')].tolist():
        image = int(found.image[row])
        if row in confused:
            kind, label = 'wrong class', confused[row]
        else:
            labels = by_image[slice(*np.searchsorted(images, [image, image + 1]))]
            kind, label = _kind_of(found.xywh[row], found.label[row], truth.take(labels), labels)
        mistakes.append(Mistake(kind, image, row, label))
    at_labels = [item.truth for item in mistakes if item.kind in ('wrong class', 'badly placed')]
    missed = np.setdiff1d(np.arange(len(truth)), [*matched[matched >= 0], *at_labels])
    missed = missed[np.argsort(-truth.xywh[missed, 2:].prod(1), kind='stable')]
    return mistakes + [Mistake('missed', int(truth.image[row]), -1, int(row)) for row in missed]


def _kind_of(xywh: np.ndarray, class_index: int, labels: BoxTable, rows: np.ndarray) -> tuple[str, int]:
    """Return what is wrong with a prediction that takes no label, and the label that explains it.

    Args:
        xywh: (4,) the prediction.
        class_index: its class.
        labels: those of its image.
        rows: (L,) which they are among all.
    """
    from faster_coco_eval import mask

    if not len(rows):
        return 'background', -1
    overlaps = np.asarray(mask.iou(xywh[None], labels.xywh, [0] * len(rows)))[0]
    same = labels.label == class_index
    near, other = np.where(same, overlaps, 0), np.where(same, 0, overlaps)
    if near.max() >= IOU:
        return 'duplicate', int(rows[near.argmax()])
    if other.max() >= IOU:  # its label has been found by another prediction
        return 'wrong class', int(rows[other.argmax()])
    return ('badly placed', int(rows[near.argmax()])) if near.max() >= NEAR else ('background', -1)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float('nan')
