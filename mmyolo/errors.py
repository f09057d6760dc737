"""Errors that public mmyolo raises by `assert`, under the name that says what they are too.

Code written for public mmyolo catches AssertionError; ValueError and TypeError are what a wrong argument is. Here these
checks hold under `python -O` as well.
"""

from PIL import UnidentifiedImageError


class ArgumentValueError(AssertionError, ValueError):
    """An argument has a value that is not allowed."""


class ArgumentTypeError(AssertionError, TypeError):
    """An argument has a type that is not allowed."""


class UnreadableImageError(UnidentifiedImageError):
    """An image cannot be read.

    Args:
        path: The file, or the whole message.
        reason: What is wrong with it.
    """

    def __init__(self, path: str, reason: str = '') -> None:
        super().__init__(f'{path}: {reason}. Replace it or remove it from the data set.' if reason else path)
        self.reason = reason


class ConfigConflictError(ValueError):
    """Parts of a config contradict each other, or the data set."""
