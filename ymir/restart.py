"""A task that is started again in the same output folder goes on with the training that it finds there.

What it goes on from are files of the training itself: `resume.pth`, else the weights of a stage. They say which task
they belong to, so those of another task, of other settings or of a training that came to its end are left alone. How
far the task is beyond its training stands in a small file of its own.
"""

import hashlib
import itertools
import json
import logging
import os
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from tmi.training.data import TrainingData
from tmi.training.training_state import Unfinished, find_state, state_of_weights
from ymir.checkpoint_hook import LAST_CHECKPOINT, RESUME_FILE
from ymir.params import TrainingParams
from ymir.stage_files import stage_files
from ymir_exc.atomic import atomic_file, write_text_atomically
from ymir_exc.env import EnvConfig
from ymir_exc.model_files import find_model_file

logger = logging.getLogger('ymir')

DONE_FILE = 'done.json'  # in the folder of the task
TRAINED, ALL = 'trained', 'all'
EARLIER_FILE = 'resume_earlier.pth'  # a state that is not gone on from; further ones are numbered
WEIGHTS_STATE_FILE = 'resume_weights.pth'  # in the folder of the task
# Settings that the state of a training depends on; others may change while it goes on.
SETTINGS = (
    'class_names',
    'model_name',
    'img_size',
    'samples_per_gpu',
    'learning_rate',
    'schedule',
    'seed',
    'pretrained',
    'pretrained_model_params',
    'pipeline',
    'args_options',
    'cfg_options',
)
IMAGES, LABELS, WEIGHTS = 'the images', 'the labels', 'the weights to begin with'
BLOCK_BYTES = 1 << 20


class Restart(NamedTuple):
    """What a task finds of itself.

    Args:
        task: What must be the same for a training to go on.
        training: Name of the training.
        state: What it goes on from, None for a new training.
        is_trained: Whether nothing is left but what follows the training.
        changed: What keeps a training that is there from going on.
    """

    task: dict[str, Any]
    training: str
    state: Unfinished | None = None
    is_trained: bool = False
    changed: tuple[str, ...] = ()

    def meta(self) -> dict[str, Any]:
        """Return what the files of the training hold of this."""
        return {'task': self.task, 'training': self.training}


def task_of(
    params: TrainingParams, env: EnvConfig, data: TrainingData, weights: Sequence[str | Path] = ()
) -> dict[str, Any]:
    """Return what must be the same for a training to go on, as JSON has it.

    Args:
        params: Of the task.
        env: Of the task.
        data: What it trains on, as it was read.
        weights: Files that it begins with.
    """
    files = {
        IMAGES: [env.input.training_index_file, env.input.val_index_file],
        LABELS: [data.train_file, data.val_file],
        WEIGHTS: weights,
    }
    settings = {name: getattr(params, name) for name in SETTINGS}
    return _as_json({**settings, **{name: _fingerprint(*paths) for name, paths in files.items()}})


def _fingerprint(*paths: str | Path) -> str:
    """Return what differs where files differ, whatever they hold; '' where none is there."""
    found, is_any = hashlib.sha256(), False
    for path in paths:
        content = hashlib.sha256()
        if path and os.path.isfile(path):
            is_any = True
            with open(path, 'rb') as stream:
                while block := stream.read(BLOCK_BYTES):
                    content.update(block)
        found.update(content.digest())  # so that it counts where one file ends
    return found.hexdigest() if is_any else ''


def _as_json(values: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(values))


def find_restart(env: EnvConfig, task: dict[str, Any], task_dir: Path, is_wanted: bool = True) -> Restart:
    """Look for a training of this task that has not come to its end.

    Args:
        env: Of the task.
        task: What must be the same, of `task_of`.
        task_dir: Where it keeps its files.
        is_wanted: Whether the user has not asked for a new training.

    Returns:
        What was found.
    """
    models_dir = Path(env.output.models_dir)
    new = Restart(task, uuid.uuid4().hex)
    done = _read_done(task_dir)
    state = find_state(_candidates(models_dir)) if is_wanted else None
    meta = state.content['meta'] if state else {}
    training = meta.get('training')
    if state is None or not training or done == (training, ALL):
        return new
    earlier = meta.get('task') or {}
    if not task[WEIGHTS]:  # the model that it began with may have been replaced by its own
        task = {**task, WEIGHTS: earlier.get(WEIGHTS, '')}
    changed = tuple(name for name in task if earlier.get(name) != task[name])
    if changed:
        return new._replace(changed=changed)
    return Restart(task, training, state, done == (training, TRAINED))


def _candidates(models_dir: Path) -> Iterator[Path]:
    yield models_dir / RESUME_FILE
    stages = dict(stage_files())
    for name in ('last', 'best'):
        for file in stages.get(name, ())[:1]:
            path = find_model_file(str(models_dir), name, file)
            if path is not None:
                yield path


def set_aside(restart: Restart, models_dir: Path) -> None:
    """Keep the state of a training that does not go on under another name, and say why.

    Args:
        restart: What was found.
        models_dir: /out/models.
    """
    if not restart.changed:
        return
    (models_dir / LAST_CHECKPOINT).unlink(missing_ok=True)
    kept = ''
    if (models_dir / RESUME_FILE).is_file():
        place = _free_place(models_dir / EARLIER_FILE)
        os.replace(models_dir / RESUME_FILE, place)
        kept = f' Its state is kept as {place}.'
    logger.warning(
        'The unfinished training in %s does not go on, because of other values of %s: a new one starts.%s',
        models_dir,
        ', '.join(restart.changed),
        kept,
    )


def _free_place(path: Path) -> Path:
    """Return a path, or the first of `<stem>_2<suffix>`, `<stem>_3<suffix>` ... where nothing is."""
    numbered = (path.with_stem(f'{path.stem}_{number}') for number in itertools.count(2))
    return next(place for place in itertools.chain([path], numbered) if not os.path.lexists(place))


def state_file(state: Unfinished, task_dir: Path, is_trained: bool = False) -> Path:
    """Return a file that the training goes on from, and say where.

    Args:
        state: What was found.
        task_dir: Where the task keeps its files; a state that is made of weights is written there.
        is_trained: Whether nothing is left but what follows the training, so that no state is loaded.
    """
    if is_trained:
        logger.info('The training of this task is complete in %s; the task goes on with what follows it.', state.path)
        return state.path
    if state.is_whole:
        logger.info('The training of this task goes on %s, from %s.', state.place(), state.path)
        return state.path
    path = task_dir / WEIGHTS_STATE_FILE
    with atomic_file(path, 'wb') as stream:
        torch.save(state_of_weights(state.content), stream)
    logger.warning(
        'The training of this task goes on %s, from the weights %s alone: its optimizer begins anew.',
        state.place(),
        state.path,
    )
    return path


def write_done(task_dir: Path, training: str, what: str) -> None:
    """Note how far the task is.

    Args:
        task_dir: Where it keeps its files.
        training: Name of its training.
        what: `TRAINED` or `ALL`.
    """
    write_text_atomically(task_dir / DONE_FILE, json.dumps([training, what]))


def _read_done(task_dir: Path) -> tuple[str, str]:
    try:
        training, what = json.loads((task_dir / DONE_FILE).read_text(encoding='utf-8'))
    except (OSError, ValueError, TypeError):  # missing, or no pair
        return '', ''
    return training, what
