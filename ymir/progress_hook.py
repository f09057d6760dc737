"""Progress of a training in monitor.txt."""

import time
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from ymir.progress import training_share, write_progress
from ymir_exc.progress import YmirStage

SECONDS_BETWEEN_WRITES = 0.5


@HOOKS.register_module()
class YmirProgressHook(Hook):
    """Write progress at most twice a second and after each epoch."""

    priority = 'LOW'  # after the losses are logged, before the checkpoint

    def __init__(self) -> None:
        self.next_write = 0.0
        self.shown = 0.0

    def before_train(self, runner) -> None:
        """Say that the preparation is over; where this task has trained before, the progress stays what it was."""
        self.shown = training_share() if is_main_process() else 0.0
        self._write(runner, runner.iter)

    def after_train_iter(
        self, runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, torch.Tensor] | None = None
    ) -> None:
        """Write the progress.

        Args:
            runner: The runner.
            batch_idx: Step in the epoch.
            data_batch: Unused.
            outputs: Unused.
        """
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
            # With a time budget the length of the run changes, and the progress must not fall.
            self.shown = max(self.shown, min(done / max(runner.max_iters, 1), 1.0))
            write_progress(YmirStage.TASK, self.shown)
            self.next_write = time.monotonic() + SECONDS_BETWEEN_WRITES
