"""What every executor needs: the merged configuration, weight files, booleans of the web form, progress of stages."""

from __future__ import annotations

import os
import socket
from typing import Sequence

from . import env
from .attribute_dict import AttributeDict
from .errors import ConfigError, ConfigFileNotFoundError
from .monitor import write_monitor_logger_for_multiple_tasks
from .progress import YmirStage, YmirStageWeight, YmirTask, get_ymir_process
from .reading import read_mapping
from .saved_files import filter_saved_files, format_saved_files, write_ymir_training_result

__all__ = [
    'YmirStage',
    'YmirStageWeight',
    'YmirTask',
    'filter_saved_files',
    'find_free_port',
    'format_saved_files',
    'get_bool',
    'get_class_names',
    'get_merged_config',
    'get_weight_files',
    'get_ymir_process',
    'write_ymir_monitor_process',
    'write_ymir_training_result',
]

_TRUE = {'t', 'true', '1'}
_FALSE = {'f', 'false', '0'}


def find_free_port() -> int:
    """Find a TCP port that nobody listens on at this moment.

    Another process may take it before it is used; where a launcher can choose the port itself (``torchrun
    --standalone``), let it.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(('', 0))
        return listener.getsockname()[1]


def _read_code_config(file: str) -> dict:
    """Read the hyper-parameters of a live-code repository: a path inside it, which is cloned to the start directory."""
    for root in (os.getcwd(), '/app'):
        if os.path.isfile(os.path.join(root, file)):
            return read_mapping(os.path.join(root, file))
    raise ConfigFileNotFoundError(
        f'code_config {file} is neither in {os.getcwd()} nor in /app; it must be a path '
        'inside the repository of git_url'
    )


def get_merged_config() -> AttributeDict:
    """Return the hyper-parameters and the environment of the task in one object.

    Returns:
        ``.param``: config.yaml, on top of the file ``code_config`` in a live-code task; keys are attributes and dict
        keys alike. ``.ymir``: the :class:`~ymir_exc.env.EnvConfig`.

    Raises:
        ConfigError: env.yaml, config.yaml or the file ``code_config`` cannot be read.
    """
    param = env.get_executor_config()
    if param.get('code_config'):
        param = {**_read_code_config(str(param['code_config'])), **param}
    return AttributeDict(param=param, ymir=env.get_current_env())


def get_class_names(cfg: AttributeDict) -> list[str]:
    """Return the class names of the task; their order is the class index of the annotations.

    Raises:
        ConfigError: ``class_names`` in config.yaml is missing, empty, no list, or names a class twice.
    """
    names = cfg.param.get('class_names')
    if not isinstance(names, (list, tuple)) or not names:
        raise ConfigError(f'class_names in config.yaml must be a list with at least one name, not {names!r}')
    names = [str(name) for name in names]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ConfigError(f'class_names in config.yaml has these names more than once: {", ".join(repeated)}')
    return names


def get_weight_files(cfg: AttributeDict, suffix: str | tuple[str, ...] = ('.pt', '.pth')) -> list[str]:
    """Return the weight files that the platform hands over.

    Args:
        cfg: what :func:`get_merged_config` gives.
        suffix: which endings a weight file has.

    Returns:
        Existing files with such an ending, in the order of config.yaml: of ``pretrained_model_params`` for training,
        of ``model_params_path`` otherwise. Relative paths are taken from the models directory.
    """
    key = 'pretrained_model_params' if cfg.ymir.run_training else 'model_params_path'
    files = cfg.param.get(key) or []
    paths = [
        os.path.join(cfg.ymir.input.models_dir, str(file)) for file in ([files] if isinstance(files, str) else files)
    ]
    return [path for path in paths if path.endswith(suffix) and os.path.isfile(path)]


def get_bool(cfg: AttributeDict, key: str, default_value: bool = True) -> bool:
    """Read a boolean hyper-parameter; values edited in the web form come as text.

    Args:
        cfg: what :func:`get_merged_config` gives.
        key: its name.
        default_value: for a missing key.

    Returns:
        True for true, t, 1 and False for false, f, 0, in any case, as text or not.

    Raises:
        ConfigError: another value.
    """
    value = cfg.param.get(key, default_value)
    if isinstance(value, (bool, int, str)):
        text = str(value).strip().lower()
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
    raise ConfigError(f'{key} in config.yaml is {value!r}; allowed: true, false, t, f, 1, 0')


def write_ymir_monitor_process(
    cfg: AttributeDict,
    task: YmirTask | str,
    naive_stage_percent: float,
    stage: YmirStage | str,
    stage_weights: YmirStageWeight | Sequence[float] | None = None,
    task_order: str = 'tmi',
) -> None:
    """Write the progress of a stage of a task into monitor.txt.

    Args:
        cfg: what :func:`get_merged_config` gives.
        task: the task, or its name in any case.
        naive_stage_percent: the progress of the stage alone; brought into 0..1.
        stage: the stage, or its name in any case.
        stage_weights: see :class:`~ymir_exc.progress.YmirStageWeight`.
        task_order: ``'tmi'`` when mining runs before inference, ``'tim'`` for the reverse.

    Raises:
        ValueError: an unknown task, stage or order, bad weights, or the percentage is NaN.
    """
    percent = YmirStageWeight(stage_weights).get_stage_process(stage, naive_stage_percent)
    write_monitor_logger_for_multiple_tasks(cfg, task, percent, task_order)
