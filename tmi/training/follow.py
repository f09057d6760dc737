"""What the nodes behind the first do of a training: they start the processes that node 0 says, and tell how they ended.

They prepare no data and write no results, so all nodes need the same files at the same places: input and output folder
stand on shared storage.
"""

import hashlib
import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tmi.devices import find_device, select_devices
from tmi.errors import (
    LostNodeError,
    SettingError,
    StoppedError,
    TaskError,
    as_task_error,
    cause_name,
    error_named,
    is_consequence,
)
from tmi.processes import forget_record
from tmi.training.launch import NodeTask, training_command
from tmi.training.nodes import FAILED_NODE_SECONDS, NodeLink
from tmi.training.ranks import POLL_SECONDS, Ranks, memory_kills

logger = logging.getLogger('tmi')

SHARED_FILE_SECONDS = 60.0  # until a file that another node has written is seen on a network file system


def follow(link: NodeLink, script: Path) -> None:
    """Do what node 0 says until its task ends.

    Args:
        link: To node 0.
        script: What each process runs, with the options of tools/train.py.

    Raises:
        TaskError: The task failed; or this node was stopped, or has lost node 0.
    """
    ranks = Ranks(forgive=link.forgive)
    with ranks.watches() as watches:
        logger.info('Node %d of %d waits for node 0 at %s', link.nodes.rank, link.nodes.count, link.nodes.address)
        done = -1
        while True:
            ended = link.is_complete() and link.heard()[0].get('ended')
            if ended:
                break
            start = link.heard().get(0, {}).get('start')
            if ranks.stop_signals:
                raise StoppedError(f'Node {link.nodes.rank} was stopped by {ranks.signal_name()}.')
            if not start or start['number'] <= done:
                time.sleep(POLL_SECONDS / 10)
                continue
            done = start['number']
            forget_record()
            kills = memory_kills()
            error: Exception | None
            try:
                command, environment = training_command(*_prepared(start, ranks), script, start['arguments'])
                error = ranks.run(command, environment, next(watches), Node0(link, done).trouble)
            except TaskError as failure:
                error = failure
            link.say(result={'number': done, **_described(error), 'was_memory': memory_kills() > kills})
    if ended['cause']:
        raise error_named(ended['cause'], f'The training ended on {link.name(0)}: {ended["sentence"]}')


def _described(error: Exception | None) -> dict[str, Any]:
    if error is None:
        return {'cause': '', 'sentence': '', 'is_consequence': False}
    known = as_task_error(error)
    return {'cause': cause_name(known), 'sentence': known.sentence, 'is_consequence': is_consequence(error)}


def _prepared(start: Mapping[str, Any], ranks: Ranks) -> tuple[Path, NodeTask]:
    """Wait until the config is seen here, and choose the GPUs.

    Raises:
        TaskError: SettingError if the config is not seen; MissingGpuError if there are too few GPUs; StoppedError if
            this node was stopped meanwhile.
    """
    path = Path(start['run_config'])
    until = time.monotonic() + SHARED_FILE_SECONDS
    while _digest(path) != start['digest']:
        if ranks.stop_signals:
            raise StoppedError(f'This node was stopped by {ranks.signal_name()}.')
        if time.monotonic() > until:
            raise SettingError(
                f'{path}, which node 0 has written, is not seen here: all nodes need the same input and output folder, '
                'on storage that they share, at the same path.'
            )
        time.sleep(POLL_SECONDS)
    if start['device'] == 'cuda':
        select_devices(range(start['processes']))
        find_device(start['processes'])
    return path, NodeTask(start['device'], Path(start['models_dir']), start['processes'], start['nodes'])


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:  # not there yet, or replaced while a network file system was reading it
        return None


class Node0:
    """How node 0 is, while the processes of this node run.

    Args:
        link: To it.
        number: Of the start.
    """

    def __init__(self, link: NodeLink, number: int) -> None:
        self.link, self.number = link, number
        self.failed_at = math.inf

    def trouble(self) -> TaskError | None:
        """Return why the processes of this node must be ended, None as long as they need not."""
        lost = self.link.lost()
        if lost:
            return LostNodeError(f'{lost} The training was ended.')
        heard = self.link.heard()[0]
        if heard.get('failed', -1) < self.number and not heard.get('ended'):
            return None
        now = time.monotonic()
        self.failed_at = min(self.failed_at, now)
        if now <= self.failed_at + FAILED_NODE_SECONDS:
            return None
        return LostNodeError(f'The processes of {self.link.name(0)} have ended before those of this one.')
