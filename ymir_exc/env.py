"""env.yaml and config.yaml (contract sections c.1, c.2 and e), read once and read again only when they change.

Older platforms leave keys out and hand-made files have empty values or a protocol version that YAML reads as a
number: a missing or empty key takes its default, a number becomes text.
"""

from __future__ import annotations

import contextlib
import copy
import os
from enum import IntEnum
from typing import Any, Mapping

from . import settings
from .errors import ConfigError, ValidationError
from .reading import read_mapping
from .record import Record


class DatasetType(IntEnum):
    """Which index file is meant."""

    UNKNOWN = 1
    TRAINING = 2
    VALIDATION = 3
    CANDIDATE = 4


class _Section(Record):
    """A missing or empty key takes its default."""

    def __init__(self, **values: Any) -> None:
        super().__init__(**{key: value for key, value in values.items() if value is not None and value != ''})


class EnvInputConfig(_Section):
    """Where the input lies."""

    root_dir: str = '/in'
    assets_dir: str = '/in/assets'
    annotations_dir: str = '/in/annotations'
    models_dir: str = '/in/models'
    training_index_file: str = ''
    val_index_file: str = ''
    candidate_index_file: str = ''
    config_file: str = '/in/config.yaml'

    def __init__(self, **values: Any) -> None:
        super().__init__(**{**values, 'config_file': values.get('config_file') or settings.DEFAULT_CONFIG_FILE_PATH})


class EnvOutputConfig(_Section):
    """Where the output goes."""

    root_dir: str = '/out'
    models_dir: str = '/out/models'
    tensorboard_dir: str = '/out/tensorboard'
    training_result_file: str = '/out/models/result.yaml'
    mining_result_file: str = '/out/result.tsv'
    infer_result_file: str = '/out/infer-result.json'
    monitor_file: str = '/out/monitor.txt'
    executor_log_file: str = '/out/ymir-executor-out.log'


class EnvConfig(_Section):
    """The content of env.yaml."""

    task_id: str = 'default-task'
    run_training: bool = False
    run_mining: bool = False
    run_infer: bool = False
    protocol_version: str = '0.0.1'
    manifest_file: str = '/img-man/manifest.yaml'
    input: EnvInputConfig = EnvInputConfig()
    output: EnvOutputConfig = EnvOutputConfig()


# kind and path of a file -> its identity when it was read, and what was read
_cache: dict[tuple[str, str], tuple[tuple[int, int, int], Any]] = {}


def _read_env(path: str) -> EnvConfig:
    try:
        return EnvConfig.parse_obj(read_mapping(path))
    except ValidationError as error:
        raise ConfigError(f'{path}: {error}') from error


def _cached(kind: str, path: str, read: Any) -> Any:
    try:
        status = os.stat(path)
    except OSError:
        return read(path)  # raises the error that names the file
    identity = (status.st_mtime_ns, status.st_size, status.st_ino)
    found = _cache.get((kind, path))
    if found is None or found[0] != identity:
        found = _cache[(kind, path)] = (identity, read(path))
    return found[1]


def get_current_env() -> EnvConfig:
    """Return the content of env.yaml.

    Returns:
        A copy of its own for the caller.

    Raises:
        ConfigFileNotFoundError: there is no env.yaml (also a ``FileNotFoundError``).
        ConfigError: it cannot be read or has a wrong value (also a ``ValueError``).
    """
    return _cached('env', str(settings.DEFAULT_ENV_FILE_PATH), _read_env).copy(deep=True)


def get_readable_env() -> EnvConfig:
    """Return what can be read of env.yaml, to say in monitor.txt what is wrong with the rest, which has its defaults.

    Raises:
        ConfigError: it is no mapping, or there is none (also a ``ValueError``).
    """
    return EnvConfig.parse_obj(_readable(EnvConfig, read_mapping(str(settings.DEFAULT_ENV_FILE_PATH))))


def _readable(kind: type[Record], values: Mapping[Any, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in values.items():
        default = getattr(kind, str(key), None)
        part = _readable(type(default), value) if isinstance(default, Record) and isinstance(value, Mapping) else value
        with contextlib.suppress(ValidationError):
            kind(**{str(key): part})
            kept[str(key)] = part
    return kept


def get_executor_config() -> dict[str, Any]:
    """Return the hyper-parameters of config.yaml.

    Returns:
        A copy of its own for the caller; an empty dict for an empty file.

    Raises:
        ConfigFileNotFoundError: there is no config.yaml (also a ``FileNotFoundError``).
        ConfigError: it cannot be read (also a ``ValueError``).
    """
    return copy.deepcopy(_cached('config', get_current_env().input.config_file, read_mapping))
