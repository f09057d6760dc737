"""Uncertain, diverse and of rare classes: what is worth labelling when the number of labels is not known before."""

import numpy as np

from tmi.inference.shards import Prediction
from tmi.mining.algorithm import BoxAlgorithm
from tmi.mining.entropy import binary_entropy


class Hybrid(BoxAlgorithm):
    """Entropy of each box, raised where the model is unsure of its sides, in the order of `tmi.mining.order`."""

    summary = 'uncertain images, each unlike those before it, rare classes first'
    summary_zh = '不确定、彼此不同且偏重稀有类别的图像'
    diverse = True

    def box_terms(self, prediction: Prediction) -> np.ndarray:
        doubt = binary_entropy(np.asarray(prediction.scores, dtype=np.float64)) / np.log(2)
        return 1 - (1 - doubt) * (1 - np.asarray(prediction.spread, dtype=np.float64))
