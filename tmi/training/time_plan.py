"""How long a training may be to end inside a time budget: the arithmetic, without a clock."""

import math
from dataclasses import dataclass

# Shares of the budget at which a task should end. One that will end between the first and the last stays as it is: what
# is measured swings, and a schedule that follows each swing brings nothing.
EARLIEST, AIM, LATEST = 0.94, 0.96, 0.98


@dataclass(frozen=True)
class Costs:
    """Seconds, as measured or estimated.

    Args:
        step: Of a training step, with its share of all that an epoch takes.
        validation: Of a validation, with what is saved after it.
        ending: Of what follows the training.
    """

    step: float
    validation: float
    ending: float


@dataclass(frozen=True)
class Validations:
    """Which epochs end with a validation: every so many, of the last ones each, and the last.

    Args:
        interval: Every so many epochs.
        dense: So many last epochs.
    """

    interval: int = 1
    dense: int = 0

    def count(self, first: int, last: int) -> int:
        """Return how many there are from the end of one epoch to the end of the last of a run, epochs from 1."""
        if last < first:
            return 0
        border = max(last - max(self.dense, 1), first - 1)
        return border // self.interval - (first - 1) // self.interval + last - border


@dataclass(frozen=True)
class Position:
    """Where a run is.

    Args:
        steps: Steps done.
        next_end: The next end of an epoch, from 1, at which a validation may still come.
    """

    steps: int
    next_end: int


@dataclass(frozen=True)
class Length:
    """How long a run is; its last epoch may be cut short.

    Args:
        epochs: Epochs that begin.
        steps: Steps in all.
    """

    epochs: int
    steps: int


def seconds_left(costs: Costs, validations: Validations, position: Position, length: Length) -> float:
    """Return how long a run of a length still takes, with what follows it."""
    steps = max(length.steps - position.steps, 0)
    return steps * costs.step + validations.count(position.next_end, length.epochs) * costs.validation + costs.ending


def longest(
    costs: Costs,
    validations: Validations,
    position: Position,
    steps_per_epoch: int,
    seconds: float,
    least_seconds: float = 0.0,
) -> Length:
    """Return the longest run that ends in time.

    Args:
        costs: What things take.
        validations: When they come.
        position: Where the run is.
        steps_per_epoch: Steps of an epoch.
        seconds: Left until the run should have ended, with what follows it.
        least_seconds: Whole epochs are taken where the run with them lasts this long; else the last one is cut short.

    Returns:
        The length; that of a run that ends at once where nothing more fits, and one step for a run that has none.
    """

    def length(steps: int) -> Length:
        return Length(max(math.ceil(steps / steps_per_epoch), 1), steps)

    def left(steps: int) -> float:
        return seconds_left(costs, validations, position, length(steps))

    least = max(position.steps, 1)
    low, high = least, least + int(max(seconds, 0.0) / costs.step) + 1
    while high - low > 1:  # `low` fits, or is the least
        middle = (low + high) // 2
        low, high = (middle, high) if left(middle) <= seconds else (low, middle)
    whole = low // steps_per_epoch * steps_per_epoch
    return length(whole) if whole >= least and left(whole) >= least_seconds else length(low)
