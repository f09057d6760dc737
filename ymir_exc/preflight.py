"""preflight.csv: everything that the check of a training's data found, and what was done about it.

A line per finding, the training set first: an image that was skipped, a line of an annotation, a box, an image that
occurs twice. It lies in the output folder; the platform neither reads nor packs it, the report shows a summary.
"""

from __future__ import annotations

import contextlib
import csv
import os
from typing import Callable, Iterator, NamedTuple

from .atomic import atomic_file
from .errors import ResultError
from .skipped_images import TRAINING, VALIDATION
from .spreadsheet_text import from_cell, to_cell

PREFLIGHT_FILE = 'preflight.csv'  # in the task's output folder
MAX_CELL = 10_000  # characters; readers of CSV stop at 131,072, and no path has more than 4,096
COLUMNS = ('set', 'file', 'line', 'kind', 'detail', 'done')


class PreflightRow(NamedTuple):
    """One finding.

    Attributes:
        part: ``training`` or ``validation``.
        path: image or annotation file, as in the index file; '' for a class.
        line: where in that file: a number, or 'object 3'; '' for the whole.
        kind: what is wrong, as :mod:`ymir_exc.dataset_convert.report` has it.
        detail: the values.
        done: what was done about it.
    """

    part: str
    path: str
    line: str
    kind: str
    detail: str
    done: str


@contextlib.contextmanager
def preflight_file(directory: str) -> Iterator[Callable[[PreflightRow], None]]:
    """Replace the file when the block ends without an error.

    Args:
        directory: the task's output folder.

    Yields:
        What writes a finding.
    """
    with atomic_file(os.path.join(directory, PREFLIGHT_FILE)) as stream:
        writer = csv.writer(stream, lineterminator='\n')
        writer.writerow(COLUMNS)
        yield lambda row: writer.writerow(map(_cell, row))


def _cell(value: str) -> str:
    """Return a value that every reader of CSV takes: in one line, without NUL, of a bounded length, and no formula."""
    value = (value if len(value) <= MAX_CELL else f'{value[:MAX_CELL]}...').replace('\0', '\\0')
    return to_cell(' '.join(value.split()) if '\n' in value else value)


def read_preflight(directory: str) -> Iterator[PreflightRow]:
    """Read the file line by line.

    Args:
        directory: the task's output folder.

    Yields:
        The findings; none if there is no such file.

    Raises:
        ResultError: it cannot be read, or a line is invalid; the message names the line.
    """
    path = os.path.join(directory, PREFLIGHT_FILE)
    try:
        if not os.path.isfile(path):
            return
        with open(path, encoding='utf-8', errors='surrogateescape', newline='') as stream:
            lines = csv.reader(stream, strict=True)
            for cells in lines:
                if lines.line_num == 1 and tuple(cells) != COLUMNS:
                    raise ValueError(f'the first line must be {",".join(COLUMNS)}')
                if lines.line_num == 1 or not any(cells):
                    continue
                if len(cells) != len(COLUMNS) or cells[0] not in (TRAINING, VALIDATION):
                    raise ValueError(f'line {lines.line_num} is not that of a finding')
                yield PreflightRow(*map(from_cell, cells))
    except (OSError, ValueError, csv.Error) as error:
        raise ResultError(f'{path} cannot be read as a table of findings: {error}') from error
