"""Runs a training until it is finished, whatever happens to its processes.

- Where the memory is too small for a step, they are started again with half the images at once (`micro_batches.py`).
- Where the loss is no number, they are started again from the last state with another order of the images, the second
  time with half the learning rate too.

Each start goes on from the last whole state that this training has saved. With several nodes this is done on node 0,
and the others start what it says (`follow.py`).
"""

import hashlib
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmyolo.utils.files import replacing
from tmi.errors import (
    InsufficientMemoryError,
    LostNodeError,
    NotFiniteError,
    StandstillError,
    StepMemoryError,
    StoppedError,
    TaskError,
    as_task_error,
    error_named,
    is_consequence,
)
from tmi.processes import forget_record
from tmi.training.config import TrainingTask, config_text
from tmi.training.launch import is_resume, training_command
from tmi.training.nodes import FAILED_NODE_SECONDS, NodeLink
from tmi.training.ranks import POLL_SECONDS, Ranks, memory_kills
from tmi.training.watch import Watch

logger = logging.getLogger('tmi')

MOST_SHUFFLES = 2  # after losses that were no number
RATE_FACTOR = 0.5  # from the second time on


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
        link: To the other nodes; None if this is the only one.
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
        link: NodeLink | None = None,
    ) -> None:
        self.run, self.run_config, self.task, self.script = run, run_config, task, script
        self.arguments, self.state_file, self.link = list(arguments), state_file, link
        self.ranks = Ranks(handles_signals, link.forgive if link else lambda until: None)
        self.images = run.train_dataloader.batch_size
        self.workers = run.train_dataloader.num_workers
        self.changes = Changes(micro_batches=run.train_cfg.get('micro_batches', 1))
        self.saved_before = self._saved()
        self.scaled_at = self.saved_before  # the state to which the factor of the rate applies

    def train(self) -> None:
        """Train to the end.

        Raises:
            TaskError: It failed or was stopped.
            subprocess.CalledProcessError: It failed, and left no reason.
        """
        with self.ranks.watches() as watches:
            arguments = self.arguments
            for number, watch in enumerate(watches):
                kills = memory_kills()
                others = OtherNodes(self.link, number) if self.link else None
                error = self._start(watch, arguments, others)
                if error is None:
                    break
                was_memory = memory_kills() > kills or others is not None and others.lost_memory()
                self.changes = self._next(error, watch, was_memory)
                arguments = self._prepare()
        if self.ranks.stop_signals:
            raise StoppedError(
                f'The task was stopped by {self.ranks.signal_name()} when its training had just ended: started again '
                'in the same output folder, it does what follows the training.'
            )

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

    def _start(self, watch: Watch, arguments: Sequence[str], others: 'OtherNodes | None') -> Exception | None:
        """Run all processes to their end, on all nodes; return why they failed."""
        command, environment = training_command(self.run_config, self.task, self.script, arguments)
        if others is None:
            return self.ranks.run(command, environment, watch)
        while not others.link.is_complete():
            if self.ranks.stop_signals:
                return StoppedError(f'The task was stopped by {self.ranks.signal_name()} before its training began.')
            time.sleep(POLL_SECONDS)
        others.start(self.run_config, self.task, arguments)
        error = self.ranks.run(command, environment, watch, others.trouble)
        if error is None or self.ranks.stop_signals:
            return error
        cause = others.cause(error)
        if cause is not error:
            forget_record()  # what processes of this node have left is a consequence
        return cause

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
        if self.ranks.stop_signals or has_lost_state:
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


class OtherNodes:
    """What node 0 tells the others about one start, and hears from them.

    Args:
        link: To them.
        number: Of the start.
    """

    def __init__(self, link: NodeLink, number: int) -> None:
        self.link, self.number = link, number
        self.failed_at = math.inf

    def start(self, run_config: Path, task: TrainingTask, arguments: Sequence[str]) -> None:
        """Have them start their processes.

        Args:
            run_config: The config, which they read themselves.
            task: The task.
            arguments: Of tools/train.py.
        """
        digest = hashlib.sha256(run_config.read_bytes()).hexdigest()
        self.link.say(
            start={
                'number': self.number,
                'run_config': str(run_config),
                'digest': digest,
                'nodes': task.nodes,
                'processes': task.node_processes,
                'device': task.device,
                'models_dir': str(task.models_dir),
                'arguments': list(arguments),
            }
        )

    def results(self) -> list[dict[str, Any]]:
        """Return how the processes of other nodes ended that have, with the rank of the node as `node`."""
        heard = self.link.heard().items()
        found = [{'node': rank, **(one.get('result') or {})} for rank, one in heard]
        return [result for result in found if result.get('number') == self.number]

    def lost(self) -> str:
        """Return a sentence about a node that is gone or ended without a result of this start, '' if there is none."""
        lost = self.link.lost()
        if lost:
            return lost
        ended = {result['node'] for result in self.results()}
        for rank, one in self.link.heard().items():
            if 'left' in one and rank not in ended:
                return f'{self.link.name(rank).capitalize()} was stopped or has failed; its log says why.'
        return ''

    def lost_memory(self) -> bool:
        """Return whether the system of another node has killed a process for memory."""
        return any(result['was_memory'] for result in self.results())

    def errors(self) -> list[tuple[bool, TaskError]]:
        """Return the errors of other nodes, each with whether another error may be its cause."""
        return [
            (
                result['is_consequence'],
                error_named(result['cause'], f'{self.link.name(result["node"]).capitalize()}: {result["sentence"]}'),
            )
            for result in self.results()
            if result['cause']
        ]

    def trouble(self) -> TaskError | None:
        """Return why the processes of this node must be ended, None as long as they need not."""
        lost = self.lost()
        if lost:
            return _lost(lost)
        failed = self.errors()
        if not failed:
            return None
        now = time.monotonic()
        self.failed_at = min(self.failed_at, now)
        return min(failed, key=_order)[1] if now > self.failed_at + FAILED_NODE_SECONDS else None

    def cause(self, error: Exception) -> Exception:
        """Wait until all have ended; return the error of the node on which it began.

        Args:
            error: Of this node.
        """
        if isinstance(error, LostNodeError):
            return error
        self.link.say(failed=self.number)
        while len(self.results()) < self.link.nodes.count - 1:
            lost = self.lost()
            if lost:
                return _lost(lost) if is_consequence(error) else error
            time.sleep(POLL_SECONDS / 10)
        others = self.errors()
        still = [str(one) for _, one in others if isinstance(one, StandstillError)]
        if still and isinstance(error, StandstillError):  # who waits for the other does not say so
            return StandstillError(' '.join([str(error), *still]))
        return min([(is_consequence(error), error), *others], key=_order)[1]


def _order(failure: tuple[bool, Exception]) -> bool:
    return failure[0]


def _lost(sentence: str) -> LostNodeError:
    return LostNodeError(
        f'{sentence} The training was ended. Started again on all nodes with the same output folder, it goes on from '
        'the last state that was saved.'
    )
