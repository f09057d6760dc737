"""How far a task is (contract section f): monitor.txt, and for mining and inference lines in the log and a bar."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ymir_exc.monitor import YmirTask, read_monitor, write_monitor_logger, write_monitor_logger_for_multiple_tasks
from ymir_exc.progress import YmirStage, YmirStageWeight
from ymir_exc.util import get_merged_config

logger = logging.getLogger('ymir')

MONITOR_SECONDS = 0.5
LOG_SECONDS = 10.0
TRAINING_WEIGHTS = (0.00001, 0.96999, 0.03)  # of preparation, training, and the examination of its images


def write_progress(stage: YmirStage, share: float) -> None:
    """Write the progress of a training.

    Args:
        stage: Preparation, training, or what follows it.
        share: Progress within the stage, 0 to 1.
    """
    write_monitor_logger(YmirStageWeight(defaults=TRAINING_WEIGHTS).get_stage_process(stage, share))


def training_share() -> float:
    """Return how much of its training a task has shown so far, 0 to 1."""
    try:
        before, training, _ = TRAINING_WEIGHTS
        return min(max((read_monitor().percent - before) / training, 0.0), 1.0)
    except (OSError, ValueError):
        return 0.0


class PredictionProgress:
    """Reports the number of images done.

    Args:
        task: Mining or inference; when one run does both, each has half of the platform's bar.
        total: Images of the task.
        name: Of what is done, for the log.
    """

    def __init__(self, task: YmirTask, total: int, name: str = '') -> None:
        self._config = get_merged_config()
        self._task = task
        self._name = name or task.name.lower()
        self._total = total
        self._weights = YmirStageWeight()
        self._started: float | None = None  # when the first images were done
        self._done_at_start = self._logged = 0
        self._next_monitor = self._next_log = time.monotonic()
        self._bar: Progress | None = None
        if sys.stdout.isatty():
            self._bar = Progress(
                TextColumn('{task.description}'),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn('{task.fields[speed]}'),
                TimeRemainingColumn(),
            )
            self._row = self._bar.add_task(self._name, total=total, speed='')

    def __enter__(self) -> 'PredictionProgress':
        self._write(YmirStage.PREPROCESS, 1.0)
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type | None, *exception: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        if kind is None:
            self._write(YmirStage.POSTPROCESS, 1.0)

    def update(self, done: int) -> None:
        """Report that `done` images have been predicted; cheap enough to be called at any rate."""
        now = time.monotonic()
        if done and self._started is None:  # starting the processes is not part of the speed
            self._started, self._done_at_start, self._next_log = now, done, now
        if now >= self._next_monitor:
            self._next_monitor = now + MONITOR_SECONDS
            self._write(YmirStage.TASK, done / self._total)
        if self._bar is not None:
            self._bar.update(self._row, completed=done, speed=self._speed_text(done, now))
        elif done > self._logged and (now >= self._next_log or done == self._total):
            self._logged = done
            self._next_log = now + LOG_SECONDS
            logger.info('%s: %d of %d images%s', self._name, done, self._total, self._speed_text(done, now))

    def order(self, share: float) -> None:
        """Report how much of the order of all images is made, after the last image: the progress stays at its end."""
        now = time.monotonic()
        if now >= self._next_monitor:
            self._next_monitor = now + MONITOR_SECONDS
            self._write(YmirStage.TASK, 1.0)
        if now >= self._next_log:
            self._next_log = now + LOG_SECONDS
            logger.info('%s: %.0f %% of the order', self._name, 100 * share)

    def _speed_text(self, done: int, now: float) -> str:
        if self._started is None or done == self._done_at_start:
            return ''
        speed = (done - self._done_at_start) / (now - self._started)
        return f', {speed:.1f} images/s, {(self._total - done) / speed:.0f} s left'

    def _write(self, stage: YmirStage, share: float) -> None:
        write_monitor_logger_for_multiple_tasks(self._config, self._task, self._weights.get_stage_process(stage, share))


class ExaminationProgress(PredictionProgress):
    """Reports the number of images that are examined after a training, within its last stage.

    Args:
        total: How many there are.
    """

    def __init__(self, total: int) -> None:
        super().__init__(YmirTask.TRAINING, total, 'examination of labelled images')

    def _write(self, stage: YmirStage, share: float) -> None:
        parts = {YmirStage.PREPROCESS: 0.0, YmirStage.TASK: share, YmirStage.POSTPROCESS: 1.0}
        write_progress(YmirStage.POSTPROCESS, parts[stage])


class _CheckProgress(PredictionProgress):
    """Reports the number of images of a training that are checked: the first half of its preparation.

    Args:
        total: How many there are.
    """

    def __init__(self, total: int) -> None:
        super().__init__(YmirTask.TRAINING, total, 'check of the data')

    def _write(self, stage: YmirStage, share: float) -> None:
        parts = {YmirStage.PREPROCESS: 0.0, YmirStage.TASK: share / 2, YmirStage.POSTPROCESS: 0.5}
        write_progress(YmirStage.PREPROCESS, parts[stage])


@contextmanager
def check_progress() -> Iterator[Callable[[int, int], None]]:
    """Report the check of a training's data.

    Yields:
        To be called with the number of images done and of all.
    """
    with ExitStack() as stack:
        started: list[_CheckProgress] = []

        def update(done: int, total: int) -> None:
            if not started:
                started.append(stack.enter_context(_CheckProgress(total)))
            started[0].update(done)

        yield update
