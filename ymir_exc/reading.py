"""The one reader of the text files that the platform hands over (contract section c).

Text is UTF-8. A byte order mark, as Windows editors write it, is dropped; a file in UTF-16 or UTF-32 is refused with a
sentence, for its bytes would be read as something else.
"""

from __future__ import annotations

import codecs
import io
import os
import stat
from typing import Iterator, NamedTuple, Union

from .errors import DatasetError

PathLike = Union[str, 'os.PathLike[str]']

# That of UTF-32 begins with that of UTF-16.
_OTHER_MARKS = (
    (codecs.BOM_UTF32_LE, 'UTF-32'),
    (codecs.BOM_UTF32_BE, 'UTF-32'),
    (codecs.BOM_UTF16_LE, 'UTF-16'),
    (codecs.BOM_UTF16_BE, 'UTF-16'),
)
_BLANKS = ' \n'  # may stand around a path without belonging to it


class IndexLine(NamedTuple):
    """One line of an index file.

    Attributes:
        number: counted from 1, blank lines too.
        image: the path of the image.
        annotation: the path of its annotation, '' if the line has none.
    """

    number: int
    image: str
    annotation: str


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
    """Open a file for reading bytes; unlike ``open``, never wait for a pipe.

    Raises:
        OSError: it is missing, a folder or a pipe, or may not be read.
    """
    if stat.S_ISFIFO(os.stat(path).st_mode):
        raise OSError(f'{path} is a pipe, not a file')
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


def read_index(path: PathLike) -> Iterator[IndexLine]:
    """Read an index file (train, val or candidate) line by line.

    Blank lines, the line ends of any system, a missing last one, a byte order mark and blanks around a path are fine;
    blanks inside belong to the path; what follows a second TAB is ignored. Bytes that are not UTF-8 pass
    (``surrogateescape``), so that such a path still opens.

    Args:
        path: the index file.

    Yields:
        The lines that are not blank.

    Raises:
        DatasetError: the file is missing or cannot be read, is UTF-16, or a line has no image or holds a NUL byte.
    """
    try:
        stream = open_regular(path)
    except FileNotFoundError:
        raise DatasetError(f'the index file {path} cannot be read: it does not exist') from None
    except (OSError, ValueError) as error:  # a path with a NUL
        raise DatasetError(f'the index file {path} cannot be read: {_reason(error)}') from error
    with io.TextIOWrapper(stream, 'utf-8', 'surrogateescape') as lines:
        try:
            decode(stream.peek(len(codecs.BOM_UTF32_LE)), 'surrogateescape')  # for the mark alone
            # Lines end as editors end them; str.splitlines knows further ends, which a name may hold.
            for number, line in enumerate(lines, 1):
                line = line.lstrip('\ufeff')  # also where two files were joined
                if not line.strip():
                    continue
                if '\0' in line:
                    raise DatasetError(
                        f'{path}:{number}: the line holds a NUL byte, as no path can; write the file '
                        'again, as UTF-8 text'
                    )
                image, annotation, *_ = [part.strip(_BLANKS) for part in line.split('\t')] + ['']
                if not image:
                    raise DatasetError(f'{path}:{number}: the line has no image before the TAB')
                yield IndexLine(number, image, annotation)
        except OSError as error:
            raise DatasetError(f'the index file {path} cannot be read: {_reason(error)}') from error
        except UnicodeError as error:
            raise DatasetError(f'the index file {path} {error}') from error


def _reason(error: Exception) -> str:
    return getattr(error, 'strerror', None) or str(error)
