"""train-index.tsv, val-index.tsv and candidate-index.tsv: the images of a task (contract section c.3)."""

from __future__ import annotations

import codecs
import io
from typing import Iterator, NamedTuple

from ..errors import DatasetError
from .text import PathLike, decode, open_regular, reason_of

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
        raise DatasetError(f'the index file {path} cannot be read: {reason_of(error)}') from error
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
            raise DatasetError(f'the index file {path} cannot be read: {reason_of(error)}') from error
        except UnicodeError as error:
            raise DatasetError(f'the index file {path} {error}') from error
