"""Uncertain, diverse and of rare classes: what is worth labelling when the number of labels is not known before.

A box counts by how unsure it is whether it is right (LIUS), how unsure the model is of its sides, and how badly the
model finds its class (DCUS); where the training left no statistics, by the first two and its score alone. The order of
the images is `tmi.mining.order`'s.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tmi.inference.shards import Prediction
from tmi.mining.algorithm import BoxAlgorithm
from tmi.mining.dcus import difficulty_weights
from tmi.mining.entropy import binary_entropy

if TYPE_CHECKING:
    from tmi.mining.stats import MiningStats


# The distribution of a side is taught to lie between two bins, which of 16 bins is a spread of 0.18 on average: 1/2 nat
# over ln 16. Counted as doubt, it would put many sure boxes before a box in doubt.
LEAST_SPREAD = 0.18


class Hybrid(BoxAlgorithm):
    """Doubt h whether a box is right, and doubt s where its sides are: 1 - (1 - h) (1 - s), times class difficulty."""

    summary = 'uncertain images, each unlike those before it, rare classes first'
    summary_zh = '不确定、彼此不同且偏重稀有类别的图像'
    diverse = True

    def __init__(self, settings: Any, stats: 'MiningStats | None' = None) -> None:
        super().__init__(settings, stats)
        self._difficulty = difficulty_weights(stats, len(settings.class_names))

    def box_terms(self, prediction: Prediction) -> np.ndarray:
        doubt = binary_entropy(self.true_positive(prediction)) / math.log(2)
        spread = np.asarray(prediction.spread, dtype=np.float64)
        doubt = 1 - (1 - doubt) * (1 - np.clip((spread - LEAST_SPREAD) / (1 - LEAST_SPREAD), 0, 1))
        return doubt * self._difficulty[np.asarray(prediction.labels, dtype=np.int64)]
