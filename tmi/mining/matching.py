"""Which detection found which label: greedy by score, within a class, each label once."""

import numpy as np

MIN_IOU = 0.5


def iou_matrix(boxes: np.ndarray, others: np.ndarray, over_first: np.ndarray | None = None) -> np.ndarray:
    """Return the intersection over union of each box with each other one.

    Args:
        boxes: (n, 4) xyxy in pixels.
        others: (m, 4) xyxy in pixels.
        over_first: (m,) bool, where the intersection is divided by the area of the first box alone, as COCO does for
            crowds; None for nowhere.

    Returns:
        (n, m) in [0, 1], 0 for boxes without area.
    """
    boxes, others = (np.asarray(value, dtype=np.float64).reshape(-1, 4) for value in (boxes, others))
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    areas, other_areas = (np.prod(np.clip(value[:, 2:] - value[:, :2], 0, None), axis=1) for value in (boxes, others))
    whole = areas[:, None] + other_areas[None, :] - shared
    if over_first is not None:
        whole = np.where(np.asarray(over_first, dtype=bool)[None, :], areas[:, None], whole)
    return np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)


def match_labels(
    boxes: np.ndarray,
    labels: np.ndarray,
    true_boxes: np.ndarray,
    true_labels: np.ndarray,
    crowd: np.ndarray | None = None,
    min_iou: float = MIN_IOU,
) -> np.ndarray:
    """Match the detections of one image to its labels, best score first, each to the free label that it overlaps most.

    Args:
        boxes: (n, 4) detections, xyxy in pixels, by descending score.
        labels: (n,) their classes.
        true_boxes: (m, 4) labelled boxes, xyxy in pixels.
        true_labels: (m,) their classes.
        crowd: (m,) bool, labels that stand for many objects: any number of detections may match one, after all others.
        min_iou: The least intersection over union of a match.

    Returns:
        (n,) int64, the position of the label that each detection found, -1 for none.
    """
    labels, true_labels = (np.asarray(value, dtype=np.int64) for value in (labels, true_labels))
    found = np.full(len(labels), -1, dtype=np.int64)
    if not len(labels) or not len(true_labels):
        return found
    crowd = np.zeros(len(true_labels), dtype=bool) if crowd is None else np.asarray(crowd, dtype=bool)
    overlap = iou_matrix(boxes, true_boxes, crowd)
    overlap[(labels[:, None] != true_labels[None, :]) | (overlap < min_iou)] = 0
    free = ~crowd
    for place in np.flatnonzero(overlap.any(axis=1)):
        for allowed in (free, crowd):
            values = np.where(allowed, overlap[place], 0)
            best = int(values.argmax())
            if values[best] > 0:
                found[place] = best
                free[best] = False
                break
    return found
