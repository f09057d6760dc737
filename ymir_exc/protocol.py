"""What the protocol version of env.yaml allows (contract section e)."""

from __future__ import annotations

import os
import re

from . import env
from .errors import ConfigError

_VERSION = re.compile(
    r'v?(\d+(?:\.\d+)*)(?:[-_.]?(a|alpha|b|beta|c|rc|pre|preview|dev)[-_.]?\d*|[-_.]?(?:post|r|rev)?\d*)'
    r'(?:\+[\w.-]+)?',
    re.IGNORECASE,
)


def _version(text: str, where: str) -> tuple[list[int], bool]:
    """Return the numbers of a version, and whether it is a final one: 1.0.0rc1 comes before 1.0.0."""
    found = _VERSION.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f'{where} is {text!r}; it must be a version such as 1.1.0')
    numbers = [int(number) for number in found.group(1).split('.')]
    while numbers and numbers[-1] == 0:  # 1 is 1.0.0
        numbers.pop()
    return numbers, found.group(2) is None


def multiple_model_stages_supportable() -> bool:
    """Return whether the platform knows model stages and the list key ``boxes``.

    Returns:
        True from protocol 1.0.0 on; below it, when the environment variable YMIR_VERSION says 1.2.0 or later.

    Raises:
        ConfigError: one of the two is not a version.
    """
    if _version(env.get_current_env().protocol_version, 'protocol_version in env.yaml') >= ([1], True):
        return True
    return _version(os.environ.get('YMIR_VERSION', '1.1.0'), 'environment variable YMIR_VERSION') >= ([1, 2], True)
