"""From the progress of one step to the progress of the whole task (contract section f).

A task has three stages with weights; when one container runs mining and inference, each has half of the bar.
"""

from __future__ import annotations

import math
import os
from enum import IntEnum
from typing import Any, Sequence

from .scalars import to_float


class YmirTask(IntEnum):
    """What the executor is doing."""

    TRAINING = 1
    MINING = 2
    INFER = 3


class YmirStage(IntEnum):
    """A part of a task."""

    PREPROCESS = 1
    TASK = 2
    POSTPROCESS = 3


_WEIGHT_VARIABLES = ('PREPROCESS_WEIGHT', 'TASK_WEIGHT', 'POSTPROCESS_WEIGHT')

# which half of the bar (0 or 1) a task has when mining and inference run together
_HALVES = {'tmi': {YmirTask.MINING: 0, YmirTask.INFER: 1}, 'tim': {YmirTask.INFER: 0, YmirTask.MINING: 1}}


def clamp_percent(percent: Any) -> float:
    """Bring a progress value into 0..1: rounding in a caller's sum must not end a training.

    Raises:
        ValueError: it is NaN or not a number.
    """
    number = to_float(percent, 'percent')
    if math.isnan(number):
        raise ValueError('percent is NaN: the progress must be a number in 0..1; was something divided by zero?')
    return min(max(number, 0.0), 1.0)


def _member(kind: type, value: Any) -> Any:
    """Find an enum member by itself, by its number or by its name in any case."""
    try:
        return kind[value.upper()] if isinstance(value, str) else kind(value)
    except (KeyError, ValueError):
        names = ', '.join(member.name.lower() for member in kind)
        raise ValueError(f'unknown {kind.__name__} {value!r}; there are: {names}') from None


class YmirStageWeight:
    """How much of a task each of its three stages is.

    Args:
        weights: of preprocess, task and postprocess, or another object of this class; they must sum to 1. None takes
            the environment variables PREPROCESS_WEIGHT, TASK_WEIGHT, POSTPROCESS_WEIGHT or the defaults.
        defaults: what a weight is whose variable is not set.

    Raises:
        ValueError: there are not three, one is negative, or the sum is not 1.
    """

    def __init__(
        self,
        weights: YmirStageWeight | Sequence[float] | None = None,
        defaults: Sequence[float] = (0.00001, 0.99998, 0.00001),
    ) -> None:
        if isinstance(weights, YmirStageWeight):
            weights = weights.weights
        if weights is None:
            weights = [os.environ.get(name, default) for name, default in zip(_WEIGHT_VARIABLES, defaults)]
        self.weights: list[float] = [to_float(weight, 'a stage weight') for weight in weights]
        if len(self.weights) != 3 or not all(weight >= 0 for weight in self.weights):
            raise ValueError(f'stage weights must be three numbers from 0 to 1, not {self.weights}')
        if not math.isclose(sum(self.weights), 1.0, abs_tol=1e-6):
            raise ValueError(f'stage weights must sum to 1; {self.weights} sum to {sum(self.weights)}')

    def get_stage_process(self, stage: YmirStage | str, p: float) -> float:
        """Return the progress of the task when one of its stages stands at ``p``.

        Args:
            stage: the stage, or its name in any case.
            p: its progress, 0..1.

        Returns:
            The weights of the stages before it, plus its own share; 0..1.

        Raises:
            ValueError: an unknown stage, or ``p`` is NaN.
        """
        index = _member(YmirStage, stage) - 1
        return clamp_percent(sum(self.weights[:index]) + self.weights[index] * clamp_percent(p))


def get_ymir_process(
    stage: YmirStage | str,
    p: float,
    task_idx: int = 0,
    task_num: int = 1,
    weights: YmirStageWeight | Sequence[float] | None = None,
) -> float:
    """Return the progress over several tasks of equal length; older executors call it.

    Args:
        stage: the stage, or its name.
        p: its progress, 0..1.
        task_idx: which of the tasks, from 0.
        task_num: how many tasks there are.
        weights: see :class:`YmirStageWeight`.

    Returns:
        The progress of all tasks together, 0..1.

    Raises:
        ValueError: ``p`` is outside 0..1 or ``task_idx`` outside 0..task_num - 1.
    """
    if not 0 <= p <= 1:
        raise ValueError(f'p must be in 0..1, not {p}')
    if not 0 <= task_idx < task_num:
        raise ValueError(f'task_idx must be in 0..{task_num - 1}, not {task_idx}')
    return (task_idx + YmirStageWeight(weights).get_stage_process(stage, p)) / task_num


def scale_to_task(percent: float, task: YmirTask | str, run_mining: bool, run_infer: bool, order: str = 'tmi') -> float:
    """Scale the progress of one task to the bar that it shares when mining and inference run in one container.

    Args:
        percent: the progress of ``task``, 0..1.
        task: the task, or its name in any case.
        run_mining: whether this container mines.
        run_infer: whether this container infers.
        order: ``'tmi'`` (mining first) or ``'tim'`` (inference first).

    Returns:
        The progress of the bar, 0..1.

    Raises:
        ValueError: an unknown task or order, or ``percent`` is NaN.
    """
    task = _member(YmirTask, task)
    if order not in _HALVES:
        raise ValueError(f"order must be 'tmi' or 'tim', not {order!r}")
    percent = clamp_percent(percent)
    if task is YmirTask.TRAINING or not (run_mining and run_infer):
        return percent
    return (_HALVES[order][task] + percent) / 2
