"""Keys of the ViDT executor of the platform, read as the keys of this image that mean the same.

Its templates live on in the platform's database, so a task may come with its keys. A key of this image that the task
has too counts, and the other is warned of; but not one that holds its default, as whoever fills in the form of this
image's template sends all of its keys.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tmi.errors import SettingError

logger = logging.getLogger('ymir')

BACKBONES = {
    'swin_nano': 'vidt_nano',
    'swin_tiny': 'vidt_tiny',
    'swin_small': 'vidt_small',
    'swin_base': 'vidt_base',
    'swin_base_win7_22k': 'vidt_base',
    'swin_large': 'vidt_large',
    'swin_large_win7_22k': 'vidt_large',
}
LEAST_LONG_SIDE = 800  # of its images, whatever eval_size is
ITS_EPOCHS = 50


class Alias(NamedTuple):
    """What a key of the other executor is read as.

    Args:
        key: Of this image.
        translate: From its value and the whole config to the value of `key`; None to use the default.
    """

    key: str
    translate: Callable[[Any, Mapping[str, Any]], Any] = lambda value, _: value


def _model_name(backbone: Any, _: Mapping[str, Any]) -> str:
    name = BACKBONES.get(str(backbone).strip().lower())
    if name is None:
        raise SettingError(
            f'Bad value in config.yaml, backbone_name: {backbone!r:.80}: allowed is {", ".join(BACKBONES)}; other '
            'models are chosen by model_name.'
        )
    return name


def _img_size(eval_size: Any, given: Mapping[str, Any]) -> Any:
    """Return the limits that it sets for ViDT: the shorter side, and a longer side of at least `LEAST_LONG_SIDE`."""
    if not str(given.get('model_name') or given.get('backbone_name')).lower().startswith(('vidt', 'swin')):
        return eval_size
    try:
        side = int(str(eval_size))
    except ValueError:
        return eval_size  # the key of this image says what is wrong with it
    if side == 0:
        return side
    return [max(side, LEAST_LONG_SIDE), side]


def _val_interval(save_interval: Any, given: Mapping[str, Any]) -> Any:
    """Return the epochs between two stages; `auto` for one as long as the training or longer."""
    try:
        epochs = int(str(given.get('max_epochs', given.get('epochs', ITS_EPOCHS))))
        return None if int(str(save_interval)) >= epochs else save_interval
    except ValueError:
        return save_interval


COMMON = {
    **dict.fromkeys(('batch_size', 'batch_size_per_gpu'), Alias('samples_per_gpu')),
    **dict.fromkeys(('num_workers', 'num_workers_per_gpu'), Alias('workers_per_gpu')),
}
TRAINING = {
    **COMMON,
    'backbone_name': Alias('model_name', _model_name),
    'epochs': Alias('max_epochs'),
    'eval_size': Alias('img_size', _img_size),
    'weight_save_interval': Alias('val_interval', _val_interval),
}


class Read(NamedTuple):
    """What a config means.

    Args:
        config: In keys of this image.
        names: Of its keys that come from an alias: key of this image -> alias.
    """

    config: dict[str, Any]
    names: dict[str, str]


def read_aliases(
    given: Mapping[str, Any], aliases: Mapping[str, Alias], defaults: Mapping[str, Any], report: bool = True
) -> Read:
    """Replace the keys of the other executor.

    Args:
        given: The config, without empty values.
        aliases: Of the task.
        defaults: Of the keys of this image, as its template has them.
        report: Whether the log says what is read as what.

    Returns:
        The config in keys of this image, and which of them come from which alias.

    Raises:
        SettingError: A value cannot be translated.
    """
    replaced = {aliases[name].key for name in given if name in aliases}
    given = {
        key: value for key, value in given.items() if key not in replaced or not _is_default(value, defaults.get(key))
    }
    result = Read({key: value for key, value in given.items() if key not in aliases}, {})
    for name in (key for key in given if key in aliases):
        key, translate = aliases[name]
        if key in result.config or key in result.names:
            if report:
                logger.warning('%s in config.yaml has no effect, since %s is set', name, result.names.get(key, key))
            continue
        value = translate(given[name], given)
        result.names[key] = name
        if value is not None:
            result.config[key] = value
        if report:
            logger.info('%s in config.yaml is read as %s: %s', name, key, 'auto' if value is None else value)
    return result


def _is_default(value: Any, default: Any) -> bool:
    """Return whether a value, which may be text, is the one of the template."""
    return str(value).strip().lower() == str(default).lower()
