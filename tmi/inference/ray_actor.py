"""What runs on the machines of a Ray cluster: a model, loaded once, that predicts one block after the other.

Ray starts it again when it is lost, and gives it the block again that it was at. How an image is found that ends
whoever reads it is the same as on one machine (`supervise.py`): after a loss the block's images are taken one at a
time, and one that it is lost to again is skipped. A loss with its whole machine is no fault of an image.

An error of Python is handed over as data, for the task to end with. Imported before torch may be.
"""

import json
import logging
import os
import socket
import threading
import time
import traceback
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tmi.errors import LOST_LOADER, SettingError, UnknownError, as_task_error, causes_of
from tmi.inference.blocks import Attempt, Block, Loss, images_to_skip, is_whole
from tmi.inference.heartbeat import Beat, Heartbeat, read_heartbeat
from tmi.inference.plan import PredictionPlan
from tmi.inference.ray_node import fault_of, look
from tmi.inference.supervise import (
    LEAST_WORKING,
    LOADER_LOST,
    MAX_LOSSES,
    MAX_LOSSES_AT_START,
    POLL_SECONDS,
    STANDSTILL_SECONDS,
    Standstill,
)
from tmi.log import configure_logging
from tmi.process_tree import kill_tree
from tmi.processes import STANDSTILL_VARIABLE, ErrorRecord, seconds_of

if TYPE_CHECKING:
    from tmi.inference.worker import ShardPredictor

logger = logging.getLogger('tmi')


@dataclass(frozen=True)
class Work:
    """What all actors of a run need to know; travels as JSON.

    Args:
        plan: Of the task.
        root: The folder of all blocks.
        run: Names this run of the task.
        token: A file that every machine must see.
        sizes: Of files that every machine must see, in bytes.
        packages: The `fingerprint` of the machine that the task was started on.
        environ: Variables that the task was given.
    """

    plan: dict[str, Any]
    root: str
    run: str
    token: str
    sizes: Mapping[str, int]
    packages: Mapping[str, str]
    environ: Mapping[str, str]


@dataclass
class BlockReport:
    """What came of a block.

    Args:
        number: Of the block.
        images: That could be read, in this attempt.
        unusable: Of them, those without finite numbers.
        half_precision: Whether the model computes in it.
        skipped: How many images were left out because they ended whoever read them.
        warning: What is to be said of the model.
        error: An `ErrorRecord` if it failed.
    """

    number: int
    images: int = 0
    unusable: int = 0
    half_precision: bool = False
    skipped: int = 0
    warning: str = ''
    error: dict[str, Any] | None = None


class BlockPredictor:
    """Predicts blocks; Ray makes one for each place in the cluster.

    Args:
        work: A `Work` as JSON.
    """

    def __init__(self, work: str) -> None:
        self._work = Work(**json.loads(work))
        self._plan = PredictionPlan.of(self._work.plan)
        self._root = Path(self._work.root)
        self._model: ShardPredictor | None = None
        self._watch: Watch | None = None

    def __call__(self, batch: Mapping[str, Sequence[int]]) -> dict[str, list[str]]:
        """Predict blocks.

        Args:
            batch: `number`, `first` and `stop` of each block.

        Returns:
            `report`: a `BlockReport` as JSON for each.
        """
        blocks = [Block(*map(int, values)) for values in zip(batch['number'], batch['first'], batch['stop'])]
        return {'report': [json.dumps(asdict(self.predict(block))) for block in blocks]}

    def predict(self, block: Block) -> BlockReport:
        """Predict a block that is not there yet; a failure is reported, and a lost loader process ends this one.

        Args:
            block: Which one.
        """
        try:
            return self._predict(block)
        except Exception as error:
            if any(LOST_LOADER in str(cause) for cause in causes_of(error)):
                logger.warning('A loader process was lost at block %d: %s', block.number, error)
                os._exit(LOADER_LOST)
            traceback.print_exc()
            where = f'prediction on {socket.gethostname()}'
            return BlockReport(block.number, error=asdict(ErrorRecord.of(as_task_error(error), where)))

    def choose_engine(self) -> BlockReport:
        """Choose the engine that runs the network, for all; see `tmi.inference.engines.choice`."""
        try:
            self._prepare()
            batches = self.model.batches(0, 1, {})
            self.model.use_engine(next(iter(batches), None), 0, lambda: None)
            return BlockReport(0)
        except Exception as error:
            traceback.print_exc()
            return BlockReport(0, error=asdict(ErrorRecord.of(as_task_error(error), 'choice of an engine')))

    @property
    def model(self) -> 'ShardPredictor':
        """The model, loaded when it is first asked for."""
        if self._model is None:
            from tmi.inference.worker import ShardPredictor

            self._model = ShardPredictor(self._plan, self._root)
        return self._model

    def _predict(self, block: Block) -> BlockReport:
        if is_whole(self._plan, self._root, block):  # it was lost after that
            return BlockReport(block.number)
        self._prepare()
        node, nodes = _places()
        attempt = Attempt(self._root, block, self._work.run, node)
        losses = attempt.losses(nodes)
        skipped = _judge(losses)
        if losses:
            logger.warning(
                'The images %d to %d are predicted again, one at a time: %d attempts at them were lost%s',
                block.first,
                block.stop - 1,
                len(losses),
                f'; skipped: {", ".join(map(str, skipped))}' if skipped else '',
            )
        beat = Heartbeat(attempt.path, 0, is_shared=True)
        self._watch = self._watch or Watch(seconds_of(STANDSTILL_VARIABLE) or STANDSTILL_SECONDS)
        self._watch.folder = attempt.path
        try:
            check = self.model.check
            before = check.images, check.unusable
            reasons = dict.fromkeys(skipped, 'a predicting process was lost at it, twice')
            batches = self.model.batches(0, 1, reasons).part(block.first, block.stop)
            careful = block.stop - block.first if losses else 0
            self.model.predict(batches, attempt.path, beat, careful=careful)
        finally:
            self._watch.folder = None
            beat.close()
        attempt.finish()
        return BlockReport(
            block.number,
            check.images - before[0],
            check.unusable - before[1],
            check.half_precision,
            len(skipped),
            self.model.warning or '',
        )

    def _prepare(self) -> None:
        """Take over what the task was given, and see that this machine is as the others."""
        if self._watch is not None:
            return
        os.environ.update(self._work.environ)
        os.environ.setdefault('MKL_CBWR', 'AUTO,STRICT')  # as in processes of one machine
        level = self._plan.log_level
        configure_logging('warning' if level == 'info' else level)
        found = look(self._work.token, self._work.sizes)
        fault = fault_of(found, self._work.packages)
        if fault:
            raise SettingError(f'The machine {found["host"]} of the Ray cluster cannot be used: {fault}.')


class Watch(threading.Thread):
    """Ends this process, for Ray to start it again, where it stands still.

    Args:
        limit: Seconds, as `Standstill` takes them.
    """

    def __init__(self, limit: float) -> None:
        super().__init__(daemon=True)
        self.folder: Path | None = None  # of the attempt, while there is one
        self._limit = limit
        self.start()

    def run(self) -> None:
        """Look again and again."""
        folder, standstill = None, Standstill(self._limit)
        while True:
            if self.folder != folder:
                folder, standstill = self.folder, Standstill(self._limit)
            beat = read_heartbeat(folder, 0) if folder else Beat()
            if folder and standstill.lasts(beat, os.getpid()) and self.folder == folder:
                logger.warning('This process stood still for %g seconds at %s; it is ended', self._limit, folder)
                kill_tree(os.getpid())
            time.sleep(5 * POLL_SECONDS)


def _judge(losses: Sequence[Loss]) -> list[int]:
    """Return the images to skip.

    Raises:
        TaskError: UnknownError if it is no fault of an image, or there are too many losses.
    """
    skipped = images_to_skip(losses)
    at_start = sum(not loss.beat.predicts for loss in losses)
    reason = ''
    if at_start >= MAX_LOSSES_AT_START:
        reason = f'{at_start} times before the first image, while the model was loaded'
    elif len(skipped) >= LEAST_WORKING and len(skipped) > losses[-1].images:
        reason = f'at each of the first {len(skipped)} images'
    elif len(losses) >= MAX_LOSSES:
        reason = f'{len(losses)} times at the same images'
    if reason:
        raise UnknownError(
            f'A predicting process on the Ray cluster was lost {reason}: it crashed, stood still, or the main memory '
            'of its machine is used up; the log of Ray on that machine says more.'
        )
    return skipped


def _places() -> tuple[str, Collection[str]]:
    """Return the machine that this process is on, and those that the cluster has."""
    import ray

    return ray.get_runtime_context().get_node_id(), {node['NodeID'] for node in ray.nodes() if node['Alive']}
