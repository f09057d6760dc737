"""Runs the predicting processes and waits for them; imports no torch.

They share nothing but files: no process group, no collective call, so none can hang because another is slow. The
parent counts the lines of their shard files for the progress. A process that fails takes the others with it, and its
error is the task's.
"""

import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tmi.devices import select_devices
from tmi.errors import MEMORY_ADVICE_VARIABLE, UnknownError, killed_process
from tmi.inference.engines import ENGINE_FOLDER
from tmi.inference.image_list import write_image_list
from tmi.inference.plan import PLAN_FILE, PredictionPlan
from tmi.inference.shards import LineCounter, Prediction, merge_shards, shard_path
from tmi.processes import ERROR_FILE_VARIABLE, read_record

logger = logging.getLogger('tmi')

DONE_FILE = 'done'
POLL_SECONDS = 0.1


def predict(
    plan: PredictionPlan, paths: Iterable[str], folder: Path, on_progress: Callable[[int], None]
) -> Iterator[Prediction]:
    """Predict all images of a plan, or take what an earlier task of this run left.

    Args:
        plan: What to do.
        paths: The images, as many as the plan says.
        folder: Where results wait; a task that runs after mining finds them there.
        on_progress: Called with the number of images done.

    Returns:
        One prediction per image in the order of the list, with the boxes above the plan's `score_thr`.

    Raises:
        TaskError: What went wrong in a predicting process.
    """
    done = folder / DONE_FILE
    plan_file = folder / PLAN_FILE
    kept = PredictionPlan.load(plan_file) if done.exists() else None
    if kept is not None and kept.covers(plan):
        logger.info('The predictions of the task before are used again')
        on_progress(plan.num_images)
        source = kept
    else:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_image_list(paths, folder)
        plan.save(plan_file)
        _run_processes(plan, folder, on_progress)
        shutil.rmtree(folder / ENGINE_FOLDER, ignore_errors=True)
        done.touch()
        source = plan
    merged = merge_shards(folder, source.world_size, source.num_images)
    return merged if source.score_thr == plan.score_thr else (item.above(plan.score_thr) for item in merged)


def _run_processes(plan: PredictionPlan, folder: Path, on_progress: Callable[[int], None]) -> None:
    if not plan.gpu_ids:
        os.environ[MEMORY_ADVICE_VARIABLE] = 'cpu prediction'
    where = f'GPU {", ".join(map(str, plan.gpu_ids))}' if plan.gpu_ids else f'CPU, {plan.threads} threads each'
    logger.info(
        'Predicting %d images with %s in %d processes (%s)',
        plan.num_images,
        Path(plan.checkpoint).name,
        plan.world_size,
        where,
    )
    logger.debug('%s', plan)
    error_file = os.environ.get(ERROR_FILE_VARIABLE) or str(folder / 'error.json')
    counters = [LineCounter(shard_path(folder, rank)) for rank in range(plan.world_size)]
    processes: list[subprocess.Popen] = []
    try:
        for rank in range(plan.world_size):
            command = [sys.executable, '-m', 'tmi.inference.worker', str(folder), str(rank)]
            processes.append(subprocess.Popen(command, env=_environment(plan, rank, error_file)))
        while any(process.poll() is None for process in processes):
            _check(processes, error_file)
            on_progress(sum(counter.count() for counter in counters))
            time.sleep(POLL_SECONDS)
        _check(processes, error_file)
        on_progress(sum(counter.count() for counter in counters))
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.wait()


def _environment(plan: PredictionPlan, rank: int, error_file: str) -> dict[str, str]:
    environ = dict(os.environ)
    environ[ERROR_FILE_VARIABLE] = error_file
    environ['OMP_NUM_THREADS'] = environ['MKL_NUM_THREADS'] = str(plan.threads)
    environ.setdefault(
        'MKL_CBWR', 'AUTO,STRICT'
    )  # matrix products do not depend on the number of threads; costs nothing
    select_devices(plan.gpu_ids[rank : rank + 1], environ)
    return environ


def _check(processes: list[subprocess.Popen], error_file: str) -> None:
    for rank, process in enumerate(processes):
        status = process.poll()
        if not status:
            continue
        record = read_record(error_file)
        if record is not None:
            raise record.to_error()
        killed = killed_process(f'The predicting process {rank}', status)
        if killed is not None:
            raise killed
        raise UnknownError(
            f'The predicting process {rank} ended with status {status} without a Python error; the log '
            'above is all there is.'
        )
