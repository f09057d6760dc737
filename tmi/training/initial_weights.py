"""Preparing the initial weights of a training: read as data, fitted to the model and its classes, written as a plain
file.
"""

import copy
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger

from mmyolo.registry import MODELS
from mmyolo.utils import register_all_modules
from mmyolo.utils.config_types import registered_only
from mmyolo.utils.files import replacing
from mmyolo.utils.literal_config import ConfigContentError
from tmi.checkpoint_io import StateDict, adapt_state_dict, check_finite, class_names_of, load_checkpoint
from tmi.errors import ModelError, TaskError
from tmi.families import all_families, family_of
from tmi.zoo.weights import InitialWeights

logger = logging.getLogger('tmi')

MIN_LOADED_SHARE = 0.5
INIT_INFO = re.compile(r'\n\S+ - torch\.Size\(')  # how mmengine's messages about a parameter begin
BACKBONE = 'backbone.'  # what the names of weights begin with where a file holds no more, such as those of ImageNet


def read_structure(checkpoint: Path | None, config: Config, options: Mapping[str, Any]) -> dict[str, Any]:
    """Read what the structure of a model must be for the weights that its training begins with, and log it.

    Args:
        checkpoint: The weights; None for none.
        config: The model's config as loaded.
        options: `cfg_options` of the user, dotted key to value, which count before what the weights tell.

    Returns:
        Dotted key of the config to value, of those that differ from the config; nothing where the weights do not tell
        it, as those of another model and files that cannot be read, which are refused where they are used.
    """
    family = family_of(config.model)
    if checkpoint is None or not family.structure_keys:
        return {}
    try:
        found = family.config_of(load_checkpoint(checkpoint))
    except (TaskError, ConfigContentError):
        return {}
    own = {} if found is None else found.model
    keys = [key for key in family.structure_keys if key in own and key in config.model]
    structure = {
        f'model.{key}': own[key] for key in keys if own[key] != config.model[key] and f'model.{key}' not in options
    }
    if structure:
        logger.info(
            'The model is built as the weights %s need it, not as its config says: %s. cfg_options sets others.',
            checkpoint,
            ', '.join(f'{key}={value}' for key, value in structure.items()),
        )
    return structure


def holds_detector(weights: InitialWeights, config: Config) -> bool:
    """Return whether a training starts from a trained detector, not from a backbone, which a user may choose as well.

    Args:
        weights: What was chosen.
        config: The model's config.
    """
    if not weights.is_detector:
        return False
    try:
        checkpoint = family_of(config.model).read_checkpoint(load_checkpoint(weights.checkpoint))
    except TaskError:  # refused where it is used
        return True
    return not is_backbone(checkpoint['state_dict'])


def is_backbone(state: Mapping[str, Any]) -> bool:
    """Return whether weights are those of a backbone alone."""
    return all(name.startswith(BACKBONE) for name in state)


def prepare_initial_weights(weights: InitialWeights, run: Config, model_name: str, target: Path) -> Path:
    """Fit a checkpoint to the model that is trained and write the result.

    Args:
        weights: The checkpoint that was chosen.
        run: Config of the run, whose classes are those of the task.
        model_name: The user's name of the model, for messages.
        target: Where to write.

    Returns:
        `target`.

    Raises:
        TaskError: 300004 if the checkpoint belongs to another model.
    """
    family = family_of(run.model)
    loaded = load_checkpoint(weights.checkpoint)
    checkpoint = family.read_checkpoint(dict(loaded))
    torch.manual_seed(run.randomness.seed)
    initial, rows_per_class = _initial_state(run)
    state, notes = family.fit_weights(checkpoint['state_dict'], initial)
    classes = list(run.train_dataloader.dataset.metainfo['classes'])
    adaptation = adapt_state_dict(
        state, initial, rows_per_class, class_names_of(checkpoint), classes, family.others_last
    )
    fitting = len(adaptation.loaded) + len(adaptation.remapped)
    part = BACKBONE if is_backbone(state) else ''
    wanted = sum(name.startswith(part) for name in initial)
    if fitting < MIN_LOADED_SHARE * wanted:
        own = (checkpoint.get('meta') or {}).get('model_name')
        names = (other.model_name_of(loaded) for other in all_families())
        like = next((name for name in names if name and name != model_name), None)
        hint = 'set model_name to the model that it was trained as'
        if isinstance(own, str):
            hint = f'set model_name to {own}'
        elif like:
            hint = f'by names and shapes it looks like {like}: set model_name: {like}'
        raise ModelError(
            f'The weights {weights.checkpoint} do not belong to {model_name}: {fitting} of {wanted} tensors fit; '
            f'{hint}, or choose no pre-trained model.'
        )
    if part:
        notes.append(f'the file holds a backbone alone, of which {fitting} tensors are taken')
    check_finite({name: state[name] for name in adaptation.loaded + adaptation.remapped}, weights.checkpoint)
    logger.info('Initial weights: %s', '; '.join([adaptation.summary(), *notes]))
    with replacing(target) as temporary:
        torch.save({'meta': {}, 'state_dict': adaptation.state_dict}, temporary)
    return target


def _initial_state(run: Config) -> tuple[StateDict, dict[str, int]]:
    """Return the model's initial weights, and by how many rows each output grows per class.

    The second is found by building the model with one class more, so no list of layer names has to be kept.
    """
    register_all_modules()
    family = family_of(run.model)
    family.register()
    larger_model = copy.deepcopy(run.model)
    family.add_class(larger_model)
    MMLogger.get_current_instance().addFilter(_is_useful)
    states = []
    for config in (copy.deepcopy(run.model), larger_model):
        with registered_only():
            model = MODELS.build(config)
        model.init_weights()
        states.append(model.state_dict())
    initial, larger = states
    rows = {
        name: larger[name].shape[0] - value.shape[0]
        for name, value in initial.items()
        if larger[name].shape != value.shape
    }
    return initial, rows


def _is_useful(record: logging.LogRecord) -> bool:
    """Return whether a message of mmengine is shown: not the three lines about how each parameter was initialised."""
    return INIT_INFO.match(record.getMessage()) is None
