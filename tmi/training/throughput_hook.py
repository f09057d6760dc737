"""Who waits for whom: the model for its data, or the workers that load them for the model.

Over some steps it is measured how many images a second the training takes, the model without its data would take, and
one loader worker prepares. From that follows how many workers are needed, and where their number is left to the
training, how many there are from the next epoch on. Of several training processes the one counts that waits most for
its data: the others wait for that one in every step, which does not show as waiting for data.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from mmengine.dist import all_reduce, broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from tmi.training.loader_workers import WorkerTimes, max_workers, more_workers, set_workers
from tmi.training.train_loop import StepTimes

SKIPPED_STEPS = 5  # in which libraries choose their algorithms and the queues of the workers fill
MEASURED_STEPS = 20
MUCH = 1.25  # a rate that has changed by this factor is said again
# Less waiting than this share of the time is not worth another process ...
WORTH_A_WORKER = 0.05
# ... nor is one that saves fewer seconds over the rest of the run than its start may take.
RESTART_SECONDS = 5.0
GAIN = 1.02  # more workers that bring less than this factor are taken back


@dataclass(frozen=True)
class Throughput:
    """What was measured; rates are images per second of all training processes, that of a worker of one worker.

    Args:
        images_per_second: Of the training.
        model_images_per_second: If no batch had been waited for.
        worker_images_per_second: Of one worker; 0 if unknown.
        waiting_share: Share of the time spent waiting for data, of the process that waits most.
        workers: Of all training processes.
    """

    images_per_second: float
    model_images_per_second: float
    worker_images_per_second: float
    waiting_share: float
    workers: int

    @property
    def workers_needed(self) -> int:
        """Workers that prepare as many images as the model takes; 0 if unknown."""
        if not self.worker_images_per_second:
            return 0
        return math.ceil(self.model_images_per_second / self.worker_images_per_second)

    def numbers(self) -> dict[str, float]:
        """Return the numbers by name."""
        return {**vars(self), 'workers_needed': self.workers_needed}

    def sentence(self) -> str:
        """Return what was measured, in words."""
        words = f'{self.images_per_second:.1f} images/s, {100 * self.waiting_share:.0f} % of the time waiting for data'
        if not self.workers_needed:
            return words
        needed = f'{self.workers_needed} are' if self.workers_needed != 1 else '1 is'
        return (
            f'{words}: the model alone would take {self.model_images_per_second:.1f}, one loader worker prepares '
            f'{self.worker_images_per_second:.1f}, so {needed} needed; there are {self.workers}'
        )

    def differs_much(self, other: 'Throughput') -> bool:
        """Return whether another measurement is worth a line of its own."""
        pairs = zip(self.numbers().values(), other.numbers().values())
        rates = [(one, two) for one, two in list(pairs)[:3] if one and two]
        return self.workers != other.workers or any(max(one / two, two / one) > MUCH for one, two in rates)


def measured(times: StepTimes, worked: tuple[float, float], images: int, processes: int, workers: int) -> Throughput:
    """Make rates of times.

    Args:
        times: Of the steps.
        worked: Seconds and images of the workers of this process meanwhile.
        images: Of a step, of one process.
        processes: That train together.
        workers: Of this process.
    """
    total = times.steps * images * processes
    worker_seconds, worker_images = worked
    return Throughput(
        total / times.seconds,
        total / max(times.seconds - times.waiting, 1e-9),
        worker_images / worker_seconds if worker_seconds else 0.0,
        times.waiting_share,
        max(workers, 1) * processes,
    )


def of_the_slowest(found: Throughput) -> Throughput:
    """Return what the process measured that waits most for its data; the same in each, which must all call this.

    Args:
        found: By this process. Its model seems slower than it is while it waits for other processes.
    """
    largest = torch.tensor(
        [found.waiting_share, found.model_images_per_second, -found.worker_images_per_second, -found.images_per_second],
        dtype=torch.float64,
    )
    all_reduce(largest, 'max')
    share, model, worker, images = largest.abs().tolist()
    return replace(
        found,
        waiting_share=share,
        model_images_per_second=model,
        worker_images_per_second=worker,
        images_per_second=images,
    )


@HOOKS.register_module()
class ThroughputHook(Hook):
    """Say who waits for whom, and let the number of workers follow; it needs `TaskTrainLoop`.

    The numbers are in the message hub as `throughput`, the share of all waiting so far as its `waiting_share`.

    Args:
        num_processes: That train together.
        auto_workers: Whether the number of workers may change.
        node_processes: Of them on this machine; None for all.
    """

    priority = 'VERY_LOW'  # after the hooks that change the pipeline

    def __init__(self, num_processes: int = 1, auto_workers: bool = False, node_processes: int | None = None) -> None:
        self.num_processes, self.node_processes = num_processes, node_processes or num_processes
        self.auto_workers = auto_workers
        self.limit = max_workers(self.node_processes)
        self.window: tuple[StepTimes, tuple[float, float]] | None = None
        self.next_window = SKIPPED_STEPS
        self.found: Throughput | None = None
        self.said: Throughput | None = None
        self.before_growth: Throughput | None = None
        self.grown_at = -1

    def before_train(self, runner) -> None:
        """Make the memory in which workers note their times, before they start."""
        self.worker_times = WorkerTimes(max(self.limit, runner.train_dataloader.num_workers))

    def before_train_epoch(self, runner) -> None:
        """Change the number of workers where that gains, and measure again in the second epoch."""
        self.worker_times.watch(runner.train_dataloader.dataset)
        if self.auto_workers and self.found is not None and self.window is None:
            self._follow(runner)
        if runner.epoch == 1 and self.window is None and runner.train_loop.times.steps >= self.next_window:
            self.next_window = runner.train_loop.times.steps + 1  # what a cache holds now is faster

    def after_train_iter(
        self, runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, torch.Tensor] | None = None
    ) -> None:
        """Measure.

        Args:
            runner: The runner.
            batch_idx: Step in the epoch.
            data_batch: Unused.
            outputs: Unused.
        """
        times = runner.train_loop.times  # of the steps before this one
        if self.window is None and times.steps == self.next_window:
            self.window = times, self.worker_times.read()
        if self.window is None:
            return
        if torch.cuda.is_available():
            torch.cuda.synchronize()  # else the time of the device would look like waiting
        begun, worked = self.window
        if times.steps - begun.steps >= MEASURED_STEPS:
            now = self.worker_times.read()
            self.window = None
            self._found(runner, times - begun, (now[0] - worked[0], now[1] - worked[1]))

    def after_train_epoch(self, runner) -> None:
        """Keep the share of all waiting for the summary and the curves."""
        largest = torch.tensor(runner.train_loop.times.waiting_share, dtype=torch.float64)
        all_reduce(largest, 'max')
        share = largest.item()
        runner.message_hub.update_scalar('train/waiting_share', share)
        if self.found is not None:
            numbers = {**self.found.numbers(), 'waiting_share': share}
            runner.message_hub.update_info('throughput', numbers)

    def _found(self, runner, times: StepTimes, worked: tuple[float, float]) -> None:
        loader = runner.train_dataloader
        found = measured(times, worked, loader.batch_size, self.num_processes, loader.num_workers)
        self.found = of_the_slowest(found)
        if self.said is None or self.found.differs_much(self.said):
            runner.logger.info('%s%s', self.found.sentence(), self._advice(loader.num_workers))
            self.said = self.found

    def _advice(self, workers: int) -> str:
        if self.found.waiting_share <= WORTH_A_WORKER or self.found.workers_needed <= self.found.workers:
            return ''
        if workers >= self.limit:
            return f', and no more fit the {self.limit * self.node_processes} CPU cores'
        return '' if self.auto_workers else ' (workers_per_gpu)'

    def _follow(self, runner) -> None:
        """Decide, in the main process for all, on the number of workers."""
        loader = runner.train_dataloader
        decision = list(self._decide(runner)) if is_main_process() else [0, False]
        broadcast_object_list(decision)
        count, self.auto_workers = decision
        if count == loader.num_workers:
            return
        runner.logger.info('Loader workers: %d instead of %d', count, loader.num_workers)
        set_workers(loader, count, runner.iter)
        runner.cfg.train_dataloader.num_workers = count  # of loaders that are built later
        self.next_window = runner.train_loop.times.steps + SKIPPED_STEPS
        self.found = None

    def _decide(self, runner) -> tuple[int, bool]:
        """Return the number of workers, and whether it may change again."""
        loader, found = runner.train_dataloader, self.found
        workers, processes = loader.num_workers, self.num_processes
        if self.before_growth is not None:
            before, self.before_growth = self.before_growth, None
            if found.images_per_second < GAIN * before.images_per_second:
                return before.workers // processes, False
        left = (runner.max_iters - runner.iter) * loader.batch_size * processes / found.images_per_second
        worth = found.waiting_share > WORTH_A_WORKER and found.waiting_share * left > RESTART_SECONDS
        wanted = math.ceil(found.workers_needed / processes)
        if not worth or not 0 < workers < wanted:
            return workers, True
        count = more_workers(loader, wanted, self.limit, self.node_processes)
        if count > workers:
            self.before_growth = found
        return count, True
