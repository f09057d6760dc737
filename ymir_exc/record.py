"""Objects of named values that are converted and checked when they are made.

They have the methods that executors know from the public package, whose objects are pydantic models: ``dict``,
``json``, ``copy`` and ``parse_obj``, and the names that pydantic 2 gave to these. pydantic itself is not needed:
executors pin either major version of it.
"""

from __future__ import annotations

import builtins
import copy as copying
import json as json_text
import typing
from typing import Any, Callable, ClassVar, Mapping, TypeVar

from .errors import ValidationError

Self = TypeVar('Self', bound='Record')

_WORDS = {
    **dict.fromkeys(('true', 't', 'yes', 'y', 'on', '1'), True),
    **dict.fromkeys(('false', 'f', 'no', 'n', 'off', '0'), False),
}


def to_text(value: Any) -> str:
    """Take a text, or a number that YAML has made of one: the version ``1.0``.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError('must be a text')
    return str(value)


def to_bool(value: Any) -> bool:
    """Take a truth value, 0 or 1, or a word for it.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, (int, float)) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and value.strip().lower() in _WORDS:
        return _WORDS[value.strip().lower()]
    raise ValueError('must be true or false')


class Record:
    """Named values; a subclass annotates them, with defaults where they may be left out.

    Unknown names are ignored. All problems are reported at once.

    Attributes:
        converters: for a name, what to convert its values with; otherwise the annotation says it (``str``, ``bool`` or
            another record).

    Raises:
        ValidationError: a value is missing or wrong.
    """

    # Name -> function of one value. These annotations are evaluated, on Python 3.8 too.
    converters: ClassVar[Mapping] = {}
    _fields: ClassVar[Mapping] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        hints = typing.get_type_hints(cls)
        cls._fields = {
            name: cls.converters.get(name) or _converter(kind)
            for name, kind in hints.items()
            if typing.get_origin(kind) is not ClassVar
        }

    def __init__(self, **values: Any) -> None:
        problems: list[str] = []
        for name, convert in self._fields.items():
            if name in values:
                try:
                    setattr(self, name, convert(values[name]))
                except ValidationError as nested:
                    problems += [f'{name}.{problem}' for problem in nested.problems]
                except ValueError as error:
                    problems.append(f'{name}: {error}, not {values[name]!r}')
            elif hasattr(type(self), name):
                default = getattr(type(self), name)
                setattr(self, name, type(default)() if isinstance(default, Record) else default)
            else:
                problems.append(f'{name}: is missing')
        if problems:
            raise ValidationError(problems)

    @classmethod
    def parse_obj(cls: type[Self], values: Any) -> Self:
        """Make one of a mapping.

        Raises:
            ValueError: it is none; as a ValidationError where a value is missing or wrong.
        """
        if not isinstance(values, typing.Mapping):
            raise ValueError('must be a mapping')
        return cls(**{str(name): value for name, value in values.items()})

    def dict(self) -> builtins.dict[str, Any]:
        """Return the values as a dict, records within as dicts too."""
        return {
            name: value.dict() if isinstance(value, Record) else value
            for name, value in ((name, getattr(self, name)) for name in self._fields)
        }

    def json(self) -> str:
        """Return the values as JSON."""
        return json_text.dumps(self.dict())

    def copy(self: Self, deep: bool = False) -> Self:
        """Return a copy."""
        return copying.deepcopy(self) if deep else copying.copy(self)

    model_validate = parse_obj
    model_dump = dict
    model_dump_json = json
    model_copy = copy

    def __eq__(self, other: Any) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f'{type(self).__name__}({", ".join(f"{name}={getattr(self, name)!r}" for name in self._fields)})'


def _converter(kind: Any) -> Callable[[Any], Any]:
    if kind is bool:
        return to_bool
    if kind is str:
        return to_text
    if isinstance(kind, type) and issubclass(kind, Record):
        return lambda value: value if isinstance(value, kind) else kind.parse_obj(value)
    raise TypeError(f'no converter for {kind!r}')
