"""Predicts the images of a plan, or goes on where an earlier run was ended; imports no torch.

The folder of predictions lies where it survives the process. A task that is started again there takes the lines that
are whole, if they come from the same weights, settings and images, and predicts what is missing.
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from tmi.errors import MEMORY_ADVICE_VARIABLE
from tmi.inference.blocks import finished_blocks
from tmi.inference.engines import ENGINE_FOLDER
from tmi.inference.image_list import IMAGE_LIST_FILE, write_image_list
from tmi.inference.plan import PLAN_FILE, PredictionPlan
from tmi.inference.ray_run import run_blocks
from tmi.inference.shards import Prediction, merge_shards
from tmi.inference.supervise import finished_images, run_processes

logger = logging.getLogger('tmi')

DONE_FILE = 'done'
NEW_LIST = 'new_images.jsonl'


def predict(
    plan: PredictionPlan, paths: Iterable[str], folder: Path, on_progress: Callable[[int], None]
) -> Iterator[Prediction]:
    """Predict all images of a plan but for those that an earlier task or an earlier run has predicted.

    Args:
        plan: What to do; `followed_plan` says what was done.
        paths: The images, as many as the plan says.
        folder: Where results wait; a task that runs after mining, or is started again, finds them there.
        on_progress: Called with the number of images done.

    Returns:
        One prediction per image in the order of the list, with the boxes above the plan's `score_thr`.

    Raises:
        TaskError: What went wrong in a predicting process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plan = replace(plan, identity=_identity(plan, write_image_list(paths, folder, NEW_LIST)))
    done = folder / DONE_FILE
    kept = _kept_plan(folder)
    if kept is not None and done.exists() and kept.covers(plan):
        logger.info('The predictions of the task before are used again')
        (folder / NEW_LIST).unlink()
        on_progress(plan.num_images)
        source = kept
    else:
        source = _prepare(plan, kept, folder)
        if source.block_size:
            run_blocks(source, folder, on_progress)
        else:
            _run_processes(source, folder, on_progress)
        shutil.rmtree(folder / ENGINE_FOLDER, ignore_errors=True)
        done.touch()
    merged = merge_shards(folder, source.world_size, source.num_images)
    return merged if source.score_thr == plan.score_thr else (item.above(plan.score_thr) for item in merged)


def followed_plan(folder: Path) -> PredictionPlan:
    """Return the plan that `predict` has followed: what an earlier run began may have another number of processes.

    Args:
        folder: Where results wait.
    """
    return PredictionPlan.load(folder / PLAN_FILE)


def _prepare(plan: PredictionPlan, kept: PredictionPlan | None, folder: Path) -> PredictionPlan:
    """Write the plan, and delete what an earlier run left if it is of no use; returns the plan to follow."""
    if kept is not None and kept.continued_by(plan):
        plan = plan.with_processes(kept.world_size)
        for path in folder.glob('*.tmp'):
            path.unlink()
        finished = sum(finished_images(plan, folder, rank).images for rank in range(plan.world_size))
        if plan.block_size and not finished:
            finished = sum(block.stop - block.first for block in finished_blocks(plan, folder))
        logger.info('Going on where an earlier run ended: %d of %d images are predicted', finished, plan.num_images)
    else:
        if kept is not None:
            what = 'other weights, settings or images'
            if bool(kept.block_size) != bool(plan.block_size):
                what = f'a run {"on" if kept.block_size else "without"} a Ray cluster'
            logger.info(
                'Predictions that an earlier run left in %s are of %s, so all images are predicted anew', folder, what
            )
        for path in folder.iterdir():
            if path.name != NEW_LIST:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    (folder / NEW_LIST).replace(folder / IMAGE_LIST_FILE)
    plan.save(folder / PLAN_FILE)
    return plan


def _kept_plan(folder: Path) -> PredictionPlan | None:
    """Return the plan of an earlier run, None if there is none that this version can read."""
    try:
        return PredictionPlan.load(folder / PLAN_FILE)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        logger.info('%s of an earlier run is not used: %s', folder / PLAN_FILE, error)
        return None


def _identity(plan: PredictionPlan, list_hash: str) -> str:
    """Return a hash of what the files of a plan hold."""
    digest = hashlib.sha256(list_hash.encode())
    for path in filter(None, (plan.checkpoint, plan.config)):
        digest.update(b'\0')
        if os.path.isfile(path):  # that it is missing, a predicting process will say
            with open(path, 'rb') as file:
                for block in iter(lambda: file.read(1 << 20), b''):
                    digest.update(block)
    return digest.hexdigest()


def _run_processes(plan: PredictionPlan, folder: Path, on_progress: Callable[[int], None]) -> None:
    if not plan.gpu_ids:
        os.environ[MEMORY_ADVICE_VARIABLE] = 'cpu prediction'
    where = f'GPU {", ".join(map(str, plan.gpu_ids))}' if plan.gpu_ids else 'CPU, one thread each'
    logger.info(
        'Predicting %d images with %s in %d processes (%s)',
        plan.num_images,
        Path(plan.checkpoint).name,
        plan.world_size,
        where,
    )
    logger.debug('%s', plan)
    run_processes(plan, folder, on_progress)
