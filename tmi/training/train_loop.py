"""mmengine's loop by epochs, with a stopwatch, and a length that may change while it runs.

It stops at the end of a step when it is asked to, with its state saved, and goes on within an epoch; it says all the
time where it is (`watch.py`); it trains on the images of a step in parts where the memory is too small for all.
"""

import functools
import itertools
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.dist import all_reduce, broadcast_object_list, get_rank, get_world_size, is_main_process
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import HOOKS, LOOPS
from mmengine.runner import EpochBasedTrainLoop
from mmengine.runner.utils import calc_dynamic_intervals
from torch import nn

from tmi.errors import DiskFullError, StepMemoryError, StoppedError, as_task_error, needs_fewer_images
from tmi.training.freed_memory import keep_freed_memory
from tmi.training.loader_workers import give_way
from tmi.training.micro_batches import train_in_parts
from tmi.training.training_state import Position, is_finite, move_schedulers, position_of, scale_rate, seed_step
from tmi.training.watch import COMPUTING, EVALUATING, LOADING, SAVING, VALIDATING, RankReport

SHUFFLE_STRIDE = 1009  # between the seeds of the orders of images of attempts
SECONDS_BETWEEN_CHECKS, MOST_STEPS_BETWEEN_CHECKS = 0.5, 50  # of several processes whether any was asked to stop


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


class StopDuringValidation(Exception):
    """The training was asked to stop, and no other process waits for this validation to end."""


@LOOPS.register_module()
class TaskTrainLoop(EpochBasedTrainLoop):
    """Trains epoch by epoch; `times` says where the time of the finished steps went.

    Args:
        *args: Of mmengine's loop.
        worker_niceness: How much the loader's workers give way to the training, see `give_way`.
        keep_freed: Whether memory that a step frees is kept for the next one, but not by the workers.
        micro_batches: In how many parts the images of a step go through the network.
        shuffle: Which order of the images this is; another one than that of 0 after a loss that was not a number.
        rate_factor: What the learning rate of the state that is resumed, or of the config, is multiplied by.
        **kwargs: Of mmengine's loop.
    """

    def __init__(
        self,
        *args,
        worker_niceness: int = 0,
        keep_freed: bool = False,
        micro_batches: int = 1,
        shuffle: int = 0,
        rate_factor: float = 1.0,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.times = StepTimes()
        self.micro_batches, self.shuffle, self.rate_factor = micro_batches, shuffle, rate_factor
        self.report = RankReport()
        self.resumed = Position()
        self.next_check = self.checked_step = 0  # steps of the run
        self.checked = time.monotonic()
        if worker_niceness:
            give_way(self.dataloader, worker_niceness)
        if keep_freed:
            keep_freed_memory()
        if shuffle:
            _change_seeds(self.dataloader, SHUFFLE_STRIDE * shuffle)

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

        Raises:
            StoppedError: It was asked to stop, and its state is saved.
        """
        self.resumed = position_of(self.runner)
        self._iter = self._epoch * len(self.dataloader) + self.resumed.steps
        self.next_check, self.checked_step = self._iter + 1, self._iter
        move_schedulers(self.runner)
        if self.rate_factor != 1:
            scale_rate(self.runner, self.rate_factor)
        try:
            return super().run()
        except StopDuringValidation:
            for hook in self.runner.hooks:
                if isinstance(hook, EMAHook):
                    hook._swap_ema_parameters()  # which a validation begins and ends with
            self._epoch -= 1
            self._stop(Position(len(self.dataloader), len(self.dataloader), validates=True))

    def run_epoch(self) -> None:
        """Train an epoch, or what is left of it or of the run."""
        resumed, self.resumed = self.resumed, Position()
        if resumed.validates:
            self._epoch += 1
            return
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        self._report(LOADING, resumed.steps + 1)
        asked = time.monotonic()
        if 0 < resumed.steps < len(self.dataloader):
            inner = self.dataloader.batch_sampler
            inner.sampler = SkipFirst(inner.sampler, resumed.steps * self.dataloader.batch_size)
        batches = iter(self.dataloader) if resumed.steps < len(self.dataloader) else iter(())
        for index in range(resumed.steps, len(self.dataloader)):
            if self.iter >= self.max_iters:
                break
            seed_step(self.runner.seed or 0, get_rank(), self.epoch, index, self.shuffle)
            batch = next(batches)
            arrived = time.monotonic()
            self._report(COMPUTING, index + 1)
            self.run_iter(index, batch)
            self._report(LOADING, index + 2, 1)
            done = time.monotonic()
            times = self.times
            self.times = StepTimes(times.steps + 1, times.seconds + done - asked, times.waiting + arrived - asked)
            asked = done
            # After the last step the end of the epoch is waited for, with which hooks change rates.
            is_last = index + 1 == len(self.dataloader)
            if not is_last and self.iter >= self.next_check and self._is_asked_to_stop():
                self._stop(Position(index + 1, len(self.dataloader)))
        self._report(VALIDATING)
        self.runner.call_hook('after_train_epoch')
        if self._is_asked_to_stop():
            self._stop(Position(len(self.dataloader), len(self.dataloader), validates=True))
        self._epoch += 1

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Make a step.

        Args:
            idx: Step in the epoch, from 0.
            data_batch: Of the loader.

        Raises:
            StepMemoryError: The memory is too small for the images of a step, or for a part of them.
        """
        runner = self.runner
        runner.call_hook('before_train_iter', batch_idx=idx, data_batch=data_batch)
        try:
            outputs = self._train_step(runner.model, data_batch)
        except (RuntimeError, MemoryError) as error:
            if needs_fewer_images(error):
                raise StepMemoryError(as_task_error(error).sentence) from error
            raise
        runner.call_hook('after_train_iter', batch_idx=idx, data_batch=data_batch, outputs=outputs)
        self._iter += 1

    def _train_step(self, model: nn.Module, batch: Any) -> dict[str, torch.Tensor]:
        if self.micro_batches == 1:
            return model.train_step(batch, optim_wrapper=self.runner.optim_wrapper)
        return train_in_parts(model, batch, self.runner.optim_wrapper, self.micro_batches)

    def validation_step(self, number: int) -> None:
        """Say where a validation is, and leave it if the training was asked to stop.

        Args:
            number: Of its batches, from 1.
        """
        is_last = number == len(self.runner.val_dataloader)
        self._report(EVALUATING if is_last and is_main_process() else VALIDATING, number)
        if get_world_size() == 1 and self.report.stop_signal():
            raise StopDuringValidation

    def _report(self, doing: str, step: int = 0, done: int = 0) -> None:
        is_validation = doing in (VALIDATING, EVALUATING) and step > 0  # the epoch is counted already
        self.report.write(doing, self.epoch + (not is_validation), step, done)

    def _is_asked_to_stop(self) -> bool:
        """Return whether any process was asked to stop; they all call this after the same step."""
        number = self.report.stop_signal()
        if get_world_size() == 1:
            return bool(number)
        now = time.monotonic()
        step = (now - self.checked) / max(self.iter - self.checked_step, 1)
        self.checked, self.checked_step = now, self.iter
        wanted = min(max(round(SECONDS_BETWEEN_CHECKS / max(step, 1e-6)), 1), MOST_STEPS_BETWEEN_CHECKS)
        found = torch.tensor([number, -wanted], dtype=torch.float64)
        all_reduce(found, 'max')
        number, fewest = (int(value) for value in found.tolist())
        self.next_check = self.iter - fewest
        return bool(number)

    def _stop(self, position: Position) -> None:
        """Save the state and end.

        Args:
            position: In the epoch.

        Raises:
            StoppedError: Always.
        """
        self._report(SAVING, position.steps)
        saved = ['Its state is saved: started again in the same output folder, the task goes on there.']
        earlier = 'tarted again in the same output folder, the task goes on from an earlier state.'
        if not is_finite(self.runner.model):  # on a GPU losses are looked at some steps later
            saved = [f'Its weights are not numbers, so they are not saved: s{earlier}']
        else:
            try:
                self.runner.call_hook('save_state', position=position)
            except DiskFullError as error:
                saved = [f'{error} S{earlier}']
        broadcast_object_list(saved)  # of the process that saves; no other may end before
        number = self.report.stop_signal()
        name = signal.Signals(number).name if number else 'another process'
        raise StoppedError(
            f'The training was stopped by {name} after step {position.steps} of epoch {self.epoch + 1}. {saved[0]}'
        )


def _change_seeds(loader: torch.utils.data.DataLoader, offset: int) -> None:
    """Have a loader give its images in another order, and its workers draw other numbers."""
    sampler = getattr(loader.batch_sampler, 'sampler', loader.sampler)
    if hasattr(sampler, 'seed'):
        sampler.seed += offset
    init = loader.worker_init_fn
    if isinstance(init, functools.partial) and 'seed' in init.keywords:
        keywords = {**init.keywords, 'seed': init.keywords['seed'] + offset}
        loader.worker_init_fn = functools.partial(init.func, *init.args, **keywords)


class SkipFirst:
    """A sampler that leaves out its first images once: a training goes on within an epoch.

    Args:
        sampler: What orders the images.
        count: So many are left out.
    """

    def __init__(self, sampler: Any, count: int) -> None:
        self.sampler, self.count = sampler, count

    def __iter__(self) -> Iterator[int]:
        count, self.count = self.count, 0
        return itertools.islice(iter(self.sampler), count, None)

    def __len__(self) -> int:
        return len(self.sampler)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sampler, name)


@HOOKS.register_module()
class ValidationReportHook(Hook):
    """Has the loop say where a validation is, and stop in it."""

    priority = 'VERY_LOW'

    def after_val_iter(self, runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Say it.

        Args:
            runner: The runner.
            batch_idx: Batch of the validation.
            data_batch: Unused.
            outputs: Unused.
        """
        runner.train_loop.validation_step(batch_idx + 1)
