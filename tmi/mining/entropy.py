"""Entropy of the scores after NMS, as the reference mmyolo executor defines it: -sum(p log2 p).

One-sided: a box counts most at p = 1/e and nothing at p = 1. The sum grows with the number of boxes, so crowded images
come first, and images without boxes last among the readable ones.
"""

import math

from tmi.inference.shards import Prediction
from tmi.mining.scorer import Scorer


class EntropyScorer(Scorer):
    """Sum of -p log2 p over the boxes of an image, 0 without boxes."""

    def score(self, path: str, prediction: Prediction) -> float:
        # p is above conf_threshold >= 0; max() keeps 1.0 from giving -0.0.
        return max(0.0, math.fsum(-p * math.log2(p) for p in prediction.scores if p > 0))
