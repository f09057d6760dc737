"""The end of a training whose loss is lost."""

import math
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from tmi.errors import NotFiniteError
from tmi.setting_names import advice
from tmi.training.step_values import StepValues
from tmi.training.training_state import is_finite

# In half precision single overflows are part of the search for the loss scale.
MAX_OVERFLOWS = {True: 20, False: 0}


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """End the training when the loss is not a number; on a GPU as soon as the log is due or the epoch over.

    Args:
        scaled_loss: Whether the loss is scaled for fp16, where a few overflows in a row are normal.
    """

    priority = 'LOW'  # after the losses are logged, before the checkpoint

    def __init__(self, scaled_loss: bool = False) -> None:
        self.max_overflows = MAX_OVERFLOWS[scaled_loss]
        self.overflows = 0
        self.values = StepValues()
        self.places: list[tuple[int, int]] = []  # epoch and step in it, from 1, of each of the values

    def before_train(self, runner) -> None:
        """Find out when the log is due."""
        self.values.follow(runner)

    def after_train_iter(
        self, runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, torch.Tensor] | None = None
    ) -> None:
        """Check the loss of a step, or of all since the last check.

        Args:
            runner: The runner.
            batch_idx: Step in the epoch.
            data_batch: Unused.
            outputs: The losses of the step.

        Raises:
            NotFiniteError: It is not finite, too often in a row.
        """
        self.values.add(outputs or {})
        self.places.append((runner.epoch + 1, batch_number(runner)))
        if self.values.due(runner, batch_idx):
            self._check()

    def after_train_epoch(self, runner) -> None:
        """Check what is left of an epoch that was cut short, before it is validated and saved.

        Args:
            runner: The runner.

        Raises:
            NotFiniteError: A loss is not finite, too often in a row, or a weight is not.
        """
        self._check()
        if not is_finite(runner.model):
            raise NotFiniteError(
                f'Weights are not numbers after epoch {runner.epoch + 1}: set learning_rate to a tenth of what the log '
                'shows, or precision to fp32.'
            )

    def _check(self) -> None:
        places, self.places = self.places, []
        for (epoch, number), losses in zip(places, self.values.read()):
            if math.isfinite(losses.get('loss', 0.0)):
                self.overflows = 0
                continue
            self.overflows += 1
            if self.overflows > self.max_overflows:
                parts = ', '.join(f'{name} {value:g}' for name, value in losses.items() if name != 'loss')
                raise NotFiniteError(
                    f'The loss is not a number in epoch {epoch}, step {number} ({parts}): '
                    + advice('set {learning_rate} to a tenth of what the log shows', 'set {precision} to fp32')
                    + '.'
                )


def batch_number(runner) -> int:
    """Return the step within the epoch, from 1."""
    return runner.iter % max(len(runner.train_dataloader), 1) + 1
