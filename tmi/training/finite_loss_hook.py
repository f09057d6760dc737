"""The end of a training whose loss is lost."""

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from tmi.errors import NotFiniteError

# In half precision single overflows are part of the search for the loss scale.
MAX_OVERFLOWS = {True: 20, False: 0}


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """End the training when the loss is not a number.

    Args:
        scaled_loss: Whether the loss is scaled for fp16, where a few overflows in a row are normal.
    """

    priority = 'LOW'  # after the losses are logged, before the checkpoint

    def __init__(self, scaled_loss: bool = False) -> None:
        self.max_overflows = MAX_OVERFLOWS[scaled_loss]
        self.overflows = 0

    def after_train_iter(
        self, runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, torch.Tensor] | None = None
    ) -> None:
        """Check the loss of a step.

        Args:
            runner: The runner.
            batch_idx: Step in the epoch.
            data_batch: Unused.
            outputs: The losses of the step.

        Raises:
            NotFiniteError: It is not finite, too often in a row.
        """
        outputs = outputs or {}
        loss = outputs.get('loss')
        if loss is None or bool(torch.isfinite(loss).all()):
            self.overflows = 0
            return
        self.overflows += 1
        if self.overflows > self.max_overflows:
            parts = ', '.join(f'{name} {float(value):g}' for name, value in outputs.items() if name != 'loss')
            raise NotFiniteError(
                f'The loss is not a number in epoch {runner.epoch + 1}, step {batch_number(runner)} ({parts}): set '
                'learning_rate to a tenth of what the log shows, or precision to fp32.'
            )


def batch_number(runner) -> int:
    """Return the step within the epoch, from 1."""
    return runner.iter % max(len(runner.train_dataloader), 1) + 1
