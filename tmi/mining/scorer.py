"""A scorer: from one image to how much it is worth to be labelled."""

from abc import ABC, abstractmethod

from tmi.inference.shards import Prediction


class Scorer(ABC):
    """Scores one image after the other.

    Args:
        seed: Of scorers that draw random numbers.
    """

    needs_predictions = True
    """False for a scorer that looks at paths only: no model is loaded and no image is read."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    @abstractmethod
    def score(self, path: str, prediction: Prediction | None) -> float:
        """Score an image; a higher one is labelled earlier.

        Args:
            path: The image, as in the index file.
            prediction: Its boxes above `conf_threshold` after NMS; None for a scorer without predictions.

        Returns:
            A finite number.
        """
