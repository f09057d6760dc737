"""`ymir report --evaluate`: the model of a training, run over the validation images of that training."""

import shutil
from pathlib import Path
from typing import Any

from ymir_exc.errors import ConfigError, ConfigFileNotFoundError
from ymir_exc.reading import read_mapping

from ..platform.prepare import prepare_candidates, submitted
from ..report.run_files import VALIDATION, index_entries, read_run
from . import tasks
from .data_progress import data_progress
from .engine import Engine
from .output import Output, UsageMistake
from .task_run import RUN_FILE, TaskRun

# What executors call the score below which a box is left out; average precision needs the doubtful boxes as well.
SCORE_KEYS = ('conf_threshold', 'conf_thres', 'conf_thr', 'score_threshold', 'score_thr')
LEAST_SCORE = 0.01


def evaluate(output: Output, out_dir: Path, in_dir: Path | None, gpus: str) -> None:
    """Infer the validation images of a training with its best model, unless that was done before.

    Args:
        output: where to write.
        out_dir: what the training wrote.
        in_dir: what the training read; None if it is not there.
        gpus: as the command line takes them.

    Raises:
        UsageMistake: it is not a training, or one without validation images.
        PackageError: it saved no model.
    """
    if in_dir is None or not (in_dir / 'val-index.tsv').is_file():
        raise UsageMistake(f'--evaluate is for trainings: there is no in/val-index.tsv beside {out_dir}')
    work_dir = out_dir.resolve().parent
    folder = work_dir / VALIDATION
    if _record(folder).get('ok'):
        output.say(output.text('evaluated', folder=folder))
        return
    how = Engine.of_record(_record(work_dir), gpus)
    template = how.template('infer')
    edits = {key: LEAST_SCORE for key in SCORE_KEYS if key in template}
    # As they are listed, images of the training set among them: those are what the training was measured on.
    training = read_run(out_dir, in_dir)
    images = [path for image, _ in index_entries(training, 'val') if (path := training.host_path(image))]
    if not images:
        raise UsageMistake(f'{in_dir / "val-index.tsv"} names no image that is there')
    shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was stopped or failed
    with tasks.removed_on_error(folder):
        stage = tasks.read_model(str(work_dir), folder)
        with data_progress(output, output.text('preparing', path=folder)) as show:
            task = prepare_candidates(
                folder,
                images,
                stage,
                submitted('infer', template, edits),
                infer=True,
                on_progress=show,
                host=how.host(),
            )
    run = TaskRun(output, how, task, tasks.Wanted(infer=True), edits)
    run.execute()
    if not run.verdict.ok:
        run.report_failure()


def _record(work_dir: Path) -> dict[str, Any]:
    path = work_dir / RUN_FILE
    try:
        return read_mapping(path)
    except ConfigFileNotFoundError:
        return {}
    except ConfigError as error:
        raise UsageMistake(f'{error}; so what ran is unknown') from None
