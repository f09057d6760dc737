"""Binary entropy of each box: how unsure the model is whether there is an object."""

import numpy as np

from tmi.inference.shards import Prediction
from tmi.mining.algorithm import BoxAlgorithm

LEAST = 1e-6  # probabilities are kept away from 0 and 1 by this


def binary_entropy(p: np.ndarray) -> np.ndarray:
    """Return -p ln p - (1 - p) ln(1 - p): 0 for a sure box, ln 2 at p = 0.5.

    Args:
        p: Probabilities, any shape.
    """
    p = np.clip(p, LEAST, 1 - LEAST)
    return -p * np.log(p) - (1 - p) * np.log1p(-p)


class Entropy(BoxAlgorithm):
    """Binary entropy of the scores."""

    summary = 'how unsure the model is of its boxes'
    summary_zh = '模型对各框的不确定程度'
    uses_stats = False

    def box_terms(self, prediction: Prediction) -> np.ndarray:
        return binary_entropy(np.asarray(prediction.scores, dtype=np.float64))
