"""Runs the processes of a training and watches over them until it is finished.

- A signal to stop is passed on: they finish their step, save their state and end. A second one, or the end of a grace
  time, ends them at once.
- Where the memory is too small for a step, they are started again with half the images at once (`micro_batches.py`).
- Where the loss is no number, they are started again from the last state with another order of the images, the second
  time with half the learning rate too.
- Where no process does anything for long, all are ended, with a sentence that says which one and where it stands.

Each start goes on from the last whole state that this training has saved.
"""

import itertools
import logging
import math
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmyolo.utils.files import replacing
from tmi.errors import (
    InsufficientMemoryError,
    NotFiniteError,
    StandstillError,
    StepMemoryError,
    StoppedError,
    TaskError,
    as_task_error,
    killed_process,
)
from tmi.process_tree import kill_tree
from tmi.processes import ERROR_FILE_VARIABLE, STANDSTILL_VARIABLE, forget_record, read_record, seconds_of
from tmi.training.config import TrainingTask, config_text
from tmi.training.launch import is_resume, training_command
from tmi.training.watch import FOLDER_VARIABLE, Watch, rank_place

logger = logging.getLogger('tmi')

SIGNALS = (signal.SIGTERM, signal.SIGINT)
STOP_VARIABLE, STOP_SECONDS = 'TMI_STOP_SECONDS', 25.0  # Kubernetes kills after 30
STANDSTILL_SECONDS = 600.0
POLL_SECONDS = 1.0
SAME_SIGNAL_SECONDS = 1.0  # one that a whole process group gets arrives from several sides
MOST_SHUFFLES = 2  # after losses that were no number
RATE_FACTOR = 0.5  # from the second time on
# Where the system counts the processes that it killed for memory: the machine, the container.
KILL_COUNTERS = ('/proc/vmstat', '/sys/fs/cgroup/memory.events', '/sys/fs/cgroup/memory/memory.oom_control')


@dataclass(frozen=True)
class Changes:
    """What a start does otherwise than the first.

    Args:
        micro_batches: In how many parts the images of a step go through the network.
        shuffle: Which order of the images this is.
        rate_factor: What the learning rate of the state is multiplied by, or of the config if there is no state.
        fewer_workers: By what the number of loader workers is divided.
    """

    micro_batches: int = 1
    shuffle: int = 0
    rate_factor: float = 1.0
    fewer_workers: int = 1


class Supervisor:
    """One training.

    Args:
        run: The complete config, whose `train_cfg` is that of `TaskTrainLoop`; it is changed for further starts.
        run_config: Where it stands; written again for further starts.
        task: The task.
        script: What each process runs, with the options of tools/train.py.
        arguments: Further arguments of tools/train.py.
        state_file: Where the training saves its state; None if it saves none.
        handles_signals: Whether SIGTERM and SIGINT of this process stop the training; else whoever handles them raises.
    """

    def __init__(
        self,
        run: Config,
        run_config: Path,
        task: TrainingTask,
        script: Path,
        arguments: Sequence[str] = (),
        state_file: Path | None = None,
        handles_signals: bool = True,
    ) -> None:
        self.run, self.run_config, self.task, self.script = run, run_config, task, script
        self.arguments, self.state_file = list(arguments), state_file
        self.handles_signals = handles_signals and threading.current_thread() is threading.main_thread()
        self.images = run.train_dataloader.batch_size
        self.workers = run.train_dataloader.num_workers
        self.changes = Changes(micro_batches=run.train_cfg.get('micro_batches', 1))
        self.saved_before = self._saved()
        self.scaled_at = self.saved_before  # the state to which the factor of the rate applies
        self.stop_signals: list[int] = []
        self.parent = os.getppid()
        self.last_signal = -math.inf
        self.stop_deadline = 0.0
        self.stop_seconds = seconds_of(STOP_VARIABLE) or STOP_SECONDS
        self.limit = seconds_of(STANDSTILL_VARIABLE)

    def train(self) -> None:
        """Train to the end.

        Raises:
            TaskError: It failed or was stopped.
            subprocess.CalledProcessError: It failed, and left no reason.
        """
        previous = {number: signal.signal(number, self._ask) for number in SIGNALS} if self.handles_signals else {}
        try:
            with tempfile.TemporaryDirectory(prefix='tmi-watch-', ignore_cleanup_errors=True) as folder:
                arguments = self.arguments
                for number in itertools.count():
                    watch = Watch(Path(folder) / str(number))
                    kills = memory_kills()
                    error = self._start(watch, arguments)
                    if error is None:
                        break
                    self.changes = self._next(error, watch, memory_kills() > kills)
                    arguments = self._prepare()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
        if self.stop_signals:
            raise StoppedError(
                f'The task was stopped by {self._signal_name()} when its training had just ended: started again in the '
                'same output folder, it does what follows the training.'
            )

    def _ask(self, number: int, frame: Any) -> None:
        now = time.monotonic()
        if now > self.last_signal + SAME_SIGNAL_SECONDS:
            self.stop_signals.append(number)
        self.last_signal = now

    def _signal_name(self) -> str:
        return signal.Signals(self.stop_signals[0]).name

    def _saved(self) -> tuple[int, int] | None:
        """Return what differs after the state has been saved again; None if there is none."""
        try:
            status = self.state_file.stat() if self.state_file else None
        except OSError:
            return None
        return (status.st_ino, status.st_mtime_ns) if status else None

    def _has_new_state(self) -> bool:
        """Return whether a state was saved; one of an earlier training may also have been deleted."""
        return self._saved() not in (None, self.saved_before)

    def _start(self, watch: Watch, arguments: Sequence[str]) -> Exception | None:
        """Run all processes to their end; return why they failed."""
        command, environment = training_command(self.run_config, self.task, self.script, arguments)
        environment[FOLDER_VARIABLE] = str(watch.folder)
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, start_new_session=True
        )
        try:
            ended = self._wait(process, watch)
        except BaseException:
            kill_tree(process.pid)
            process.wait()
            raise
        if ended is not None or process.returncode == 0:
            return ended
        record = read_record(os.environ.get(ERROR_FILE_VARIABLE, ''))
        if record is not None:
            return record.to_error()
        failure = subprocess.CalledProcessError(process.returncode, command)
        return killed_process(f'The training process 0{rank_place(watch.folder, 0)}', process.returncode) or failure

    def _prepare(self) -> list[str]:
        """Write the config of another start; return the arguments of tools/train.py."""
        arguments, run, changes = self.arguments, self.run, self.changes
        run.train_cfg.update(
            micro_batches=changes.micro_batches, shuffle=changes.shuffle, rate_factor=changes.rate_factor
        )
        for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            if name in run:
                loader = run[name]
                loader.num_workers = min(loader.num_workers, max(self.workers // changes.fewer_workers, 1))
                if name != 'train_dataloader':
                    loader.batch_size = max(self.images // changes.micro_batches, 1)
        for hook in run.custom_hooks:
            if 'launched' in hook:  # of a time budget
                hook['launched'] = time.monotonic()
        if self._has_new_state():
            run.resume, run.load_from = True, str(self.state_file)
            arguments = [word for word in arguments if not is_resume(word)]
        with replacing(self.run_config) as temporary:
            temporary.write_text(config_text(run, self.run_config), encoding='utf-8')
        return arguments

    def _wait(self, process: subprocess.Popen, watch: Watch) -> TaskError | None:
        """Wait for the end; return the reason for which all were killed."""
        asked = 0
        seen = time.monotonic()
        while True:
            try:
                process.wait(POLL_SECONDS)
                return None
            except subprocess.TimeoutExpired:
                pass
            now = time.monotonic()
            if now - seen > 10 * POLL_SECONDS:  # this process stood still as well, as in a paused container
                watch.forgive(now)
            seen = now
            if len(self.stop_signals) > asked and asked == 0:
                asked = len(self.stop_signals)
                self.stop_deadline = now + self.stop_seconds
                watch.ask_to_stop(self.stop_signals[0])
                logger.warning(
                    '%s: the training ends after its step and saves its state; a second signal ends it at once.',
                    self._signal_name(),
                )
            standstill = watch.standstill(self.limit, STANDSTILL_SECONDS)
            is_orphan = os.getppid() != self.parent  # a task that is started again must not meet this one
            if len(self.stop_signals) > 1 or asked and (is_orphan or now > self.stop_deadline) or standstill:
                kill_tree(process.pid)
                process.wait()
                return self._reason(standstill)

    def _reason(self, standstill: str) -> TaskError:
        if not self.stop_signals:
            return StandstillError(
                f'The training stood still and was ended: {standstill}. Started again in the same output folder, the '
                'task goes on from the last state that was saved.'
            )
        why = 'twice' if len(self.stop_signals) > 1 else f'and did not end a step within {self.stop_seconds:g} s'
        return StoppedError(
            f'The training was stopped by {self._signal_name()} {why}, so it was ended at once: started again in the '
            'same output folder, the task goes on from the last state that was saved.'
        )

    def _next(self, error: Exception, watch: Watch, was_memory: bool) -> Changes:
        """Return what the next start does otherwise.

        Raises:
            Exception: The error, if nothing is left to do.
        """
        known = as_task_error(error)
        changes = self.changes
        saved = self._saved()
        if saved != self.scaled_at:  # the state holds the rate that was changed
            changes = replace(changes, rate_factor=1.0)
        has_lost_state = saved is None and self.run.get('load_from') == str(self.state_file)
        if self.stop_signals or has_lost_state:
            raise error
        if isinstance(known, StepMemoryError) or was_memory and isinstance(known, InsufficientMemoryError):
            if changes.micro_batches >= self.images:
                raise error
            parts = min(2 * changes.micro_batches, self.images)
            changes = replace(changes, micro_batches=parts)
            if not isinstance(known, StepMemoryError):
                changes = replace(changes, fewer_workers=2 * changes.fewer_workers)
            what = (
                f'the {self.images} images of a step go through the network in {parts} parts, whose gradients are '
                'added up; the recipe stays the same'
            )
        elif isinstance(known, NotFiniteError):
            steps = sum(state.steps for state in watch.states())
            if changes.shuffle >= MOST_SHUFFLES or not steps:  # the first loss depends on no order and on no rate
                raise error
            changes = replace(changes, shuffle=changes.shuffle + 1)
            what = 'the images come in another order'
            if changes.shuffle == MOST_SHUFFLES:
                changes = replace(changes, rate_factor=changes.rate_factor * RATE_FACTOR)
                what += ', and the learning rate is halved'
        else:
            raise error
        self.scaled_at = saved
        place = 'goes on from its last state' if self._has_new_state() else 'starts again'
        logger.warning('%s The training %s: %s.', known.sentence, place, what)
        forget_record()
        return changes


def memory_kills() -> int:
    """Return how many processes the system has killed for memory so far, as far as it says."""
    found = 0
    for path in KILL_COUNTERS:
        try:
            rows = [line.split() for line in Path(path).read_text(encoding='ascii').splitlines()]
        except OSError:
            continue
        found += sum(int(row[1]) for row in rows if row[0] == 'oom_kill')
    return found
