"""When a training ends that does not get better (auto_termination)."""

import math

EPOCHS_WITHOUT_GAIN = 6  # more than these end a training


class Termination:
    """Decides when a training that does not get better ends.

    An epoch is better if its accuracy is above the best one or, as long as that is 0, if its loss is below the lowest:
    a network from random weights may detect nothing for many epochs while it learns.
    """

    def __init__(self) -> None:
        self.best, self.lowest, self.waited = 0.0, math.inf, 0

    def add(self, accuracy: float, loss: float) -> bool:
        """Return whether the training ends with this epoch.

        Args:
            accuracy: mAP or mean IoU of the validation images.
            loss: Mean of the training steps.
        """
        is_better = accuracy > self.best or self.best == 0 and loss < self.lowest
        self.best, self.lowest = max(self.best, accuracy), min(self.lowest, loss)
        self.waited = 0 if is_better else self.waited + 1
        return self.waited > EPOCHS_WITHOUT_GAIN
