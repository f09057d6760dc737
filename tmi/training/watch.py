"""How the processes of a training tell the one that watches over them how far they are, and learn that they shall stop.

Each writes a line into a file of its own at every step: over the old one and of the same length, so that a full disk
does not matter. The files lie in a temporary folder; clocks are those of one machine. Imports no torch.
"""

import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tmi.process_tree import STOPPED_STATES, children, descendants, process_state, processor_seconds

FOLDER_VARIABLE = 'TMI_WATCH_FOLDER'
STOP_FILE = 'stop'
LENGTH = 160  # of a line
STARTING, LOADING, COMPUTING, VALIDATING, SAVING = 'starting', 'loading', 'computing', 'validating', 'saving'
EVALUATING = 'evaluating'  # computes the metric of a validation, which says nothing until it is done
# What is done in one go may take so many times as long as a step may.
SLOW, SLOW_FACTOR = (STARTING, VALIDATING, EVALUATING, SAVING), 3
BUSY_FACTOR = 10  # as many times longer may a metric take that keeps a processor busy
IDLE = 0.01  # share of a processor below which a process does nothing
WORDS = {
    LOADING: 'waits for its data',
    COMPUTING: 'computes',
    VALIDATING: 'validates',
    EVALUATING: 'computes the metric',
    SAVING: 'saves',
}
STEPS_WAITED = 50  # mean steps


class RankState(NamedTuple):
    """Where a process of a training is.

    Args:
        rank: Its number among all.
        pid: Its process.
        doing: One of the words above.
        epoch: From 1; 0 before the first.
        step: In the epoch, or image batch of a validation, from 1.
        steps: Done since it started.
        at: When it wrote this, as `time.monotonic` has it.
    """

    rank: int
    pid: int
    doing: str = STARTING
    epoch: int = 0
    step: int = 0
    steps: int = 0
    at: float = 0.0

    def place(self) -> str:
        """Return where it is, in words."""
        where = f' in epoch {self.epoch}, step {self.step}' if self.epoch else ''
        return f'{WORDS.get(self.doing, "starts")}{where}'


class RankReport:
    """Writes where this process is; without a folder in the environment it writes nothing.

    Args:
        folder: Of the training, '' for none.
        rank: Number of the process among all.
    """

    def __init__(self, folder: str | None = None, rank: int | None = None) -> None:
        folder = os.environ.get(FOLDER_VARIABLE, '') if folder is None else folder
        rank = int(os.environ.get('RANK', '0')) if rank is None else rank
        self.state = RankState(rank, os.getpid())
        self._file = self._stop = -1
        if folder:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._file, self._stop = (
                os.open(Path(folder) / name, flags, 0o600) for name in (f'rank_{rank}', STOP_FILE)
            )

    def write(self, doing: str, epoch: int = 0, step: int = 0, done: int = 0) -> None:
        """Write where this process is.

        Args:
            doing: One of the words above.
            epoch: From 1.
            step: In the epoch, from 1.
            done: Steps done since the last call.
        """
        if self._file < 0:
            return
        steps = self.state.steps + done
        self.state = RankState(self.state.rank, self.state.pid, doing, epoch, step, steps, time.monotonic())
        os.pwrite(self._file, json.dumps(self.state).ljust(LENGTH).encode('ascii'), 0)

    def stop_signal(self) -> int:
        """Return the signal by which this training was asked to stop, 0 for none."""
        return int(os.pread(self._stop, 8, 0) or b'0') if self._stop >= 0 else 0


class Watch:
    """The other side: reads where the processes of this machine are, and asks them to stop.

    Args:
        folder: A new folder, which the processes find in the environment.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.began = self._since = time.monotonic()
        self._metrics: dict[RankState, tuple[float, float]] = {}  # since when, and processor seconds until then

    def forgive(self, until: float) -> None:
        """Count no time before a moment as one in which nothing was done.

        Args:
            until: As `time.monotonic` has it.
        """
        self._since = until

    def ask_to_stop(self, number: int) -> None:
        """Ask all processes to save their state and end.

        Args:
            number: The signal that is the reason.
        """
        (self.folder / STOP_FILE).write_bytes(str(number).encode('ascii'))

    def states(self) -> list[RankState]:
        """Return where each process is that has begun."""
        found = []
        for path in sorted(self.folder.glob('rank_*')):
            try:
                found.append(RankState(*json.loads(path.read_bytes())))
            except (OSError, ValueError, TypeError):  # while it is written
                continue
        return sorted(found)

    def standstill(self, limit: float | None, least: float) -> str:
        """Say which process stands still.

        Args:
            limit: Seconds that a step may take; None for `least` or 50 mean steps so far, whichever is more.
            least: Of seconds.

        Returns:
            A sentence; '' as long as any process goes on.
        """
        states, now = self.states(), time.monotonic()
        if not states:
            waited = now - self._since
            return f'no process of the training began to work in {waited:.0f} s' if waited > SLOW_FACTOR * least else ''
        steps = max(state.steps for state in states)
        mean = (max(state.at for state in states) - self.began) / steps if steps else 0.0
        seconds = limit if limit is not None else max(least, STEPS_WAITED * mean)
        for state in states:
            # The first step may compile the network.
            factor = SLOW_FACTOR if state.doing in SLOW or not state.steps else 1
            factor *= BUSY_FACTOR if self._is_busy_with_metric(state, now) else 1
            if now - max(state.at, self._since) <= seconds * factor:
                return ''
        since = now - max(self._since, *(state.at for state in states))
        return f'{"; ".join(_culprits(states))}. Nothing was done for {since:.0f} s'

    def _is_busy_with_metric(self, state: RankState, now: float) -> bool:
        """Return whether a process computes a metric, and has not merely been waiting for another one since."""
        if state.doing != EVALUATING or process_state(state.pid) in STOPPED_STATES:
            return False
        used = processor_seconds([state.pid, *children(state.pid)])
        self._metrics = {state: self._metrics.get(state, (now, used))}
        since, before = self._metrics[state]
        return used - before > IDLE * (now - since)


def rank_place(folder: str | Path, rank: int) -> str:
    """Return where a process of a training was last, for a sentence about it; '' if it is not known.

    Args:
        folder: Of the training.
        rank: Number of the process.
    """
    try:
        state = RankState(*json.loads(Path(folder, f'rank_{rank}').read_bytes()))
    except (OSError, ValueError, TypeError):
        return ''
    return f' (epoch {state.epoch}, step {state.step})' if state.epoch else ''


def _culprits(states: Sequence[RankState]) -> Iterator[str]:
    """Yield what is known of processes that hold up the others: those that are stopped, else those that are behind."""
    stopped = False
    for state in states:
        halted = [pid for pid in [state.pid, *descendants(state.pid)] if process_state(pid) in STOPPED_STATES]
        if halted:
            stopped = True
            what = 'is stopped' if state.pid in halted else f'has a stopped loader process ({halted[0]})'
            yield f'rank {state.rank} {what} ({signal.SIGSTOP.name}) and {state.place()}'
    if stopped:
        return
    loading = [state for state in states if state.doing == LOADING]
    least = min((state.epoch, state.step) for state in states)
    for state in loading or [state for state in states if (state.epoch, state.step) == least]:
        waits = ', for a disk or a network file system' if process_state(state.pid) == 'D' else ''
        yield f'rank {state.rank} {state.place()}{waits}'
