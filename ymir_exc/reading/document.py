"""A file of the contract, read whole: its content, or what is wrong with it, as data.

A :class:`Document` says of a file that cannot be read why, and of a value where it stands. What a value may be is the
matter of the module of each file, which reports every :class:`Fault`; a reader that raises takes the first.
"""

from __future__ import annotations

import codecs
import json
import os
import stat
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Callable, NamedTuple

import yaml

from ..errors import ConfigError, ConfigFileNotFoundError
from ..yaml_text import load_yaml_with_lines, yaml_fault
from .text import PathLike, decode, open_regular, reason_of, split_lines

# Why a document has no content; the words follow the name of the file.
MISSING, NO_FILE, TOO_LARGE, NOT_TEXT, UNREADABLE, TAG = (
    'missing',
    'no file',
    'too large',
    'not text',
    'unreadable',
    'tag',
)
_WORDS = {
    MISSING: 'does not exist',
    NO_FILE: 'is not a regular file',
    TOO_LARGE: 'holds {} bytes; at most {} are read',
    NOT_TEXT: '{}',
    UNREADABLE: 'cannot be read: {}',
    TAG: 'cannot be read: {}',  # YAML that asks for an object of Python
}


class Fault(NamedTuple):
    """Something in a file that the platform does not take.

    Attributes:
        kind: which of the faults that the reader of the file names.
        message: what is wrong, with the place, without the name of the file.
        keys: the way to it from the root of the document; for a table, line and column from 1.
        value: what stands there.
        code: what the platform shows therefore; 0: it takes the file all the same, and drops what is wrong.
    """

    kind: str
    message: str
    keys: tuple[Any, ...] = ()
    value: Any = None
    code: int = 0


Report = Callable[[Fault], None]


@dataclass(frozen=True)
class Document:
    """A file, read.

    Args:
        name: the name of the file in a place.
        problem: why it has no content: '', or MISSING and so on.
        details: numbers or words of the problem.
        text: the content as text.
        value: the content as YAML or JSON.
        node: the YAML tree, which knows the lines.
        repeated: keys that stand twice in one mapping.
        has_mark: the text began with a byte order mark.
    """

    name: str
    problem: str = ''
    details: tuple[Any, ...] = ()
    text: str = ''
    value: Any = None
    node: Any = None
    repeated: tuple[str, ...] = ()
    has_mark: bool = False

    @classmethod
    def read(
        cls, path: PathLike, name: str | None = None, max_bytes: int | None = None, errors: str = 'strict'
    ) -> Document:
        """Read a text file; whatever is there, nothing is raised.

        Args:
            path: the file.
            name: its name in a place; None takes the path.
            max_bytes: larger files are not read.
            errors: as for :func:`~ymir_exc.reading.decode`.
        """
        name = str(path) if name is None else name
        try:
            status = os.stat(path)
        except PermissionError as error:
            return cls(name, UNREADABLE, (reason_of(error),))
        except (OSError, ValueError):  # ValueError: a path with a NUL
            return cls(name, MISSING)
        if not stat.S_ISREG(status.st_mode):  # a named pipe would never end
            return cls(name, NO_FILE)
        if max_bytes is not None and status.st_size > max_bytes:
            return cls(name, TOO_LARGE, (status.st_size, max_bytes))
        try:
            with open_regular(path) as stream:
                data = stream.read()
            return cls(name, text=decode(data, errors), has_mark=data.startswith(codecs.BOM_UTF8))
        except UnicodeError as error:
            return cls(name, NOT_TEXT, (str(error),))
        except (OSError, MemoryError) as error:
            return cls(name, UNREADABLE, (reason_of(error),))

    @property
    def present(self) -> bool:
        """Whether there is a file, readable or not."""
        return self.problem not in (MISSING, NO_FILE)

    @property
    def reason(self) -> str:
        """Why there is no content, as the rest of a sentence that begins with the name of the file."""
        return _WORDS[self.problem].format(*self.details) if self.problem else ''

    @cached_property
    def lines(self) -> list[str]:
        """The text by lines."""
        lines = split_lines(self.text)
        return lines[:-1] if lines[-1] == '' else lines

    def line_of(self, keys: tuple[Any, ...]) -> int | None:
        """Find the line of a key in YAML, as deep as the keys lead; None if it is unknown."""
        line, node = None, self.node
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

    def as_yaml(self) -> Document:
        """Give this document with its text read as YAML."""
        if self.problem:
            return self
        try:
            value, node = load_yaml_with_lines(self.text)
        except yaml.constructor.ConstructorError as error:
            kind = TAG if 'could not determine a constructor' in str(error) else UNREADABLE
            return replace(self, problem=kind, details=(_one_line(yaml_fault(error)),))
        except yaml.YAMLError as error:
            return replace(self, problem=UNREADABLE, details=(_one_line(yaml_fault(error)),))
        return replace(self, value=value, node=node, repeated=tuple(_repeated_keys(node)))

    def as_json(self) -> Document:
        """Give this document with its text read as JSON; the text itself, which may be long, is dropped."""
        if self.problem:
            return self
        if self.has_mark:  # which the platform's reader of JSON rejects
            words = 'it begins with a byte order mark, which JSON has not; write it without'
            return replace(self, problem=UNREADABLE, details=(words,), text='')
        repeated: list[str] = []

        def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            values = dict(pairs)
            if len(values) < len(pairs):
                names = [name for name, _ in pairs]
                repeated.extend(sorted({name for name in names if names.count(name) > 1}))
            return values

        try:
            value = json.loads(self.text, object_pairs_hook=mapping)
        except (ValueError, RecursionError) as error:
            return replace(self, problem=UNREADABLE, details=(_one_line(str(error) or type(error).__name__),), text='')
        return replace(self, value=value, text='', repeated=tuple(repeated))


def read_mapping(path: PathLike) -> dict[str, Any]:
    """Read a YAML file that holds a mapping: env.yaml, config.yaml, result.yaml, ymir-info.yaml, a template.

    Args:
        path: the file; an empty one is an empty mapping.

    Returns:
        The mapping.

    Raises:
        ConfigFileNotFoundError: there is no such file.
        ConfigError: it cannot be read, is not YAML, or holds something else.
    """
    document = Document.read(path).as_yaml()
    if document.problem:
        raise (ConfigFileNotFoundError if document.problem == MISSING else ConfigError)(f'{path} {document.reason}')
    if document.value is None:
        return {}
    if not isinstance(document.value, dict):
        raise ConfigError(f'{path} must hold "key: value" lines, not a {type(document.value).__name__}')
    return document.value


def _one_line(words: str) -> str:
    return ' '.join(words.split())[:300]


def _repeated_keys(node: Any, depth: int = 4) -> list[str]:
    if not isinstance(node, yaml.MappingNode) or not depth:
        return []
    names = [name.value for name, _ in node.value if isinstance(name, yaml.ScalarNode) and name.value != '<<']
    found = sorted({name for name in names if names.count(name) > 1}) if len(names) < 2000 else []
    for _, value in node.value[:2000]:
        found += _repeated_keys(value, depth - 1)
    return found
