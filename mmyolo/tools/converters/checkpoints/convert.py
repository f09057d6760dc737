"""From a file of another project to a file of this one."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmyolo.utils.files import replacing

from .reading import find_classes, find_weights, plain, read_torch
from .rules import compare

State = dict[str, Tensor]


def convert_checkpoint(
    src: str | Path,
    dst: str | Path,
    translate: Callable[[State], State],
    read: Callable[[str | Path], State] | None = None,
    config: str | None = None,
    may_lack: Sequence[str] = (),
    name_classes: Callable[[State], Sequence[str] | None] = lambda state: None,
) -> State:
    """Convert a checkpoint.

    Args:
        src: The file of the other project.
        dst: The file to write: `state_dict`, and `meta` with what the file says about its training and classes.
        translate: Weights by foreign name -> weights by our name.
        read: Reads weights from a file that torch did not write.
        config: A config whose model the weights must fit.
        may_lack: Regular expressions of names that need not be there, with `config`.
        name_classes: Foreign weights -> names of their classes, for files that tell none; None where they are unknown.

    Returns:
        The weights.

    Raises:
        ValueError: If the file cannot be read, or is of another model.
    """
    if not Path(src).is_file():
        raise ValueError(f'There is no file {src}')
    meta: dict[str, Any] = {}
    if read is not None:
        weights = read(src)
    else:
        content = read_torch(src)
        weights = find_weights(content, src)
        meta = _meta(content)
    classes = name_classes(weights)
    if classes is not None:
        meta.setdefault('dataset_meta', {'classes': tuple(classes)})
    state = translate(weights)
    if config is not None:
        differences = compare(state, _layout(config), may_lack)
        if differences:
            raise ValueError(f'{src} does not fit the model of {config}: ' + '; '.join(differences))
    save(dst, state, meta)
    return state


def save(path: str | Path, state: State, meta: Mapping[str, Any]) -> None:
    """Write weights and what is known about them; the file can be read without running code."""
    with replacing(path) as temporary:
        torch.save({'meta': dict(meta), 'state_dict': {key: value.clone() for key, value in state.items()}}, temporary)


def _meta(content: Any) -> dict[str, Any]:
    meta = {}
    if isinstance(content, Mapping):
        if isinstance(content.get('meta'), Mapping):
            meta.update(plain(content['meta']))
        else:
            meta.update(
                (key, content[key])
                for key in ('epoch', 'date', 'version', 'license')
                if isinstance(content.get(key), (int, str))
            )
    classes = find_classes(content)
    if classes is not None:
        meta.setdefault('dataset_meta', {'classes': tuple(classes)})
    return meta


def _layout(config: str) -> State:
    # Only --config needs models, whose import takes longer than a conversion.
    from mmengine.config import Config
    from mmengine.registry import DefaultScope

    from mmyolo.registry import MODELS
    from mmyolo.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    cfg = Config.fromfile(config)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmyolo')), torch.device('meta'):
        return MODELS.build(cfg.model).state_dict()
