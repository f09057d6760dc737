"""mmengine's loop by epochs, with a stopwatch, and a length that may change while it runs."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop
from mmengine.runner.utils import calc_dynamic_intervals
from torch import nn

from tmi.training.freed_memory import keep_freed_memory
from tmi.training.loader_workers import give_way


@dataclass(frozen=True)
class StepTimes:
    """Where the time of training steps went; validations are no part of it.

    Args:
        steps: How many.
        seconds: Of these steps, from one request for a batch to the next.
        waiting: Seconds of them in which a batch was waited for.
    """

    steps: int = 0
    seconds: float = 0.0
    waiting: float = 0.0

    def __sub__(self, earlier: 'StepTimes') -> 'StepTimes':
        return StepTimes(self.steps - earlier.steps, self.seconds - earlier.seconds, self.waiting - earlier.waiting)

    @property
    def waiting_share(self) -> float:
        """The share of the time that was waiting."""
        return self.waiting / self.seconds if self.seconds else 0.0


@LOOPS.register_module()
class TaskTrainLoop(EpochBasedTrainLoop):
    """Trains epoch by epoch; `times` says where the time of the finished steps went.

    Args:
        *args: Of mmengine's loop.
        worker_niceness: How much the loader's workers give way to the training, see `give_way`.
        keep_freed: Whether memory that a step frees is kept for the next one, but not by the workers.
        **kwargs: Of mmengine's loop.
    """

    def __init__(self, *args, worker_niceness: int = 0, keep_freed: bool = False, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.times = StepTimes()
        if worker_niceness:
            give_way(self.dataloader, worker_niceness)
        if keep_freed:
            keep_freed_memory()

    def set_length(
        self,
        max_epochs: int,
        max_iters: int,
        val_interval: int,
        dynamic_intervals: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        """Change how long the loop runs and when it validates; the end of an epoch that runs already included.

        Args:
            max_epochs: The last epoch ...
            max_iters: ... ends with this step of the run, if it has not ended before.
            val_interval: Epochs from one validation to the next.
            dynamic_intervals: Other such numbers, each with the epoch from which on it holds.
        """
        self._max_epochs, self._max_iters, self.val_interval = max_epochs, max_iters, val_interval
        self.dynamic_milestones, self.dynamic_intervals = calc_dynamic_intervals(val_interval, dynamic_intervals)

    def run(self) -> nn.Module:
        """Train to the end.

        A resumed training may have other steps an epoch than before, with another batch size or other images. Its
        steps are counted as if it had had these all along; else its last epochs would be empty.
        """
        self._iter = self._epoch * len(self.dataloader)
        return super().run()

    def run_epoch(self) -> None:
        """Train an epoch, or what is left of the run."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        asked = time.monotonic()
        batches = iter(self.dataloader)
        for index in range(len(self.dataloader)):
            if self.iter >= self.max_iters:
                break
            batch = next(batches)
            arrived = time.monotonic()
            self.run_iter(index, batch)
            done = time.monotonic()
            times = self.times
            self.times = StepTimes(times.steps + 1, times.seconds + done - asked, times.waiting + arrived - asked)
            asked = done
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1
