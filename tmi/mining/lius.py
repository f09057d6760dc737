"""Entropy of the chance that a box is right, as the validation showed: LIUS of PAL (2605.10349).

The chance is a logistic regression of each class on the score and on how many boxes before suppression agree with the
box; `tmi.mining.calibration` fits it, and the statistics of the training hold it. Without them the score is the chance.
"""

import numpy as np

from tmi.inference.shards import Prediction
from tmi.mining.algorithm import BoxAlgorithm
from tmi.mining.entropy import binary_entropy


class Lius(BoxAlgorithm):
    """The largest binary entropy of each class in an image."""

    summary = (
        'how unsure it is that boxes are right, calibrated on the validation set; the most doubtful box of each class'
    )
    summary_zh = '按验证集校准的框正确概率的不确定程度,每类取最不确定的框'

    def box_terms(self, prediction: Prediction) -> np.ndarray:
        terms = binary_entropy(self.true_positive(prediction))
        labels = np.asarray(prediction.labels, dtype=np.int64)
        # The first box of a class among the most doubtful first; the others of the class do not count.
        most_doubtful = np.argsort(-terms, kind='stable')
        first = most_doubtful[np.unique(labels[most_doubtful], return_index=True)[1]]
        counted = np.zeros_like(terms)
        counted[first] = terms[first]
        return counted
