"""The whole state of a training: what it is saved as, which of those that are left it goes on from, and where.

A state holds the averaged and the raw weights, optimizer, schedulers, counters and what hooks keep in the message hub.
Where in an epoch it was saved is the entry `position` of the hub.
"""

import logging
import random
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner, weights_to_cpu

from mmyolo.utils.checkpoint import CheckpointError, read_as_data
from tmi.families.reschedule import Done, replace_schedulers

logger = logging.getLogger('tmi')

POSITION = 'position'
SECONDS_USED = 'seconds_used'  # entry of `meta`, of a time budget
WEIGHTS_ONLY = 'weights_only'  # entry of the hub of a state that was made of weights


class Position(NamedTuple):
    """Where in an epoch a state was saved.

    Args:
        steps: Done in it.
        length: Steps of the epoch.
        validates: Whether the epoch is over but for its validation.
    """

    steps: int = 0
    length: int = 0
    validates: bool = False


def state_of(runner: Runner, position: Position = Position()) -> dict[str, Any]:
    """Return the state of a training, in the form that mmengine resumes from.

    Args:
        runner: Of the training.
        position: Where in its epoch it is.

    Returns:
        `meta` with epoch, iter, seed and more, `state_dict` with the averaged weights as hooks of the runner put them
        there, `message_hub`, `optimizer` and `param_schedulers`.
    """
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    runner.message_hub.update_info(POSITION, list(position))
    runner.message_hub.pop_info(WEIGHTS_ONLY)
    hub = runner.message_hub.state_dict()
    hub['runtime_info'].pop('cfg', None)  # the text of the config, which a resumed training has itself
    state = {
        'meta': {
            'epoch': runner.epoch,
            'iter': runner.iter,
            'seed': runner.seed,
            'samples_per_gpu': runner.train_dataloader.batch_size,
            'micro_batches': runner.train_loop.micro_batches,
            'experiment_name': runner.experiment_name,
            'dataset_meta': dict(runner.train_dataloader.dataset.metainfo),
        },
        'state_dict': weights_to_cpu(model.state_dict()),
        'message_hub': hub,
        'optimizer': runner.optim_wrapper.state_dict(),
        'param_schedulers': [scheduler.state_dict() for scheduler in runner.param_schedulers or ()],
    }
    runner.call_hook('before_save_checkpoint', checkpoint=state)
    return state


def position_of(runner: Runner) -> Position:
    """Return where in its epoch a training goes on; for epochs of another length, at the same share of it.

    Args:
        runner: After its state is loaded.
    """
    found = Position(*runner.message_hub.runtime_info.get(POSITION, ()))
    length = len(runner.train_dataloader)
    if found.length in (0, length):
        return found
    return Position(found.steps * length // found.length, length, found.validates)


def move_schedulers(runner: Runner) -> None:
    """Move the schedulers of a training that goes on from weights alone to where it is.

    Args:
        runner: Whose epoch and iter are set.
    """
    if runner.message_hub.runtime_info.get(WEIGHTS_ONLY) and runner.cfg.get('param_scheduler'):
        replace_schedulers(runner, runner.cfg.param_scheduler, Done(runner.iter, runner.epoch))


def scale_rate(runner: Runner, factor: float) -> None:
    """Multiply the learning rate of all steps to come.

    Args:
        runner: Of the training, before its first step.
        factor: By what.
    """
    for group in runner.optim_wrapper.param_groups:
        for name in ('lr', 'initial_lr'):
            if name in group:
                group[name] *= factor
    for scheduler in runner.param_schedulers or ():
        if scheduler.param_name == 'lr':
            scheduler.base_values = [value * factor for value in scheduler.base_values]


def is_finite(model: torch.nn.Module) -> bool:
    """Return whether all weights of a model are numbers."""
    sums = [value.detach().sum(dtype=torch.float32) for value in model.parameters() if value.is_floating_point()]
    return bool(torch.stack(sums).isfinite().all()) if sums else True


def seed_step(*numbers: int) -> None:
    """Make the random numbers of a step follow from where it is, so that a resumed training draws the same.

    Args:
        *numbers: Seed, rank, epoch, step and whatever else makes a difference.
    """
    (seed,) = np.random.SeedSequence(numbers).generate_state(1)
    random.seed(int(seed))
    np.random.seed(seed)
    torch.default_generator.manual_seed(int(seed))  # torch.manual_seed asks all kinds of devices, which takes longer
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed(int(seed))


def read_state(path: Path) -> dict[str, Any] | None:
    """Read a state or the file of a stage.

    Args:
        path: The file.

    Returns:
        What it holds; None, with a warning, if there is a file and it cannot be read as one.
    """
    if not path.is_file():
        return None
    try:
        content = read_as_data(path)
        if isinstance(content, dict) and isinstance(content.get('meta'), dict) and 'state_dict' in content:
            return content
        reason = 'it holds no state of a training'
    except (CheckpointError, OSError) as error:
        reason = str(error)
    logger.warning('%s cannot be read, so the training goes on from another file: %s', path, reason)
    return None


def state_of_weights(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Make a state of the file of a stage: the optimizer begins anew, all else goes on.

    Args:
        weights: `meta` with epoch and iter, and `state_dict`.

    Returns:
        The state.
    """
    hub = {'log_scalars': OrderedDict(), 'runtime_info': OrderedDict(), 'resumed_keys': OrderedDict()}
    hub['runtime_info'][WEIGHTS_ONLY] = True
    return {'meta': weights['meta'], 'state_dict': weights['state_dict'], 'message_hub': hub}


class Unfinished(NamedTuple):
    """A state that a training of the same task left.

    Args:
        path: Its file.
        content: What it holds.
        is_whole: Whether it is more than weights.
    """

    path: Path
    content: dict[str, Any]

    @property
    def is_whole(self) -> bool:
        return 'optimizer' in self.content

    def place(self) -> str:
        """Return where it goes on, in words."""
        meta = self.content['meta']
        hub = self.content.get('message_hub') or {}
        position = Position(*(hub.get('runtime_info') or {}).get(POSITION, ()))
        if position.validates:
            return f'with the validation of epoch {meta["epoch"] + 1}'
        return f'in epoch {meta["epoch"] + 1}, step {position.steps + 1}'


def find_state(paths: Iterable[Path]) -> Unfinished | None:
    """Return the first file from which a training can go on.

    Args:
        paths: Whole states first, then weights.
    """
    for path in paths:
        content = read_state(path)
        if content is not None and 'epoch' in content['meta'] and 'iter' in content['meta']:
            return Unfinished(path, content)
    return None
