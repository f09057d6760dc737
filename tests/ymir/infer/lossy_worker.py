"""Stands in for `tmi.inference.worker`, with its files and its order of steps but without a network.

Names of images say what happens to the process that reads them: `SIGSEGV.jpg` or `SIGSEGV.2.jpg` ends it by that signal
each time, `once-SIGKILL.jpg` the first time alone. It takes batches of four, or one at a time where it is told to. The
environment variable AT_START names a signal that ends it before the first image, FULL the process whose disk is full
after its first batch.
"""

import os
import signal
import sys
from pathlib import Path

from tmi.inference.heartbeat import Heartbeat
from tmi.inference.image_list import iter_image_list
from tmi.inference.plan import PLAN_FILE, PredictionPlan
from tmi.inference.shards import Prediction, ShardWriter
from tmi.inference.skipped import read_skipped
from tmi.inference.supervise import finished_images
from tmi.processes import run_task

BATCH = 4
READ_FILE = 'read.txt'  # beside the folder: the path of each image that was read


def read(path: str, folder: Path) -> None:
    """Read an image."""
    *once, name = Path(path).stem.partition('.')[0].split('-')
    with open(folder.parent / READ_FILE, 'a', encoding='utf-8') as file:
        file.write(f'{path}\n')
    if name.startswith('SIG'):
        marker = folder.parent / f'{name}.happened'
        if not (once and marker.exists()):
            marker.touch()
            os.kill(os.getpid(), getattr(signal, name))


def main() -> None:
    """Write a line for each image."""
    folder, rank, careful = Path(sys.argv[-3]), int(sys.argv[-2]), int(sys.argv[-1])
    beat = Heartbeat(folder, rank)
    if 'AT_START' in os.environ:
        os.kill(os.getpid(), getattr(signal, os.environ['AT_START']))
    plan = PredictionPlan.load(folder / PLAN_FILE)
    kept, skipped = finished_images(plan, folder, rank), read_skipped(folder)
    shard = ShardWriter(folder, rank, kept)
    images = list(iter_image_list(folder, rank, plan.world_size, kept.images))
    while images:
        size = 1 if careful > 0 else BATCH
        careful -= size
        batch, images = images[:size], images[size:]
        beat.at_image(batch[0][0]) if size == 1 else beat.at_batch()
        for index, path in batch:
            if index not in skipped:
                read(path, folder)
        shard.write(
            [
                Prediction(index, path, None if index in skipped else (9, 9), problem=skipped.get(index, ''))
                for index, path in batch
            ]
        )
        if os.environ.get('FULL') == str(rank):
            os.dup2(os.open('/dev/full', os.O_WRONLY), shard._file.fileno())


if __name__ == '__main__':
    run_task('prediction', main)
