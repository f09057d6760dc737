"""Where the parameters of a training come from: `--config FILE`, standard input, or traincfg.json.

The platform writes one line of JSON to the standard input; a file traincfg.json is for tests, and one that was left in
the package must not beat the platform.
"""

import json
import os
import select
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from mmyolo.utils.files import read_text
from pie.causes import file_cause, json_cause
from pie.texts import PieError, Words, say, warn

FILE_NAME = 'traincfg.json'
PATIENCE = 5.0  # seconds
MAX_BYTES = 64 * 1024**2


class Source(NamedTuple):
    """Parameters as they were given.

    Args:
        content: The mapping.
        place: Where it stood, for messages.
    """

    content: dict[str, Any]
    place: str | Words


def read_parameters(
    arguments: list[str], base: Path, stream: int | None = None, patience: float = PATIENCE, file_name: str = FILE_NAME
) -> Source:
    """Read the parameters of this training.

    Args:
        arguments: Of the command line; `--config FILE` names a file, others are ignored with a warning.
        base: The folder of train.py.
        stream: A file descriptor to read; None for the standard input.
        patience: Seconds that the standard input has where there is such a file, and before a notice where not.
        file_name: Of the file in the working directory, or in `base`.

    Returns:
        The parameters and where they stood.

    Raises:
        PieError: There are none, or they are not JSON.
    """
    file = _config_argument(arguments)
    if file is not None:
        source = _read_file(Path(file))
        say('read_from', place=source.place)
        return source
    places = {Path.cwd().resolve() / file_name: None, base.resolve() / file_name: None}
    found = next((path for path in places if path.is_file()), None)
    given = _read_stream(_stdin() if stream is None else stream, found, patience, file_name)
    if given is None:
        if found is None:
            raise PieError('no_parameters', name=file_name, folders=', '.join(str(path.parent) for path in places))
        source = _read_file(found)
        say('read_from', place=source.place)
        return source
    say('read_from', place=given.place)
    if found is not None:
        _warn_of_differences(given.content, found)
    return given


def _config_argument(arguments: list[str]) -> str | None:
    """Return the file after `--config`; options of other scripts for the platform have no meaning here."""
    file, ignored, rest = None, [], list(arguments)
    while rest:
        word = rest.pop(0)
        if word == '--config' or word.startswith('--config='):
            if '=' not in word and not rest:
                raise PieError('config_without_file')
            file = word.partition('=')[2] if '=' in word else rest.pop(0)
        else:
            ignored.append(word)
    if ignored:
        warn('arguments_ignored', arguments=' '.join(ignored))
    return file


def _stdin() -> int | None:
    """Return the descriptor of the standard input, None if there is none or a person sits there."""
    try:
        descriptor = sys.stdin.fileno()
        return None if os.isatty(descriptor) else descriptor
    except (AttributeError, OSError, ValueError):
        return None


def _read_stream(stream: int | None, file: Path | None, patience: float, file_name: str) -> Source | None:
    """Return the JSON that arrives, None if nothing does.

    The sender may leave the stream open, so the text ends where it is whole.
    """
    if stream is None:
        return None
    data, said, last = b'', False, time.monotonic()
    while True:
        waiting = patience - (time.monotonic() - last)
        if waiting <= 0:
            if data:
                break  # it stays incomplete
            if file is not None:
                return None
            if not said:
                say('waiting_for_parameters', name=file_name)
                said = True
            last, waiting = time.monotonic(), patience
        if not select.select([stream], [], [], waiting)[0]:
            continue
        block = os.read(stream, 1 << 16)
        if not block:
            break
        data, last = data + block, time.monotonic()
        if len(data) > MAX_BYTES:
            break
        if data.rstrip().endswith(b'}') and _is_json(data):
            break
    if not data.strip():
        return None
    place = Words('standard_input')
    return Source(_parse(data, place), place)


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data.decode('utf-8-sig'))
    except ValueError:
        return False
    return True


def _read_file(path: Path) -> Source:
    try:
        content = read_text(path)
    except OSError as error:
        raise PieError('config_unreadable', path=path, reason=file_cause(error)) from error
    except ValueError as error:
        raise PieError('not_json', place=path, reason=Words('not_text')) from error
    return Source(_parse(content.encode(), str(path)), str(path))


class NotANumberError(ValueError):
    """NaN or Infinity stands in a JSON text; its argument is which."""


def _reject_constant(name: str) -> None:
    raise NotANumberError(name)


def _parse(data: bytes, place: str | Words) -> dict[str, Any]:
    try:
        content = json.loads(data.decode('utf-8-sig'), parse_constant=_reject_constant)
    except NotANumberError as error:
        raise PieError('not_json', place=place, reason=Words('json_number', name=error)) from error
    except (ValueError, RecursionError) as error:
        raise PieError('not_json', place=place, reason=json_cause(error)) from error
    if not isinstance(content, dict):
        raise PieError('not_an_object', place=place, found=type(content).__name__)
    return content


def _warn_of_differences(content: dict[str, Any], file: Path) -> None:
    try:
        other = _read_file(file).content
    except PieError:
        return
    keys = sorted(key for key in {*content, *other} if content.get(key) != other.get(key))
    if keys:
        warn('parameters_differ', path=file, keys=', '.join(keys))
