"""What the protocol version of env.yaml allows (contract section e)."""
import os

from packaging.version import InvalidVersion, Version

from . import env
from .errors import ConfigError


def _version(text: str, where: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion:
        raise ConfigError(f'{where} is {text!r}; it must be a version such as 1.1.0') from None


def multiple_model_stages_supportable() -> bool:
    """Tell whether the platform knows model stages and the list key ``boxes``.

    Returns:
        True from protocol 1.0.0 on; below it, when the environment variable YMIR_VERSION says 1.2.0 or later.

    Raises:
        ConfigError: one of the two is not a version.
    """
    if _version(env.get_current_env().protocol_version, 'protocol_version in env.yaml') >= Version('1.0.0'):
        return True
    return _version(os.environ.get('YMIR_VERSION', '1.1.0'), 'environment variable YMIR_VERSION') >= Version('1.2.0')
