"""Mean average precision of rotated boxes, as the DOTA benchmark computes it (Pascal VOC's definition)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mmyolo.standins.mmcv.rotated_iou import box_iou_rotated


@dataclass
class ImageBoxes:
    """Predictions and ground truth of one image.

    Attributes:
        bboxes, scores, labels: (n, 5), (n,), (n,) predictions.
        gt_bboxes, gt_labels, gt_ignored: (m, 5), (m,), (m,) objects; ignored ones count neither way.
    """

    bboxes: torch.Tensor
    scores: torch.Tensor
    labels: torch.Tensor
    gt_bboxes: torch.Tensor
    gt_labels: torch.Tensor
    gt_ignored: torch.Tensor


@dataclass
class ClassResult:
    """What the predictions of one class come to.

    Attributes:
        num_gts: objects that count.
        num_dets: predictions.
        recall: of all predictions, nan without objects.
        ap: average precision, nan without objects.
    """

    num_gts: int
    num_dets: int
    recall: float
    ap: float


def average_precision(recall: np.ndarray, precision: np.ndarray, mode: str = '11points') -> float:
    """Return the mean precision over recall.

    Args:
        recall: (n,) ascending.
        precision: (n,) at these recalls.
        mode: '11points' for the mean of the best precision at recall 0, 0.1, ..., 1 and beyond (VOC 2007), 'area' for
            the area below the curve of the best precision (VOC 2010).

    Returns:
        The average precision.
    """
    best = np.maximum.accumulate(np.append(precision, 0)[::-1])[::-1]  # best[i]: from the i-th prediction on
    if mode == '11points':
        # a hair less, because 0.1 * 3 is more than 0.3
        return float(best[np.searchsorted(recall, np.linspace(0, 1, 11) - 1e-9)].mean())
    return float((np.diff(recall, prepend=0) * best[:-1]).sum())


def evaluate_class(images: Sequence[ImageBoxes], label: int, iou_thr: float, mode: str) -> ClassResult:
    """Evaluate one class.

    A prediction belongs to the object that it overlaps most, if by `iou_thr` at least. The best prediction of an object
    is right, others are wrong; those of ignored objects do not count.

    Args:
        images: all images.
        label: the class.
        iou_thr: see above.
        mode: see `average_precision`.

    Returns:
        What the predictions come to.
    """
    scores, right, wrong, num_gts = [np.zeros(0)], [np.zeros(0)], [np.zeros(0)], 0
    for image in images:
        chosen, true = image.labels == label, image.gt_labels == label  # (n,), (g,)
        order = image.scores[chosen].argsort(descending=True, stable=True)
        boxes, score = image.bboxes[chosen][order], image.scores[chosen][order]
        ignored = image.gt_ignored[true].bool().numpy()  # (g,) of this class
        num_gts += int((~ignored).sum())
        if len(boxes) == 0:
            continue
        hit = np.zeros(len(boxes), dtype=bool)
        out = np.zeros(len(boxes), dtype=bool)
        if len(ignored):
            # (n,) each: of every prediction the object that it overlaps most.
            overlap, gt = (part.numpy() for part in box_iou_rotated(boxes, image.gt_bboxes[true]).max(1))
            found = overlap >= iou_thr
            out = found & ignored[gt]
            first = np.unique(gt[found], return_index=True)[1]  # predictions come best first
            hit[np.flatnonzero(found)[first]] = True
            hit &= ~out
        scores.append(score.numpy())
        right.append(hit)
        wrong.append(~hit & ~out)
    scores, right, wrong = (np.concatenate(part) for part in (scores, right, wrong))  # (P,) each, of all images
    order = np.argsort(-scores, kind='stable')
    right, wrong = right[order].cumsum(), wrong[order].cumsum()
    if num_gts == 0:
        return ClassResult(0, len(scores), float('nan'), float('nan'))
    recall = right / num_gts  # (P,) after each prediction, best first
    precision = right / np.maximum(right + wrong, 1)
    return ClassResult(
        num_gts, len(scores), float(recall[-1]) if len(recall) else 0.0, average_precision(recall, precision, mode)
    )


def evaluate(images: Sequence[ImageBoxes], num_classes: int, iou_thr: float, mode: str) -> list[ClassResult]:
    """Evaluate every class, see `evaluate_class`."""
    return [evaluate_class(images, label, iou_thr, mode) for label in range(num_classes)]
