"""What follows a training: its best model looks at the images that it was trained and validated on.

From that come the statistics for mining and, if it is asked for, the labels to check. The model is complete before, so
nothing that goes wrong here fails the training: it is a warning in the log, and a file is missing.
"""

import logging
import shutil
import time
from collections.abc import Callable

from tmi.mining.stats import MINING_STATS_FILE, write_stats
from tmi.processes import forget_record
from tmi.settings import TrainingSettings
from tmi.training.config import TrainingTask
from tmi.training.examination import ChosenImages, Examination, examine
from tmi.training.mining_stats import fit_stats
from ymir.errors import as_task_error
from ymir.labels_to_check import list_labels_to_check
from ymir.output_paths import prediction_folder
from ymir.progress import ExaminationProgress
from ymir.stage_files import best_stage, write_later_file
from ymir_exc.env import get_current_env
from ymir_exc.label_check import LABELS_TO_CHECK_FILE
from ymir_exc.training_summary import read_training_summary

logger = logging.getLogger('ymir')

SECONDS_TO_WRITE = 3.0  # of a time budget, for what follows the last prediction


class OutOfTime(Exception):
    """The time budget ends before the examination does."""


def examine_labelled_images(task: TrainingTask) -> None:
    """Let the best model look at the images of the task, and write what follows from it beside its weights.

    Args:
        task: Whose training has ended, with a result.
    """
    folder = prediction_folder(get_current_env().output.root_dir)
    try:
        weights, files = best_stage()
        chosen = ChosenImages(task.data, task.params.seed)
        with ExaminationProgress(len(chosen)) as progress:

            def update(done: int) -> None:
                progress.update(done)
                if task.deadline and time.monotonic() > task.deadline - SECONDS_TO_WRITE:
                    raise OutOfTime

            examination = examine(task.params, files, chosen, folder, update)
            for name, write in writers(task.params).items():
                try:
                    write(examination, task, weights)
                except Exception as error:
                    _warn(f'{name} could not be written', error)
    except OutOfTime:
        logger.warning(
            'max_minutes: the time is over before the labelled images are examined, so %s will be missing. The model '
            'is complete.',
            ' and '.join(writers(task.params)),
        )
    except Exception as error:
        forget_record()  # of a predicting process
        names = ' and '.join(writers(task.params))
        _warn(f'The labelled images could not be examined, so {names} will be missing', error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def writers(params: TrainingSettings) -> dict[str, Callable[[Examination, TrainingTask, str], None]]:
    """Return what follows from an examination: the name of each file and what writes it.

    Args:
        params: Of the training.
    """
    found = {MINING_STATS_FILE: _write_mining_stats}
    if params.check_labels:
        found[LABELS_TO_CHECK_FILE] = list_labels_to_check
    return found


def _warn(sentence: str, error: Exception) -> None:
    logger.warning('%s: %s', sentence, as_task_error(error).sentence)
    logger.debug('The reason', exc_info=True)


def _write_mining_stats(examination: Examination, task: TrainingTask, weights: str) -> None:
    summary = read_training_summary(get_current_env().output.root_dir)
    precisions = summary.best_class_ap if summary and summary.class_names == list(task.class_names) else ()
    stats = fit_stats(examination, task.data, task.class_names, precisions, task.params.seed)
    path = write_later_file(MINING_STATS_FILE, weights, lambda stream: write_stats(stream, stats))
    if path is not None:
        logger.info('Statistics of the labelled images, for mining with %s: %s', weights, path)
