"""Entropy of the scores after NMS, as the reference mmyolo executor defines it: -sum(p log2 p).

One-sided: a box counts most at p = 1/e and nothing at p = 1. The sum grows with the number of boxes, so crowded images
come first, and images without boxes last among the readable ones.
"""

import math

from tmi.inference.shards import Prediction
from tmi.mining.algorithm import Algorithm


class EntropyLegacy(Algorithm):
    """Sum of -p log2 p over the boxes above `conf_threshold`, 0 without boxes."""

    summary = (
        'the former entropy of this image, -sum p log2 p of the boxes above conf_threshold; to repeat an old ranking'
    )
    summary_zh = '旧版 entropy(conf_threshold 以上的框的 -sum p log2 p),用于复现旧的排序'
    uses_stats = False

    @property
    def score_thr(self) -> float:
        return self.settings.conf_threshold

    def uncertainty(self, prediction: Prediction) -> float:
        # p is above conf_threshold >= 0; max() keeps 1.0 from giving -0.0.
        return max(0.0, math.fsum(-p * math.log2(p) for p in prediction.scores if p > 0))
