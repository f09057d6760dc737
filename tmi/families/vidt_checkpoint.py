"""Weights of ViDT that other projects published or trained, in the names and classes of this package.

A public file tells its architecture by the names and shapes of its weights; what else it holds is not needed.
"""

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from mmyolo.utils.literal_config import ConfigContentError
from tmi.paths import CONFIG_ROOT
from vidt.checkpoint import describe, from_public
from vidt.coco import CLASS_NAMES, is_coco, select_coco_classes

SCOPE = 'mmdet'  # of the registry that knows the models
BASES = {
    'ViDT': CONFIG_ROOT / 'vidt/vidt_nano_8xb2-50e_coco.py',
    'ViDTWithoutNeck': CONFIG_ROOT / 'vidt/vidt_wo_neck_nano_8xb2-50e_coco.py',
}


def read_checkpoint(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return a checkpoint in the names and classes of this package; see `Family.read_checkpoint`."""
    state = from_public(checkpoint['state_dict'])
    if is_coco(checkpoint, state):
        return {**checkpoint, 'state_dict': select_coco_classes(state), 'meta': {'class_names': list(CLASS_NAMES)}}
    return {**checkpoint, 'state_dict': state}


def config_of(checkpoint: Mapping[str, Any]) -> Config:
    """Return the config of weights of a detector of this family that come without one; see `Family.config_of`."""
    state = read_checkpoint(dict(checkpoint))['state_dict']
    try:
        found = describe(state)
    except ValueError as error:
        raise ConfigContentError(f'No config belongs to the weights, and {error}.') from error
    config = Config.fromfile(BASES[found['type']])
    config.model.pop('criterion')
    for part in (found, found['backbone']):
        part['type'] = f'{SCOPE}.{part["type"]}'
    config.model.update(found)
    return config
