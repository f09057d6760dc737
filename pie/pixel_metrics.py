"""Precision, recall, F1 and IoU of pixels, from the counts of a whole epoch (contract section 8)."""

from collections.abc import Sequence

import numpy as np

from pie.trainlog import ALL


def count_pixels(predicted: np.ndarray, labelled: np.ndarray, num_classes: int) -> np.ndarray:
    """Count pixels by both classes.

    Args:
        predicted: Training values, of any shape.
        labelled: Of the same shape.
        num_classes: How many.

    Returns:
        (num_classes, num_classes) int64; rows are labelled, columns predicted.
    """
    pairs = labelled.astype(np.int64).ravel() * num_classes + predicted.astype(np.int64).ravel()
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def pixel_rows(counts: np.ndarray, names: Sequence[str], loss: float) -> dict[str, dict[str, float]]:
    """Return the rows of trainlog.json: `all` with plain means over the classes and the loss, then each class.

    Args:
        counts: Of `count_pixels`, added up.
        names: Of the classes, background included.
        loss: Mean of the epoch.

    Returns:
        Class -> precision, recall, score (F1) and IoU; 0 for a class of which there is no pixel.
    """
    right = np.diag(counts).astype(np.float64)
    shown, true = counts.sum(axis=0), counts.sum(axis=1)
    values = {
        'precision': _share(right, shown),
        'recall': _share(right, true),
        'score': _share(2 * right, shown + true),
        'IoU': _share(right, shown + true - right),
    }
    rows = {ALL: {**{key: float(value.mean()) for key, value in values.items()}, 'loss': loss}}
    for index, name in enumerate(names):
        rows[name] = {key: float(value[index]) for key, value in values.items()}
    return rows


def mean_iou(counts: np.ndarray) -> float:
    """Return the mean IoU over the classes that are labelled or predicted, 0 if there are none."""
    right = np.diag(counts).astype(np.float64)
    union = counts.sum(axis=0) + counts.sum(axis=1) - right
    return float((right[union > 0] / union[union > 0]).mean()) if union.any() else 0.0


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
