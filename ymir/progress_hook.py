"""Progress of a training in monitor.txt, and the end of one whose loss is lost."""

import time
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from ymir.errors import TaskError
from ymir.progress import write_progress
from ymir_exc.code import ExecutorReturnCode
from ymir_exc.progress import YmirStage

SECONDS_BETWEEN_WRITES = 0.5
# In half precision single overflows are part of the search for the loss scale.
MAX_OVERFLOWS = {True: 20, False: 0}


@HOOKS.register_module()
class YmirProgressHook(Hook):
    """Write progress at most twice a second and after each epoch, and end the training when the loss is no number.

    Args:
        scaled_loss: Whether the loss is scaled for fp16, where a few overflows in a row are normal.
    """

    priority = 'LOW'  # after the losses are logged, before the checkpoint

    def __init__(self, scaled_loss: bool = False) -> None:
        self.max_overflows = MAX_OVERFLOWS[scaled_loss]
        self.overflows = 0
        self.next_write = 0.0

    def before_train(self, runner) -> None:
        """Say that the preparation is over."""
        self._write(runner, runner.iter)

    def after_train_iter(
        self, runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, torch.Tensor] | None = None
    ) -> None:
        """Check the loss and write the progress.

        Args:
            runner: The runner.
            batch_idx: Step in the epoch.
            data_batch: Unused.
            outputs: The losses of the step.
        """
        self._check_loss(runner, outputs or {})
        done = runner.iter + 1
        if time.monotonic() >= self.next_write or done == runner.max_iters:
            self._write(runner, done)

    def after_train_epoch(self, runner) -> None:
        """Write the progress, however short the epoch: the validation that may follow takes its time."""
        self._write(runner, runner.iter)

    def after_train(self, runner) -> None:
        """Say that the training is over, early or not."""
        self._write(runner, runner.max_iters)

    def _write(self, runner, done: int) -> None:
        if is_main_process():
            write_progress(YmirStage.TASK, done / max(runner.max_iters, 1))
            self.next_write = time.monotonic() + SECONDS_BETWEEN_WRITES

    def _check_loss(self, runner, outputs: dict[str, torch.Tensor]) -> None:
        loss = outputs.get('loss')
        if loss is None or bool(torch.isfinite(loss).all()):
            self.overflows = 0
            return
        self.overflows += 1
        if self.overflows > self.max_overflows:
            parts = ', '.join(f'{name} {float(value):g}' for name, value in outputs.items() if name != 'loss')
            raise TaskError(
                ExecutorReturnCode.RC_EXEC_NAN_ERROR,
                f'The loss is not a number in epoch {runner.epoch + 1}, step {batch_number(runner)} ({parts}): set '
                'learning_rate to a tenth of what the log shows, or precision to fp32.',
            )


def batch_number(runner) -> int:
    """The step within the epoch, from 1."""
    return runner.iter % max(len(runner.train_dataloader), 1) + 1
