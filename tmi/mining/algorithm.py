"""A mining algorithm: from what the network sees in an image to how much the image is worth to be labelled.

Its `measure`, if it has one, runs beside the network in the predicting processes; the rest runs once, in the process
that ranks, and must not import torch.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tmi.inference.shards import Prediction
from tmi.mining.parameters import Parameter

if TYPE_CHECKING:
    from tmi.mining.stats import MiningStats


class Algorithm(ABC):
    """Scores images.

    Args:
        settings: `MiningSettings`, or anything with its attributes.
        stats: What training left beside the weights, with the classes of `settings.class_names`; None if nothing.
    """

    summary: ClassVar[str]
    """One plain sentence, for template, help and documents."""
    summary_zh: ClassVar[str]
    """The same in Chinese."""
    passes: ClassVar[int] = 1
    """Forward passes for an image; 0: no model is loaded and no image is read."""
    diverse: ClassVar[bool] = False
    """Whether the images are put in a diverse order; else the most uncertain come first."""
    uses_stats: ClassVar[bool] = True
    """Whether it asks for `stats`; without them it says what it takes instead."""
    parameters: ClassVar[Sequence[Parameter]] = ()
    """Settings of this algorithm alone."""
    with_class_maps: ClassVar[bool] = False
    """Whether `measure` reads class maps."""
    measure: Any = None
    """A `tmi.families.base.Measure`, of an algorithm that looks at more than boxes; predicting processes run it."""
    letterbox: Any = None
    """A `tmi.inference.images.Letterbox`, set in predicting processes, for a `measure` that reads images again."""

    def __init__(self, settings: Any, stats: 'MiningStats | None' = None) -> None:
        self.settings = settings
        self.stats = stats

    @property
    def score_thr(self) -> float:
        """Boxes need a score above this to count."""
        return self.settings.mining_score_thr

    def class_terms(self, prediction: Prediction) -> dict[int, float]:
        """Return the uncertainty of an image by class; empty for an algorithm that does not tell classes apart.

        Args:
            prediction: Of the image, with boxes above `score_thr`.
        """
        return {}

    def uncertainty(self, prediction: Prediction) -> float:
        """Return how much an image is worth: finite, higher is earlier; arguments as of `class_terms`."""
        return float(sum(self.class_terms(prediction).values()))

    def true_positive(self, prediction: Prediction) -> np.ndarray:
        """Return how likely each box is right, (n,): calibrated by the statistics, else its score."""
        scores = np.asarray(prediction.scores, dtype=np.float64)
        if self.stats is None:
            return scores
        return self.stats.true_positive(prediction.labels, scores, prediction.support)

    def class_weights(self) -> np.ndarray:
        """Return `class_distribution_scores`, (C,): 1 where the list ends early, without what is too much."""
        count = len(self.settings.class_names)
        given = list(self.settings.class_distribution_scores)[:count]
        weights = np.ones(count)
        weights[: len(given)] = given
        return weights


class BoxAlgorithm(Algorithm):
    """Scores each box, and an image by the scores of its boxes."""

    @abstractmethod
    def box_terms(self, prediction: Prediction) -> np.ndarray:
        """Return the uncertainty of each box, (n,), at least 0; arguments as of `class_terms`."""

    def counted_terms(self, prediction: Prediction) -> np.ndarray:
        """Return the share of each box in the uncertainty of its image, (n,); arguments as of `class_terms`.

        `mining_aggregate` says which boxes count: all, their mean, the largest, or the largest `mining_top_boxes`.
        `mining_box_cost` k divides by 1 + k n for n boxes.
        """
        terms = self.box_terms(prediction) * self._weights[np.asarray(prediction.labels, dtype=np.int64)]
        aggregate = self.settings.mining_aggregate
        if aggregate == 'mean':
            terms = terms / max(len(terms), 1)
        elif aggregate != 'sum':
            kept = np.argsort(-terms, kind='stable')[: 1 if aggregate == 'max' else self.settings.mining_top_boxes]
            counted = np.zeros_like(terms)
            counted[kept] = terms[kept]
            terms = counted
        return terms / (1 + self.settings.mining_box_cost * len(terms))

    def class_terms(self, prediction: Prediction) -> dict[int, float]:
        totals: dict[int, float] = {}
        for label, term in zip(prediction.labels, self.counted_terms(prediction).tolist()):
            totals[label] = totals.get(label, 0.0) + term
        return totals

    def __init__(self, settings: Any, stats: 'MiningStats | None' = None) -> None:
        super().__init__(settings, stats)
        self._weights = self.class_weights()
