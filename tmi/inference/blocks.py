"""Blocks: consecutive images that one of several machines predicts together, each in a folder of its own.

A block's folder holds the files that a predicting process writes (`shards.py`, `embeddings.py`). It is filled as an
attempt, under a name of its own, and renamed once it is whole, so a block is there as a whole or not at all, and an
attempt that was lost leaves none. What attempts leave behind, where they were, says which image ends the processes
that read it. All of it lies on storage that the machines share, in a folder whose name follows from the plan: a
machine that still works on an earlier plan does no harm. Imports no torch.
"""

import os
import re
import shutil
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from tmi.errors import UnknownError
from tmi.inference.heartbeat import Beat, read_heartbeat
from tmi.inference.image_list import IMAGE_LIST_FILE
from tmi.inference.plan import PredictionPlan
from tmi.inference.shards import finished_part, shard_path
from tmi.inference.supervise import finished_images

NODE_FILE = 'node.txt'
VISIBLE_SECONDS = 60  # within which shared storage shows each machine what another has written
BLOCK_PREFIX = 'block_'
ATTEMPT_NAME = re.compile(r'block_\d+\.attempt_\w+_(\d+)')


class Block(NamedTuple):
    """Consecutive images.

    Args:
        number: Of the block.
        first: Position of its first image in the list.
        stop: Position behind its last one.
    """

    number: int
    first: int
    stop: int


class Loss(NamedTuple):
    """An attempt that did not end.

    Args:
        node: The machine.
        beat: What it was at.
        images: How many it had finished.
    """

    node: str
    beat: Beat
    images: int


def blocks_folder(plan: PredictionPlan, folder: Path) -> Path:
    """Return where the blocks of a plan lie, with all that predicting them needs.

    Args:
        plan: Of the task.
        folder: Of the task's predictions.
    """
    return folder / f'blocks_{plan.key()[:16]}'


def make_blocks_folder(plan: PredictionPlan, folder: Path, kept: Collection[Block]) -> Path:
    """Make the folder of a plan's blocks, with the list of images in it, and remove what is of no use there.

    Args:
        plan: Of the task.
        folder: Of the task's predictions.
        kept: The blocks that are whole; others go, and so do attempts that were lost.

    Returns:
        The folder.
    """
    root = blocks_folder(plan, folder)
    root.mkdir(exist_ok=True)
    temporary = root / f'{IMAGE_LIST_FILE}.tmp'
    shutil.copyfile(folder / IMAGE_LIST_FILE, temporary)
    temporary.replace(root / IMAGE_LIST_FILE)
    names = {block_path(root, block.number).name for block in kept}
    for path in root.iterdir():
        if path.is_dir() and path.name.startswith(BLOCK_PREFIX) and path.name not in names:
            shutil.rmtree(path, ignore_errors=True)
    return root


def blocks_of(plan: PredictionPlan) -> list[Block]:
    """Return all blocks of a plan."""
    starts = range(0, plan.num_images, plan.block_size)
    return [Block(number, first, min(first + plan.block_size, plan.num_images)) for number, first in enumerate(starts)]


def block_path(root: Path, number: int) -> Path:
    """Return the folder of a block that is whole.

    Args:
        root: The folder of all blocks.
        number: Of the block.
    """
    return root / f'{BLOCK_PREFIX}{number:06d}'


def is_whole(plan: PredictionPlan, root: Path, block: Block) -> bool:
    """Return whether a block's folder holds all its images.

    Args:
        plan: Of the task.
        root: The folder of all blocks.
        block: Which one.
    """
    path = block_path(root, block.number)
    return finished_images(plan, path, 0, block.first).images == block.stop - block.first


def finished_blocks(plan: PredictionPlan, folder: Path) -> list[Block]:
    """Return the blocks that are whole.

    Args:
        plan: Of the task.
        folder: Of the task's predictions.
    """
    root = blocks_folder(plan, folder)
    names = set(os.listdir(root)) if root.is_dir() else set()
    return [
        block
        for block in blocks_of(plan)
        if block_path(root, block.number).name in names and is_whole(plan, root, block)
    ]


class Attempt:
    """One try at a block, in a folder of its own.

    Args:
        root: The folder of all blocks.
        block: What is predicted.
        run: Names the run of the task, in letters and digits; attempts of other runs do not count.
        node: Names the machine.
    """

    def __init__(self, root: Path, block: Block, run: str, node: str) -> None:
        self._root, self._block, self._run = root, block, run
        number = len(self._others())
        while True:
            self.path = root / f'{block_path(root, block.number).name}.attempt_{run}_{number}'
            try:
                self.path.mkdir()
                break
            except FileExistsError:
                number += 1
        (self.path / NODE_FILE).write_text(node, encoding='utf-8')

    def losses(self, nodes: Collection[str]) -> list[Loss]:
        """Return what earlier attempts of this run were at that were lost on machines which are still there.

        Args:
            nodes: The machines that are there.
        """
        found = []
        for _, path in sorted(self._others()):
            loss = _loss(path, self._block)
            if path != self.path and loss.node in nodes:
                found.append(loss)
        return found

    def finish(self) -> None:
        """Make it the block; if another attempt was first, that one stays."""
        for path in self.path.iterdir():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
        try:
            self.path.rename(block_path(self._root, self._block.number))
        except OSError:
            if not block_path(self._root, self._block.number).is_dir():
                raise
            shutil.rmtree(self.path, ignore_errors=True)

    def _others(self) -> list[tuple[int, Path]]:
        found = []
        for path in self._root.glob(f'{block_path(self._root, self._block.number).name}.attempt_{self._run}_*'):
            if match := ATTEMPT_NAME.fullmatch(path.name):
                found.append((int(match[1]), path))
        return found


def _loss(path: Path, block: Block) -> Loss:
    try:
        node = (path / NODE_FILE).read_text(encoding='utf-8')
    except OSError:
        node = ''
    return Loss(node, read_heartbeat(path, 0), finished_part(path, 0, 1, first=block.first).images)


def images_to_skip(losses: Sequence[Loss]) -> list[int]:
    """Return the images that ended attempts: each was alone when one was lost, after another loss to it or its batch.

    Args:
        losses: In the order in which they happened.

    Returns:
        Positions in the list.
    """
    found, named, in_batch = [], set(), False
    for loss in losses:
        if not loss.beat.predicts:
            continue
        if loss.beat.image is None:
            in_batch = True
        elif in_batch or loss.beat.image in named:
            found.append(loss.beat.image)
            named, in_batch = set(), False
        else:
            named.add(loss.beat.image)
    return found


def work_in_progress(root: Path) -> dict[str, Beat]:
    """Return what the attempts are at; of those that were lost, what they were at.

    Args:
        root: The folder of all blocks.

    Returns:
        Name of an attempt -> its heartbeat.
    """
    return {name: read_heartbeat(root / name, 0) for name in os.listdir(root) if ATTEMPT_NAME.fullmatch(name)}


def merge_blocks(plan: PredictionPlan, folder: Path) -> None:
    """Join the blocks to the files that one process would have written, and remove them.

    Args:
        plan: Of the task.
        folder: Of the task's predictions.

    Raises:
        TaskError: UnknownError if a block is missing or cut short.
    """
    root, blocks = blocks_folder(plan, folder), blocks_of(plan)
    _wait_until_visible(plan, root, blocks)
    names = [shard_path(folder, 0).name]
    if plan.mining is not None:
        from tmi.inference.embeddings import embeddings_path  # needs numpy, which inference does without here

        names.insert(0, embeddings_path(folder, 0).name)
    for name in names:
        temporary = folder / f'{name}.tmp'
        with open(temporary, 'wb') as joined:
            for block in blocks:
                with open(block_path(root, block.number) / name, 'rb') as file:
                    shutil.copyfileobj(file, joined)
        temporary.replace(folder / name)
    shutil.rmtree(root, ignore_errors=True)


def _wait_until_visible(plan: PredictionPlan, root: Path, blocks: Sequence[Block]) -> None:
    deadline = time.monotonic() + VISIBLE_SECONDS
    for block in blocks:
        while not is_whole(plan, root, block):
            if time.monotonic() > deadline:
                raise UnknownError(
                    f'{block_path(root, block.number)}, the predictions of the images {block.first} to '
                    f'{block.stop - 1}, is missing or cut short: see that all machines of the cluster share this '
                    'folder, and start the task again; what is whole is kept.'
                )
            time.sleep(0.5)
