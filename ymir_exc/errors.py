"""Errors that know their return code, so that whoever reports them needs no table of exception types.

Each is also the built-in exception that executors written for the older SDK catch (``ValueError``,
``FileNotFoundError``).
"""

from __future__ import annotations

from typing import Any

from .code import ExecutorReturnCode, PlatformCode


class ExecutorError(Exception):
    """An error with the return code that monitor.txt should carry."""

    code = ExecutorReturnCode.RC_CMD_CONTAINER_ERROR


class ConfigError(ExecutorError, ValueError):
    """env.yaml or config.yaml cannot be read, or a value in them cannot be used."""

    code = ExecutorReturnCode.RC_EXEC_CONFIG_ERROR


class ConfigFileNotFoundError(ConfigError, FileNotFoundError):
    """env.yaml, config.yaml or a file that they name does not exist."""


class DatasetError(ExecutorError, ValueError):
    """An index file, an annotation or a whole set of them cannot be used."""

    code = ExecutorReturnCode.RC_EXEC_DATASET_ERROR


class ImageFormatError(DatasetError):
    """No image of a set can be read."""

    code = ExecutorReturnCode.RC_EXEC_UNKNOWN_IMAGE_FORMAT


class ModelFileError(ExecutorError, ValueError):
    """A model file that a result names is missing or is not a file that the platform can store."""

    code = ExecutorReturnCode.RC_EXEC_MODEL_ERROR


class NoGpuError(ExecutorError, RuntimeError):
    """A GPU was asked for and none can be seen."""

    code = ExecutorReturnCode.RC_EXEC_NO_GPU


class ResultError(ExecutorError, ValueError):
    """A result that the platform would reject; nothing was written."""


class ResultRejected(ResultError):
    """A result file that the platform cannot read or does not take.

    Args:
        reason: what is wrong, with the file.
        code: what the platform shows.
    """

    def __init__(self, reason: str, code: int = PlatformCode.RESULT_REJECTED) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = int(code)  # a number that YAML and JSON can hold

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason, self.code)


class ValidationError(ResultError):
    """Values of a box, an object or env.yaml that are missing or wrong.

    Args:
        problems: one sentence for each, beginning with the name.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__('; '.join(problems))
        self.problems = problems

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems,)
