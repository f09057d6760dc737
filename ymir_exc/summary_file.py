"""What the summaries of a training and of a mining have in common: a JSON object whose fields are checked when read.

A summary lies in ``/out`` beside the results. The platform neither reads nor keeps it, so whoever reads it does without
where it is missing. It is replaced whole, and its text is ASCII, so that any class name and path survives.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, fields
from typing import Any, Callable, Dict, Tuple, TypeVar

from .atomic import PathLike, write_text_atomically
from .errors import ResultError
from .reading import read_text

Check = Callable[[Any], bool]
Checks = Dict[str, Tuple[Check, str]]  # of each field: whether a value is valid, and what it must be in words
Summary = TypeVar('Summary')


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def is_cell(value: Any) -> bool:
    return is_text(value) or is_number(value)


def is_list(is_item: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(is_item, value))


def is_row(length: int, is_item: Check = is_cell) -> Check:
    return lambda value: is_list(is_item)(value) and len(value) == length


def or_none(is_value: Check) -> Check:
    return lambda value: value is None or is_value(value)


def checked_fields(content: Any, kind: type[Summary], checks: Checks, where: str) -> Summary:
    """Make a dataclass of a JSON object; fields that it lacks have their defaults, and unknown ones are left out.

    Args:
        content: what the file holds there.
        kind: the dataclass.
        checks: of each of its fields.
        where: the file and the place in it, for the error message.

    Raises:
        ResultError: it is not an object, or a field is of the wrong kind.
    """
    if not isinstance(content, dict):
        raise ResultError(f'{where} holds no JSON object')
    known = {item.name: content[item.name] for item in fields(kind) if item.name in content}
    for name, value in known.items():
        is_valid, words = checks[name]
        if not is_valid(value):
            raise ResultError(f'{where}: {name} must be {words}')
    return kind(**known)


def read_summary(directory: PathLike, name: str, kind: type[Summary], checks: Checks) -> Summary | None:
    """Read a summary.

    Args:
        directory: the task's output folder.
        name: of the file.
        kind: see :func:`checked_fields`.
        checks: see there.

    Returns:
        What it says; None if there is no such file.

    Raises:
        ResultError: it cannot be read, is not a JSON object, or a field is of the wrong kind.
    """
    path = os.path.join(directory, name)
    try:
        content = json.loads(read_text(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise ResultError(f'{path} cannot be read as JSON: {error}') from error
    return checked_fields(content, kind, checks, path)


def write_summary(directory: PathLike, name: str, summary: Any, indent: int | None = 1) -> None:
    """Replace a summary.

    Args:
        directory: the task's output folder.
        name: of the file.
        summary: the dataclass.
        indent: of the JSON text; None: one line.

    Raises:
        ValueError: a number in it is not finite.
        OSError: it cannot be written; the old one is untouched.
    """
    text = json.dumps(asdict(summary), indent=indent, allow_nan=False)
    write_text_atomically(os.path.join(directory, name), text + '\n')
