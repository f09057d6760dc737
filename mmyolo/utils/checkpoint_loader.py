"""Puts the reader of `checkpoint` behind every way by which mmengine and mmdet load weights.

mmengine reads a file as data first, and where that fails, again with all the code it holds. `guard_mmengine`,
called when `mmyolo` is imported, replaces that function and the one that downloads; so `load_from`, `resume`,
`init_cfg`, `init_detector`, the inferencers and tools are guarded, for each kind of address.

A checkpoint also brings the text of a config, which mmengine executes when an inferencer is made of weights alone, and
in old files when a training is resumed. It is passed on only if it is data and builds nothing but a detector.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlparse

import torch
from mmengine.logging import print_log
from mmengine.runner import checkpoint as mmengine_checkpoint

from .checkpoint import read_as_data
from .checkpoint_content import clean_checkpoint
from .literal_config import ConfigContentError, parse_literal_config

REPLACED = ('_safe_torch_load', 'load_url')  # functions of mmengine
BACKENDS = ('LocalVisBackend', 'TensorboardVisBackend')  # of visualizers


def guard_mmengine() -> None:
    """Make mmengine read checkpoints by `read_checkpoint`.

    Raises:
        ImportError: If this mmengine has other functions, so that it cannot be guarded.
    """
    for name, replacement in zip(REPLACED, (read_checkpoint, download_checkpoint)):
        if not hasattr(mmengine_checkpoint, name):
            raise ImportError(
                f'mmengine.runner.checkpoint has no {name}: install the onedl-mmengine that '
                'requirements/constraints.txt names'
            )
        setattr(mmengine_checkpoint, name, replacement)


def read_checkpoint(path: str | Path | BinaryIO, map_location: Any = None, weights_only: Any = None) -> dict[str, Any]:
    """Read a checkpoint for mmengine.

    Args:
        path: The file, or an open one.
        map_location: Where tensors go, as for `torch.load`.
        weights_only: Without effect; only data is read.

    Returns:
        Its content.

    Raises:
        CheckpointError: If it is not a checkpoint, is damaged, or holds anything but data.
    """
    name = path if isinstance(path, (str, Path)) else 'The checkpoint'
    content = clean_checkpoint(read_as_data(path, map_location), name)
    meta, hub = content.get('meta'), content.get('message_hub')
    if isinstance(meta, dict):
        meta.pop('config', None)  # executed by mmengine to learn on how many GPUs the training began
        _drop_unsafe_config(meta, name)
    if isinstance(hub, dict) and isinstance(hub.get('runtime_info'), dict):
        _drop_unsafe_config(hub['runtime_info'], name)
    return content


def download_checkpoint(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
) -> dict[str, Any]:
    """Download a checkpoint, unless it was downloaded before, and read it.

    Args:
        url: Its address.
        model_dir: Where it is kept; torch's folder by default.
        map_location: Where tensors go, as for `torch.load`.
        progress: Whether to show a bar.
        check_hash: Whether the file's SHA-256 must begin with the digits at the end of its name.
        file_name: Its name, by default that in the address.

    Returns:
        Its content.
    """
    folder = model_dir or os.path.join(torch.hub.get_dir(), 'checkpoints')
    os.makedirs(folder, exist_ok=True)
    name = file_name or os.path.basename(unquote(urlparse(url).path))
    path = os.path.join(folder, os.path.basename(name) or 'checkpoint')
    if not os.path.exists(path):
        found = torch.hub.HASH_REGEX.search(name) if check_hash else None
        torch.hub.download_url_to_file(url, path, found.group(1) if found else None, progress=progress)
    return read_checkpoint(path, map_location)


def _drop_unsafe_config(values: dict[str, Any], name: Any) -> None:
    """Take out the text of a config that does more than to describe a detector."""
    if 'cfg' not in values:
        return
    try:
        check_embedded_config(values['cfg'], name)
    except ConfigContentError as error:
        del values['cfg']
        print_log(f'The config within the checkpoint is not used: {error}', 'current', logging.INFO)


def check_embedded_config(text: Any, name: Any) -> None:
    """Check the text of a config within a checkpoint, which mmengine is going to execute.

    Args:
        text: The text.
        name: The file, for messages.

    Raises:
        ConfigContentError: If it is not plain values, or would build anything but a detector and its data.
    """
    import mmyolo.visualization  # noqa: F401  registers visualizers

    from . import config_types as types

    if not isinstance(text, str):
        raise ConfigContentError(f'The config in {name} is a {type(text).__name__}; text is needed.')
    if '{{' in text:  # filled in by mmengine before the text is executed
        raise ConfigContentError(f'The config in {name} holds "{{{{", a place that is filled in.')
    config = parse_literal_config(text, name)
    for key in ('_base_', 'custom_imports'):
        if config.get(key):
            raise ConfigContentError(f'The config in {name} has {key}; a config within a checkpoint stands alone.')
    if config.get('default_scope') not in (None, *types.SCOPES):  # a package that is imported
        raise ConfigContentError(
            f'The config in {name} has the default_scope {config["default_scope"]!r:.80}; allowed are '
            f'{", ".join(types.SCOPES)}.'
        )
    types.model_from_elsewhere(config.get('model'), name)
    loader = _mapping(config.get('test_dataloader'), 'test_dataloader', name)
    dataset = dict(_mapping(loader.get('dataset'), 'test_dataloader.dataset', name))
    types.pipeline_from_elsewhere(dataset.pop('pipeline', []), name)
    for value in _mapping(dataset.get('metainfo'), 'metainfo', name).values():
        if isinstance(value, str):  # a file that names are read from
            raise ConfigContentError(f'The config in {name}, test_dataloader: metainfo names a file.')
    own = {key: value for key, value in dataset.items() if key not in types.OUTSIDE and key != 'metainfo'}
    if {'dataset', 'datasets'} & set(own):
        raise ConfigContentError(f'The config in {name}, test_dataloader: a data set of data sets is not read.')
    batch_shapes = own.pop('batch_shapes_cfg', None)
    if own:
        types.part_from_elsewhere(own, types.DATASET, name, 'test_dataloader.dataset')
    types.part_from_elsewhere(batch_shapes, types.BATCH_SHAPES, name, 'batch_shapes_cfg')
    types.part_from_elsewhere(loader.get('collate_fn'), types.COLLATE, name, 'collate_fn')
    visualizer = dict(_mapping(config.get('visualizer'), 'visualizer', name))
    backends = visualizer.pop('vis_backends', None) or []
    types.part_from_elsewhere(visualizer, types.VISUALIZER, name, 'visualizer')
    for backend in backends:
        if not isinstance(backend, Mapping) or set(backend) != {'type'} or backend['type'] not in BACKENDS:
            raise ConfigContentError(f'The config in {name}, visualizer: only {", ".join(BACKENDS)} are allowed.')


def _mapping(value: Any, key: str, name: Any) -> Mapping[str, Any]:
    if not isinstance(value or {}, Mapping):
        raise ConfigContentError(f'The config in {name}: {key} is a {type(value).__name__}; a dict is needed.')
    return value or {}
