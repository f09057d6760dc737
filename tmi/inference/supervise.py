"""Starts the predicting processes, waits for them, and starts those again that are lost; imports no torch.

They share nothing but files: no process group, no collective call, so none can hang because another is slow. The
parent counts the lines of their shard files for the progress. A process that fails with an error of Python takes the
others with it, and its error is the task's.

One that is lost, to a signal or because it stands still, is started again behind the images that it finished, and takes
the next ones one at a time. If it is lost again, the image that it was at is skipped, listed with the reason, and the
process goes on behind it. Whoever is lost before its first image has no image to blame: that ends the task.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tmi.devices import select_devices
from tmi.errors import StandstillError, StoppedError, TaskError, UnknownError, killed_process
from tmi.inference.heartbeat import Beat, heartbeat_path, read_heartbeat
from tmi.inference.plan import THREADS, PredictionPlan
from tmi.inference.shards import Finished, LineCounter, finished_part, shard_path
from tmi.inference.skipped import add_skipped, read_skipped
from tmi.process_tree import children, kill_tree, processor_seconds
from tmi.processes import ERROR_FILE_VARIABLE, STANDSTILL_VARIABLE, read_record, seconds_of

logger = logging.getLogger('tmi')

POLL_SECONDS = 0.1
STANDSTILL_SECONDS = 600  # far more than loading a model or predicting a batch takes on any machine
IDLE = 0.01  # share of a core below which a process does nothing; waiting for loader processes takes less
BUSY = 10  # as many times longer may a process that does something be without a step
LOADER_LOST = 70  # exit status of a process whose loader process was killed
MAX_LOSSES = 50  # of one process; each is followed by a start, which loads the model
MAX_LOSSES_AT_START = 2
CAREFUL_FROM = 3  # losses after which all images are taken one at a time, in the least memory
LEAST_WORKING = 3  # images in which a model that finished none is lost, so that it is the machine or the model
STOPPED = (-signal.SIGTERM, -signal.SIGINT)
AHEAD = 4  # batches for each loader process, and for none, that may be in work at once
END_SECONDS = 10  # to wait for a killed process; one that waits for a dead file system does not end


def finished_images(plan: PredictionPlan, folder: Path, rank: int, first: int | None = None) -> Finished:
    """Return what a process has finished of its files.

    Args:
        plan: Of the task.
        folder: Where the files lie.
        rank: Number of the process.
        first: Position of its first image in the list, None for that which follows from its number.
    """
    rows = None
    if plan.mining is not None:
        from tmi.inference.embeddings import finished_rows  # needs numpy, which inference does without here

        rows = finished_rows(folder, rank)
    return finished_part(folder, rank, plan.world_size, rows, first)


def run_processes(plan: PredictionPlan, folder: Path, on_progress: Callable[[int], None]) -> None:
    """Let processes predict what is missing in their shard files.

    Args:
        plan: What to do; it lies in the folder.
        folder: Where all files lie.
        on_progress: Called with the number of images done.

    Raises:
        TaskError: What went wrong in a process, or why it was lost again and again.
    """
    error_file = os.environ.get(ERROR_FILE_VARIABLE) or str(folder / 'error.json')
    limit = seconds_of(STANDSTILL_VARIABLE) or STANDSTILL_SECONDS
    members = [PredictingProcess(plan, folder, rank, error_file, limit) for rank in range(plan.world_size)]
    try:
        for member in members:
            member.begin()
        while True:
            ended = [member.has_ended() for member in members]  # each is looked after
            if all(ended):
                break
            on_progress(sum(member.count() for member in members))
            time.sleep(POLL_SECONDS)
        on_progress(sum(member.count() for member in members))
    finally:
        for member in members:
            member.kill()
    losses = [member.last_loss for member in members if member.last_loss is not None]
    if losses and len(read_skipped(folder)) == plan.num_images:  # then it is no fault of images
        raise losses[-1]


class Standstill:
    """Tells whether a predicting process stands still; asked again and again.

    Args:
        limit: Seconds without a step that are too long, ten times as many where the process does something.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._beat, self._looked, self._idle, self._used = Beat(), time.monotonic(), 0.0, 0.0

    def lasts(self, beat: Beat, pid: int) -> bool:
        """Return whether nothing has changed for too long; the time in which this process itself slept is left out.

        Args:
            beat: What the process wrote last.
            pid: Its number.
        """
        now = time.monotonic()
        passed, self._looked = min(now - self._looked, 10 * POLL_SECONDS), now
        used = processor_seconds([pid, *children(pid)])
        if beat != self._beat:
            self._beat, self._idle, self._used = beat, 0.0, used
            return False
        self._idle += passed
        is_busy = used - self._used > IDLE * self._idle
        return self._idle > self._limit * (BUSY if is_busy else 1)


class PredictingProcess:
    """One predicting process, which may be started several times.

    Args:
        plan: What to do.
        folder: Where all files lie.
        rank: Its number.
        error_file: Where it leaves its error.
        limit: Seconds without a step after which it stands still.
    """

    def __init__(self, plan: PredictionPlan, folder: Path, rank: int, error_file: str, limit: float) -> None:
        self._plan, self._folder, self._rank = plan, folder, rank
        self._error_file, self._limit = error_file, limit
        self._name = f'The predicting process {rank}'
        self._process: subprocess.Popen | None = None
        self._counter = LineCounter(shard_path(folder, rank))
        self._losses = self._losses_at_start = 0
        self._suspects = range(0)  # numbers of its images, one of which it was probably lost to
        self._standstill = Standstill(limit)
        self.last_loss: TaskError | None = None

    def begin(self) -> None:
        """Start it if there is anything left to do."""
        needed = len(range(self._rank, self._plan.num_images, self._plan.world_size))
        if finished_images(self._plan, self._folder, self._rank).images < needed:
            self._start()

    def count(self) -> int:
        """Return how many images are done."""
        return self._counter.count()

    def has_ended(self) -> bool:
        """Look after the process; returns whether all is done.

        Raises:
            TaskError: It has failed, or was lost too often.
        """
        if self._process is None:
            return True
        status = self._process.poll()
        if status is None:
            if self._standstill.lasts(read_heartbeat(self._folder, self._rank), self._process.pid):
                self.kill()
                reason = f'stood still for {self._limit:g} seconds'
                self._lost(reason, StandstillError(f'{self._name} {reason}; start the task again, on another machine.'))
            return False
        if status == LOADER_LOST:
            self._lost('lost a loader process', UnknownError(f'{self._name} lost its loader processes; see the log.'))
        elif status in STOPPED:
            raise StoppedError(
                f'{self._name} was stopped from outside ({signal.Signals(-status).name}): start it again.'
            )
        elif status > 0:
            raise self._failure(status)
        elif status < 0:
            self._lost(f'was ended by {signal.Signals(-status).name}', self._failure(status))
        return status == 0

    def kill(self) -> None:
        """End the process and its loader processes, however it does."""
        if self._process is None or self._process.poll() is not None:
            return
        kill_tree(self._process.pid)
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            logger.warning('%s does not end, as where a file system does not answer', self._name)

    def _start(self, careful: int = 0) -> None:
        heartbeat_path(self._folder, self._rank).unlink(missing_ok=True)
        self._standstill = Standstill(self._limit)
        self._counter = LineCounter(shard_path(self._folder, self._rank))
        command = [sys.executable, '-m', 'tmi.inference.worker', self._folder, self._rank, careful]
        environ = _environment(self._plan, self._rank, self._error_file)
        self._process = subprocess.Popen(list(map(str, command)), env=environ)

    def _lost(self, reason: str, error: TaskError) -> None:
        """Start it again, past the image that it was lost to twice."""
        beat, plan = read_heartbeat(self._folder, self._rank), self._plan
        self.last_loss = error
        self._losses += 1
        if not beat.predicts:
            self._losses_at_start += 1
            if self._losses_at_start >= MAX_LOSSES_AT_START:
                raise error
        done = finished_images(plan, self._folder, self._rank).images
        careful = plan.batch_size * AHEAD * (plan.workers + 1)
        what = f'{self._name} {reason} after {done} of its images'
        at_image = beat.image is not None and beat.image == self._index(done)
        if not at_image:
            self._suspects = range(done, done + careful) if beat.predicts else range(0)
        elif done not in self._suspects:
            self._suspects = range(done, done + 1)
        else:
            skipped = self._skip(done, f'a predicting process {reason} at it, twice')
            if skipped >= LEAST_WORKING and skipped > done:
                raise error
            what += f', for the second time at image {beat.image + 1} of the list, which is skipped'
            self._suspects = range(0)
        if self._losses >= MAX_LOSSES:
            raise type(error)(f'{error.sentence} It was lost {self._losses} times, so no further start is tried.')
        logger.warning('%s; it is started again and takes images one at a time', what)
        self._start(careful if self._losses < CAREFUL_FROM else plan.num_images)

    def _index(self, place: int) -> int:
        """Return the position in the list of an image of this process."""
        return self._rank + place * self._plan.world_size

    def _skip(self, place: int, reason: str) -> int:
        """List an image as skipped; returns how many of this process are."""
        add_skipped(self._folder, self._index(place), reason)
        return sum(index % self._plan.world_size == self._rank for index in read_skipped(self._folder))

    def _failure(self, status: int) -> TaskError:
        """Return the error of a process that ended."""
        record = read_record(self._error_file) if status > 0 else None
        if record is not None:
            return record.to_error()
        return killed_process(self._name, status) or UnknownError(
            f'{self._name} ended with status {status} without a Python error; the log above is all there is.'
        )


def _environment(plan: PredictionPlan, rank: int, error_file: str) -> dict[str, str]:
    environ = dict(os.environ)
    environ[ERROR_FILE_VARIABLE] = error_file
    environ['OMP_NUM_THREADS'] = environ['MKL_NUM_THREADS'] = str(THREADS)
    environ.setdefault('MKL_CBWR', 'AUTO,STRICT')  # matrix products do not depend on where their operands lie
    select_devices(plan.gpu_ids[rank : rank + 1], environ)
    return environ
