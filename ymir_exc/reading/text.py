"""Text of the contract's files: UTF-8.

A byte order mark, as Windows editors write it, is dropped; a file in UTF-16 or UTF-32 is rejected with a sentence, for
its bytes would be read as something else.
"""

from __future__ import annotations

import codecs
import io
import os
import re
import stat
from typing import Union

PathLike = Union[str, 'os.PathLike[str]']

# That of UTF-32 begins with that of UTF-16.
_OTHER_MARKS = (
    (codecs.BOM_UTF32_LE, 'UTF-32'),
    (codecs.BOM_UTF32_BE, 'UTF-32'),
    (codecs.BOM_UTF16_LE, 'UTF-16'),
    (codecs.BOM_UTF16_BE, 'UTF-16'),
)


def decode(data: bytes, errors: str = 'strict') -> str:
    """Decode the bytes of a text file.

    Args:
        data: the whole file, or its beginning.
        errors: what to do with bytes that are not UTF-8, as ``bytes.decode`` takes it.

    Returns:
        The text without byte order mark.

    Raises:
        UnicodeError: it is not UTF-8; the message is the rest of a sentence that begins with the name of the file.
    """
    for mark, name in _OTHER_MARKS:
        if data.startswith(mark):
            raise UnicodeError(f'is {name} text; save it as UTF-8')
    if data.startswith(codecs.BOM_UTF8):
        data = data[len(codecs.BOM_UTF8) :]
    try:
        return data.decode('utf-8', errors)
    except UnicodeDecodeError as error:
        line = data.count(b'\n', 0, error.start) + 1
        raise UnicodeError(f'is not UTF-8 text (line {line}); save it as UTF-8') from error


def open_regular(path: PathLike) -> io.BufferedReader:
    """Open a file for reading bytes; unlike ``open``, neither wait for a pipe nor read a device without an end.

    Raises:
        OSError: it is missing, a folder, a pipe, a socket or a device (but the empty one), or may not be read.
    """
    mode = os.stat(path).st_mode
    if stat.S_ISFIFO(mode):
        raise OSError(f'{path} is a pipe, not a file')
    if (stat.S_ISCHR(mode) or stat.S_ISBLK(mode) or stat.S_ISSOCK(mode)) and os.path.realpath(path) != os.devnull:
        raise OSError(f'{path} is a device or a socket, not a file')
    return open(path, 'rb')


def read_text(path: PathLike, errors: str = 'strict') -> str:
    """Read a text file whole.

    Args:
        path: the file.
        errors: as for :func:`decode`.

    Raises:
        OSError: it cannot be read.
        UnicodeError: as :func:`decode`.
    """
    with open_regular(path) as stream:
        return decode(stream.read(), errors)


def split_lines(text: str) -> list[str]:
    """Split a text at the line ends of any system; unlike ``str.splitlines``, not at others, which names may hold."""
    return re.split('\r\n|\n|\r', text)


def read_lines(path: PathLike) -> list[str]:
    """Read the lines of a text file that are not blank; bytes that are not UTF-8 pass, as in names of files.

    Args:
        path: the file.

    Returns:
        The lines, whole; none if there is no such file or it cannot be read.
    """
    try:
        return [line for line in split_lines(read_text(path, 'surrogateescape')) if line.strip()]
    except (OSError, ValueError):
        return []


def reason_of(error: Exception) -> str:
    """Give the words of the system for an error, without number and path."""
    return getattr(error, 'strerror', None) or str(error)
