"""labels-to-check.csv: the labels that a trained model contradicts, most doubtful first, for whoever corrects them.

It lies beside the weights and is stored with the model; the command ``ymir labels`` and the report show it with the
names that the user knows. Boxes are in pixels of the image; where a kind has no label or no prediction, the cells are
empty.
"""

from __future__ import annotations

import csv
import io
import math
import re
from typing import Iterable, NamedTuple, Optional, Tuple

from .atomic import PathLike, atomic_file
from .errors import ResultError
from .reading import read_text
from .skipped_images import TRAINING, VALIDATION
from .spreadsheet_text import from_cell, to_cell

LABELS_TO_CHECK_FILE = 'labels-to-check.csv'  # in the task's folder of models
# What that file is called where an earlier training has left another under that name.
NAME_PATTERN = re.compile(r'labels-to-check(_\d+)?\.csv')
CLASS, MISSING, EXTRA, LOOSE = KINDS = ('class', 'missing', 'extra', 'loose')
COLUMNS = (
    *('image', 'set', 'kind', 'labelled_class', 'predicted_class'),
    *(f'{whose}_{what}' for whose in ('label', 'predicted') for what in 'xywh'),
    'score',
)
XYWH = Optional[Tuple[float, float, float, float]]


class LabelToCheck(NamedTuple):
    """A label, or the lack of one, that the model contradicts.

    Attributes:
        image: path as in the index file.
        part: ``training`` or ``validation``.
        kind: ``class``: the model sees another class there; ``missing``: it sees an object without a label; ``extra``:
            it sees nothing at the label; ``loose``: it sees the object, but the label fits it poorly.
        labelled: class of the label; empty for ``missing``.
        predicted: class that the model sees; empty for ``extra``.
        label_box: x, y, w, h in pixels of the image; None for ``missing``.
        predicted_box: the same of the prediction; None for ``extra``.
        score: from 0 to 1, the higher, the more likely the label is wrong; comparable between kinds.
    """

    image: str
    part: str
    kind: str
    labelled: str
    predicted: str
    label_box: XYWH
    predicted_box: XYWH
    score: float


def labels_to_check_table(rows: Iterable[LabelToCheck]) -> bytes:
    """Return the content of the file.

    Args:
        rows: most doubtful first.
    """
    text = io.StringIO(newline='')
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(COLUMNS)
    for row in rows:
        words = map(to_cell, (row.image, row.part, row.kind, row.labelled, row.predicted))
        writer.writerow((*words, *_cells(row.label_box), *_cells(row.predicted_box), f'{row.score:.4f}'))
    return text.getvalue().encode('utf-8', 'surrogateescape')


def write_labels_to_check(path: PathLike, rows: Iterable[LabelToCheck]) -> None:
    """Replace the file.

    Args:
        path: of the file.
        rows: most doubtful first.

    Raises:
        OSError: it cannot be written; the old one is untouched.
    """
    with atomic_file(path, 'wb') as stream:
        stream.write(labels_to_check_table(rows))


def read_labels_to_check(path: PathLike) -> list[LabelToCheck]:
    """Read the file.

    Args:
        path: of the file.

    Returns:
        Its rows in their order.

    Raises:
        ResultError: it cannot be read, a column is missing, or a cell is invalid; the message names the line.
    """
    try:
        lines = csv.reader(io.StringIO(read_text(path, 'surrogateescape'), newline=''), strict=True)
        header = next(lines, [])
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            separated = ', which commas must separate' if len(header) == 1 else ''
            raise ValueError(f'the first line lacks the columns {", ".join(missing)}{separated}')
        places = [header.index(name) for name in COLUMNS]
        rows = []
        for cells in lines:
            if not any(cells):  # blank, as editors and spreadsheets leave at the end
                continue
            if len(cells) != len(header):
                raise ValueError(f'line {lines.line_num} has {len(cells)} cells, {len(header)} are needed')
            rows.append(_row([cells[place] for place in places], lines.line_num))
    except (OSError, ValueError, csv.Error) as error:
        raise ResultError(f'{path} cannot be read as a table of labels to check: {error}') from error
    return rows


def _cells(box: XYWH) -> list[str]:
    if box is None:
        return [''] * 4
    x, y, w, h = (round(value, 1) for value in box)
    return [f'{value:.10g}' for value in (x, y, max(w, 0.1), max(h, 0.1))]


def _row(cells: list[str], line: int) -> LabelToCheck:
    image, part, kind, labelled, predicted = map(from_cell, cells[:5])
    for value, allowed, column in ((part, (TRAINING, VALIDATION), 'set'), (kind, KINDS, 'kind')):
        if value not in allowed:
            raise ValueError(f'line {line}: {column} is {value!r}; allowed: {", ".join(allowed)}')
    boxes = []
    for whose, name, numbers, without in (
        ('label', labelled, cells[5:9], MISSING),
        ('predicted', predicted, cells[9:13], EXTRA),
    ):
        has_box = any(numbers)
        if has_box == (kind == without) or bool(name) != has_box:
            needed = 'neither class nor box' if kind == without else 'a class and a box'
            raise ValueError(f'line {line}: kind {kind} needs {needed} in the columns of the {whose} box')
        box = tuple(_number(text, line) for text in numbers) if has_box else None
        if box and min(box[2:]) <= 0:
            raise ValueError(f'line {line}: width and height of the {whose} box must be above 0')
        boxes.append(box)
    score = _number(cells[13], line)
    if not 0 <= score <= 1:
        raise ValueError(f'line {line}: score is {score:g}; allowed is 0 to 1')
    return LabelToCheck(image, part, kind, labelled, predicted, boxes[0], boxes[1], score)


def _number(text: str, line: int) -> float:
    number = float(text) if text else math.nan
    if not math.isfinite(number):
        raise ValueError(f'line {line}: {text!r} is not a number')
    return number
