"""`ymir train --resume RUN`: a training that was stopped, has failed or is finished goes on in its folder."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ymir_exc.errors import ConfigError
from ymir_exc.reading import read_mapping

from ..platform.parameters import parse_overrides, warn_of_the_form
from ..platform.prepare import DETECTION, TEMPLATE_FOLDERS
from ..platform.resume import ResumeError, change_task, read_training_task
from . import tasks
from .engine import Engine
from .options import TaskOptions
from .output import Output, UsageMistake
from .task_run import RUN_FILE, TaskRun

RESUME = '--resume'


def resume_training(output: Output, run: Path, chosen: TaskOptions, overrides: list[str]) -> None:
    """Let a training go on, and end the command.

    Args:
        output: where to write.
        run: its folder.
        chosen: options of the command line; without any about it, the executor is that of the run.
        overrides: hyper-parameters that change.
    """
    try:
        task, config = read_training_task(run)
    except ResumeError as error:
        raise UsageMistake(str(error)) from None
    record = _read_record(task.work_dir / RUN_FILE)
    gpus = str(config.get('gpu_count', 0)) if chosen.gpus == 'auto' else chosen.gpus
    if chosen.image or chosen.executor or chosen.img_man:
        engine = Engine.of(replace(chosen, gpus=gpus))
    else:
        engine = Engine.of_record(record, gpus)
    if bool(engine.image) != task.in_container:
        kind = 'an image; name it with --image' if task.in_container else 'a process; leave --image out'
        raise UsageMistake(f'{run} was prepared for {kind}')
    object_type = config.get('object_type')
    template = engine.template('training', object_type if object_type in TEMPLATE_FOLDERS else DETECTION)
    edits = parse_overrides(overrides, template, output.warn)
    warn_of_the_form(edits, 'training', output.warn)
    if record.get('ok'):
        edits = _of_a_finished_one(run, config, edits, 'args_options' in template)
    change_task(task, config, edits, len(engine.gpu_ids))
    TaskRun(output, engine, task, tasks.Wanted(training=True), {**record.get('parameters', {}), **edits}).run()


def _of_a_finished_one(run: Path, config: dict[str, Any], edits: dict[str, Any], has_arguments: bool) -> dict[str, Any]:
    """Return what lets a finished training go on, which the executor would take for the first of two."""
    if not {'max_epochs', 'max_minutes'} & set(edits):
        raise UsageMistake(
            f'the training in {run} is finished; to train more epochs, give their number in all, for example '
            f'max_epochs={2 * int(config.get("max_epochs") or 100)}'
        )
    arguments = str(edits.get('args_options', config.get('args_options') or '')).split()
    if not has_arguments or any(word.partition('=')[0] == RESUME for word in arguments):
        return edits
    return {**edits, 'args_options': ' '.join([*arguments, RESUME])}


def _read_record(path: Path) -> dict[str, Any]:
    """Return what is known of the earlier run; nothing if `ymir` was killed before it could write it."""
    try:
        return read_mapping(path)
    except (ConfigError, OSError):
        return {}
