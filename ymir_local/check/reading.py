"""What an executor left behind, for rules: `ymir_exc.reading` with the words of a finding in two languages."""

import reprlib
from dataclasses import dataclass
from typing import Any

from ymir_exc.reading import document
from ymir_exc.reading.document import MISSING, NO_FILE, NOT_TEXT, TOO_LARGE

from ..texts import t
from .finding import NotApplicable, Words, printable

MAX_SMALL = 64 * 2**20  # bytes; YAML and monitor.txt
MAX_LARGE = 2 * 2**30  # results with one entry per image

DOES_NOT_EXIST = t('check.does not exist')
NO_REGULAR_FILE = t('check.no regular file')
_WORDS = {
    MISSING: DOES_NOT_EXIST,
    NO_FILE: NO_REGULAR_FILE,
    TOO_LARGE: t('check.too large'),
    NOT_TEXT: t('check.no text'),
}

_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = _brief.maxlong = 80
_brief.maxlevel = 3


def short(value: Any) -> str:
    """Return a value in at most about a line of printable text.

    Args:
        value: anything, of any size.
    """
    return printable(_brief.repr(value))[:200]


def clip(text: str, length: int = 300) -> str:
    """Return the end of a message on one line, which is where programs say what is wrong.

    Args:
        text: any text.
        length: at most so many characters.
    """
    text = printable(' '.join(text.split()))
    return text if len(text) <= length else '...' + text[3 - length :]


@dataclass(frozen=True)
class CheckedDocument(document.Document):
    """A file, read, for a rule."""

    @property
    def detail(self) -> Words:
        """Return what is wrong with the file."""
        if self.problem in _WORDS and not (self.problem == MISSING and self.details):
            return _WORDS[self.problem].format(*self.details)
        return clip(str(self.details[0])) if self.details else ''

    def need(self) -> 'CheckedDocument':
        """Return itself.

        Raises:
            NotApplicable: it could not be read; the rule that says so is another one.
        """
        if self.problem:
            raise NotApplicable
        return self

    def place(self, *keys: Any) -> str:
        """Name a place: file, line where it is known, keys.

        Args:
            keys: the way from the root of the document.
        """
        line = self.line_of(keys)
        path = ''.join(
            f'[{key}]'
            if isinstance(key, int)
            else f'.{key}'
            if isinstance(key, str) and key.isidentifier()
            else f'[{short(key)}]'
            for key in keys
        ).lstrip('.')
        return self.name + (f':{line}' if line else '') + (f' {path}' if path else '')
