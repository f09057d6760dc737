"""Entropy of each box, weighed by how badly the model finds its class: DCUS, the first stage of PPAL (2211.11612).

PPAL measures the quality of a class while it trains; here it is the average precision that the validation found, which
the statistics of the training hold.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tmi.inference.shards import Prediction
from tmi.mining.algorithm import BoxAlgorithm
from tmi.mining.entropy import binary_entropy
from tmi.mining.parameters import Parameter, Positive

if TYPE_CHECKING:
    from tmi.mining.stats import MiningStats

ALPHA = 0.3
UPPER_BOUND = 0.2  # how much more than 1 the weight of a class is that the model never finds
LARGEST_RATIO = 5  # of the sides of a box


def difficulty_weights(stats: 'MiningStats | None', num_classes: int) -> np.ndarray:
    """Return how much boxes of each class count, (C,) from 1, a class that is always found, to 1.2, one that never is.

    Args:
        stats: Of the training; None if there are none.
        num_classes: C.

    Returns:
        The weights; a class of unknown average precision has the mean weight of the others, 1 if none is known.
    """
    if stats is None:
        return np.ones(num_classes)
    quality = np.asarray(stats.average_precision, dtype=np.float64)
    slope = math.exp(1 / ALPHA) - 1
    weights = 1 + UPPER_BOUND * ALPHA * np.log(slope * (1 - np.clip(quality, 0, 1)) + 1)
    known = ~np.isnan(weights)
    return np.where(known, weights, weights[known].mean() if known.any() else 1.0)


class Dcus(BoxAlgorithm):
    """Binary entropy times the difficulty of the class, without boxes that are too small or too narrow to judge."""

    summary = 'as entropy, but classes that the model detects poorly count more'
    summary_zh = '同 entropy,模型检测较差的类别权重更高'
    parameters = (
        Parameter(
            'mining_min_box',
            Positive,
            16,
            'dcus: only boxes count whose side (square root of the area, in pixels) is above this; 1 = all count',
            'dcus:边长(面积的平方根,像素)大于此值的框才计入,1 表示全部计入',
        ),
    )

    def __init__(self, settings: Any, stats: 'MiningStats | None' = None) -> None:
        super().__init__(settings, stats)
        self._difficulty = difficulty_weights(stats, len(settings.class_names))

    def box_terms(self, prediction: Prediction) -> np.ndarray:
        boxes = np.asarray(prediction.boxes, dtype=np.float64).reshape(-1, 4)
        sides = boxes[:, 2:] - boxes[:, :2]  # (n, 2)
        long, short = sides.max(1), sides.min(1)
        counts = (np.sqrt(long * short) > self.settings.mining_min_box) & (long < LARGEST_RATIO * short)
        labels = np.asarray(prediction.labels, dtype=np.int64)
        return counts * self._difficulty[labels] * binary_entropy(np.asarray(prediction.scores, dtype=np.float64))
