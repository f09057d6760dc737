"""Settings of a config as words `key=value`: --cfg-options of the tools and `cfg_options` of a task."""

import argparse
from collections.abc import Sequence
from typing import Any

from mmengine.config import DictAction

MAX_DEPTH = 8  # of brackets in each other
QUOTES = '\'"'


class CfgOptionError(ValueError):
    """A word that is no `key=value` that can be read.

    Args:
        word: The word.
        reason: What is wrong and what to write instead.
    """

    def __init__(self, word: str, reason: str) -> None:
        super().__init__(f'{word[:200]!r}: {reason}')
        self.word = word
        self.reason = reason


class CfgOptions(argparse.Action):
    """Collects words `key=value` in a dictionary: add_argument('--cfg-options', nargs='+', action=CfgOptions)."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Sequence[str],
        option_string: str | None = None,
    ) -> None:
        try:
            options = parse_cfg_options(values)
        except CfgOptionError as error:
            raise argparse.ArgumentError(self, str(error)) from error
        setattr(namespace, self.dest, {**(getattr(namespace, self.dest, None) or {}), **options})


def parse_cfg_options(words: Sequence[str]) -> dict[str, Any]:
    """Parse words `key=value` by mmengine's rules, but a value that is not a list keeps its spaces.

    Args:
        words: E.g. `data_root=/data/my images`, `lr=0.1`, `betas=[0.9, 0.99]`.

    Returns:
        Dotted key to number, boolean, None, text, list or tuple; of two words with the same key the last counts.

    Raises:
        CfgOptionError: A word cannot be read.
    """
    options = {}
    for word in words:
        key, sign, value = word.partition('=')
        if not sign or not key:
            raise CfgOptionError(
                word, 'no key=value. Separate options by spaces and put quotes around a value that holds some.'
            )
        options[key] = _parse_value(word, value.strip(QUOTES))
    return options


def _parse_value(word: str, value: str) -> Any:
    if ',' not in value and not value.strip().startswith(('[', '(')):
        return DictAction._parse_int_float_bool(value)
    if value.strip().startswith(('[', '(')) and not _brackets_fit(value.strip()):
        raise CfgOptionError(
            word, f'no list that can be read; close every bracket, with at most {MAX_DEPTH} in each other.'
        )
    try:
        return DictAction._parse_iterable(value)
    except (AssertionError, ValueError, IndexError, RecursionError) as error:
        raise CfgOptionError(word, 'no value that can be read; close every bracket.') from error


def _brackets_fit(text: str) -> bool:
    """Return whether a list ends with the bracket that it begins with, and is not too deep to be read."""
    closing: list[str] = []
    for character in text:
        if character in '[(':
            closing.append(']' if character == '[' else ')')
        elif character in '])' and (not closing or closing.pop() != character):
            return False
        if len(closing) > MAX_DEPTH:
            return False
    return not closing and text.endswith((']', ')'))
