"""Runs the training processes ("ranks") of this machine once, and watches over them until they have ended.

- A signal to stop is passed on: they finish their step, save their state and end. A second one, or the end of a grace
  time, ends them at once.
- Where no process does anything for long, all are ended, with a sentence that says which one and where it stands.
- Where another node is gone or has failed, they are ended too.
"""

import contextlib
import itertools
import logging
import math
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tmi.errors import StandstillError, StoppedError, TaskError, killed_process
from tmi.process_tree import kill_tree
from tmi.processes import ERROR_FILE_VARIABLE, STANDSTILL_VARIABLE, forget_record, read_record, seconds_of
from tmi.training.watch import FOLDER_VARIABLE, Watch, rank_place

logger = logging.getLogger('tmi')

SIGNALS = (signal.SIGTERM, signal.SIGINT)
STOP_VARIABLE, STOP_SECONDS = 'TMI_STOP_SECONDS', 25.0  # Kubernetes kills after 30
STANDSTILL_SECONDS = 600.0
POLL_SECONDS = 1.0
SAME_SIGNAL_SECONDS = 1.0  # one that a whole process group gets arrives from several sides
# Where the system counts the processes that it killed for memory: the machine, the container.
KILL_COUNTERS = ('/proc/vmstat', '/sys/fs/cgroup/memory.events', '/sys/fs/cgroup/memory/memory.oom_control')


class Ranks:
    """The processes of this machine, one start after another.

    Args:
        handles_signals: Whether SIGTERM and SIGINT of this process stop the training; else whoever handles them raises.
        forgive: Called with the time when this process has stood still itself, as in a paused container.
    """

    def __init__(self, handles_signals: bool = True, forgive: Callable[[float], None] = lambda until: None) -> None:
        self.handles_signals = handles_signals and threading.current_thread() is threading.main_thread()
        self.forgive = forgive
        self.stop_signals: list[int] = []
        self.parent = os.getppid()
        self.last_signal = -math.inf
        self.stop_deadline = 0.0
        self.stop_seconds = seconds_of(STOP_VARIABLE) or STOP_SECONDS
        self.limit = seconds_of(STANDSTILL_VARIABLE)

    @contextlib.contextmanager
    def watches(self) -> Iterator[Iterator[Watch]]:
        """Handle signals, and give a new watch for each start."""
        previous = {number: signal.signal(number, self._ask) for number in SIGNALS} if self.handles_signals else {}
        try:
            with tempfile.TemporaryDirectory(prefix='tmi-watch-', ignore_cleanup_errors=True) as folder:
                yield (Watch(Path(folder) / str(number)) for number in itertools.count())
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def signal_name(self) -> str:
        """Return the name of the signal that stopped the training."""
        return signal.Signals(self.stop_signals[0]).name

    def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        watch: Watch,
        trouble: Callable[[], TaskError | None] = lambda: None,
    ) -> Exception | None:
        """Run all processes to their end.

        Args:
            command: What starts them.
            environment: Variables for it.
            watch: A new one.
            trouble: Returns why they must be ended, None as long as they need not.

        Returns:
            Why they failed; None if they did not.
        """
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment, FOLDER_VARIABLE: str(watch.folder)},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            ended = self._wait(process, watch, trouble)
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

    def _ask(self, number: int, frame: Any) -> None:
        now = time.monotonic()
        if now > self.last_signal + SAME_SIGNAL_SECONDS:
            self.stop_signals.append(number)
        self.last_signal = now

    def _wait(
        self, process: subprocess.Popen, watch: Watch, trouble: Callable[[], TaskError | None]
    ) -> TaskError | None:
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
                self.forgive(now)
            seen = now
            if len(self.stop_signals) > asked and asked == 0:
                asked = len(self.stop_signals)
                self.stop_deadline = now + self.stop_seconds
                watch.ask_to_stop(self.stop_signals[0])
                logger.warning(
                    '%s: the training ends after its step and saves its state; a second signal ends it at once.',
                    self.signal_name(),
                )
            standstill = watch.standstill(self.limit, STANDSTILL_SECONDS)
            elsewhere = trouble()
            is_orphan = os.getppid() != self.parent  # a task that is started again must not meet this one
            is_over = len(self.stop_signals) > 1 or asked and (is_orphan or now > self.stop_deadline)
            if is_over or standstill or elsewhere:
                kill_tree(process.pid)
                process.wait()
                if elsewhere and not is_over:
                    forget_record()  # what processes of this node have left is a consequence
                    return elsewhere
                return self._reason(standstill)

    def _reason(self, standstill: str) -> TaskError:
        if not self.stop_signals:
            return StandstillError(
                f'The training stood still and was ended: {standstill}. Started again in the same output folder, the '
                'task goes on from the last state that was saved.'
            )
        why = 'twice' if len(self.stop_signals) > 1 else f'and did not end a step within {self.stop_seconds:g} s'
        return StoppedError(
            f'The training was stopped by {self.signal_name()} {why}, so it was ended at once: started again in the '
            'same output folder, the task goes on from the last state that was saved.'
        )


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
