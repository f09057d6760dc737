"""Reads what an executor left behind, whatever it is: gives a value or says what is wrong, and never raises."""

import json
import os
import re
import reprlib
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from ymir_exc.yaml_text import check_yaml_size

from .finding import NotApplicable, Words, printable

MAX_SMALL = 64 * 2**20  # bytes; YAML and monitor.txt
MAX_LARGE = 2 * 2**30  # results with one entry per image

# The YAML parser takes quadratic time for these before it gives up.
TOO_DEEP = re.compile(r'(?:[\[{]\s?){200}')
MISSING, NO_FILE, UNREADABLE, TAG = 'missing', 'no file', 'unreadable', 'tag'
DOES_NOT_EXIST: Words = ('it does not exist', '文件不存在')
NO_REGULAR_FILE: Words = ('it is not a regular file', '不是普通文件')

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
class Document:
    """A file, read.

    Args:
        name: what it is called in a place.
        problem: None, MISSING, NO_FILE, UNREADABLE or TAG.
        detail: what is wrong.
        text: the content as text.
        value: the content as YAML or JSON.
        node: the YAML tree, which knows the lines.
        repeated: keys that stand twice in one mapping.
    """

    name: str
    problem: str | None = None
    detail: Words = ''
    text: str = ''
    value: Any = None
    node: Any = None
    repeated: tuple[str, ...] = ()

    @property
    def present(self) -> bool:
        """Whether there is a file, readable or not."""
        return self.problem not in (MISSING, NO_FILE)

    def need(self) -> 'Document':
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
        line = line_of(self.node, keys)
        path = ''.join(
            f'[{key}]'
            if isinstance(key, int)
            else f'.{key}'
            if isinstance(key, str) and key.isidentifier()
            else f'[{short(key)}]'
            for key in keys
        ).lstrip('.')
        return self.name + (f':{line}' if line else '') + (f' {path}' if path else '')

    @cached_property
    def lines(self) -> list[str]:
        """The text by lines, which only a newline ends."""
        lines = self.text.split('\n')
        return lines[:-1] if lines[-1] == '' else lines


def read_text(path: Path, name: str, max_bytes: int = MAX_SMALL) -> Document:
    """Read a text file.

    Args:
        path: the file.
        name: what it is called in a place.
        max_bytes: larger files are not read.
    """
    try:
        status = os.stat(path)
    except PermissionError as error:
        return Document(name, UNREADABLE, str(error.strerror))
    except (OSError, ValueError):
        return Document(name, MISSING, DOES_NOT_EXIST)
    if not stat.S_ISREG(status.st_mode):  # a named pipe would never end
        return Document(name, NO_FILE, NO_REGULAR_FILE)
    if status.st_size > max_bytes:
        return Document(
            name,
            UNREADABLE,
            (
                f'{status.st_size} bytes, more than is read here ({max_bytes})',
                f'{status.st_size} 字节，超过此处读取的上限（{max_bytes}）',
            ),
        )
    try:
        return Document(name, text=path.read_bytes().decode('utf-8'))
    except UnicodeDecodeError as error:
        return Document(name, UNREADABLE, (f'byte {error.start} is not UTF-8', f'第 {error.start} 个字节不是 UTF-8'))
    except (OSError, MemoryError) as error:
        return Document(name, UNREADABLE, short(error))


def parse_yaml(document: Document) -> Document:
    """Read the text of a document as `yaml.safe_load` does, and keep the lines.

    Args:
        document: with text.
    """
    if document.problem:
        return document
    if TOO_DEEP.search(document.text):
        return Document(document.name, UNREADABLE, ('brackets nested 200 deep', '括号嵌套达 200 层'), document.text)
    try:
        check_yaml_size(document.text)
        loader = yaml.SafeLoader(document.text)
        node = loader.get_single_node()
        repeated = tuple(_repeated_keys(node))
        value = None if node is None else loader.construct_document(node)
    except yaml.constructor.ConstructorError as error:
        kind = TAG if 'could not determine a constructor' in str(error) else UNREADABLE
        return Document(document.name, kind, ' '.join(str(error).split()), document.text)
    except Exception as error:  # YAMLError; ValueError of a wrong date; RecursionError
        return Document(document.name, UNREADABLE, ' '.join(str(error).split())[:300] or short(error), document.text)
    return Document(document.name, None, '', document.text, value, node, repeated)


def parse_json(document: Document) -> Document:
    """Read the text of a document as `json.loads` does, and keep which keys are repeated.

    Args:
        document: with text.
    """
    if document.problem:
        return document
    repeated: list[str] = []

    def mapping(pairs: list[tuple[str, Any]]) -> Any:
        values = dict(pairs)
        if len(values) < len(pairs):
            seen = set()
            for key, _ in pairs:
                if key in seen:
                    repeated.append(key)
                seen.add(key)
        return values

    try:
        value = json.loads(document.text, object_pairs_hook=mapping)
    except Exception as error:  # JSONDecodeError; ValueError of a huge number; RecursionError
        return Document(document.name, UNREADABLE, clip(str(error)))
    return Document(document.name, None, '', '', value, None, tuple(repeated))


def line_of(node: Any, keys: tuple[Any, ...]) -> int | None:
    """Find the line of a key in a YAML tree, as deep as the keys lead.

    Args:
        node: the tree; None has no lines.
        keys: the way from the root.
    """
    line = None
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            found = [
                (name, value)
                for name, value in node.value
                if isinstance(name, yaml.ScalarNode) and name.value == str(key)
            ]
            if not found:
                return line
            line, node = found[-1][0].start_mark.line + 1, found[-1][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = node.start_mark.line + 1
        else:
            return line
    return line


def _repeated_keys(node: Any, depth: int = 4) -> list[str]:
    if not isinstance(node, yaml.MappingNode) or not depth:
        return []
    names = [name.value for name, _ in node.value if isinstance(name, yaml.ScalarNode) and name.value != '<<']
    found = sorted({name for name in names if names.count(name) > 1}) if len(names) < 2000 else []
    for _, value in node.value[:2000]:
        found += _repeated_keys(value, depth - 1)
    return found


def is_number(value: Any, low: float = float('-inf'), high: float = float('inf')) -> bool:
    """Return whether `float(value)` works and gives a number within bounds, which NaN never is.

    Args:
        value: anything.
        low: the lower bound, inclusive.
        high: the upper bound, inclusive.
    """
    try:
        return low <= float(value) <= high
    except (TypeError, ValueError, OverflowError):
        return False


def is_integer(value: Any, low: int = -(2**31), high: int = 2**31 - 1) -> bool:
    """Return whether `int(value)` works and gives an integer within bounds.

    Args:
        value: anything; decimals are cut off.
        low: the lower bound, inclusive.
        high: the upper bound, inclusive.
    """
    try:
        return low <= int(value) <= high
    except (TypeError, ValueError, OverflowError):
        return False
