"""Messages in Chinese and English, from `texts.yaml`, and the errors that carry both."""

import functools
import logging
from pathlib import Path
from typing import Any

import yaml

from tmi import errors
from tmi.errors import TaskError

logger = logging.getLogger('pie')

TEXTS_FILE = Path(__file__).with_name('texts.yaml')


@functools.cache
def texts() -> dict[str, dict[str, str]]:
    """Return all messages: name -> 'zh' and 'en'."""
    return yaml.safe_load(TEXTS_FILE.read_text(encoding='utf-8'))


class Words:
    """A message whose language is chosen where it is shown; it may stand in a place of another one.

    Args:
        key: In texts.yaml.
        **values: What stands in the places of the message.
    """

    def __init__(self, key: str, /, **values: Any) -> None:
        self.key, self.values = key, values

    def __str__(self) -> str:
        return text(self.key, 'en', **self.values)


def text(key: str, language: str, /, **values: Any) -> str:
    """Return one message.

    Args:
        key: In texts.yaml.
        language: 'zh' or 'en'.
        **values: What stands in the places of the message; of `Words` those in the same language.
    """
    found = {
        name: text(value.key, language, **value.values) if isinstance(value, Words) else value
        for name, value in values.items()
    }
    return texts()[key][language].format(**found)


def both(key: str, /, **values: Any) -> str:
    """Return a message in both languages on one line."""
    return f'{text(key, "zh", **values)} | {text(key, "en", **values)}'


def say(key: str, /, **values: Any) -> None:
    """Log a message in both languages."""
    logger.info('%s', both(key, **values))


def warn(key: str, /, **values: Any) -> None:
    """Log a warning in both languages."""
    logger.warning('%s', both(key, **values))


class PieError(TaskError):
    """What a user can correct, in both languages.

    Args:
        key: The message in texts.yaml: what is wrong, where, what is allowed and how to fix it.
        **values: What stands in its places.
    """

    def __init__(self, key: str, /, **values: Any) -> None:
        super().__init__(text(key, 'en', **values))
        self.key = key
        self.words = Words(key, **values)
        self.chinese = errors.one_line(text(key, 'zh', **values))


class UnusableError(PieError, ValueError):
    """A file of a data set cannot be used, so its sample is left out."""


def sentences(error: TaskError) -> tuple[str, str]:
    """Return the Chinese and the English sentence of an error.

    Args:
        error: One of the core, whose Chinese sentence names the kind of the cause and what to change, or a PieError.
    """
    if isinstance(error, PieError):
        return error.chinese, error.sentence
    cause = next(cls.__name__ for cls in type(error).__mro__ if f'cause_{cls.__name__}' in texts())
    return text(f'cause_{cause}', 'zh'), error.sentence
