"""Tables of a validation as text: one line per class, and every count of the confusion matrix."""

import csv
import io
import math
from collections.abc import Iterable, Sequence

from tmi.evaluation.accuracy import Accuracy

CLASS_COLUMNS = (
    *('class', 'training_objects', 'validation_objects', 'ap', 'ap50', 'ar'),
    *('score_threshold', 'precision', 'recall', 'f1', 'tp', 'fp', 'fn'),
)
FORMULA_STARTS = tuple('=+-@\t\r')
ALL_CLASSES, BACKGROUND = '(all)', '(background)'


def class_rows(accuracy: Accuracy, training_objects: Sequence[int]) -> list[list[str | int | float | None]]:
    """Return the cells of `CLASS_COLUMNS` for each class, None for a number that nothing defines.

    Args:
        accuracy: Of the validation.
        training_objects: How many of each class were trained on.
    """
    return [
        [one.name, int(count), one.objects, *cells((one.ap, one.ap50, one.ar, *one.best))]
        for one, count in zip(accuracy.classes, training_objects)
    ]


def mean_of(values: Iterable[float]) -> float | None:
    """Return the mean of the numbers that are defined; None without any."""
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else None


def class_table(accuracy: Accuracy, training_objects: Sequence[int]) -> str:
    """Return a table with a line per class, and one of all: means of the averages, and the best threshold for all.

    Args:
        accuracy: Of the validation.
        training_objects: How many of each class were trained on.
    """
    means = [mean_of(getattr(one, name) for one in accuracy.classes) for name in ('ap', 'ap50', 'ar')]
    counts = [sum(map(int, training_objects)), accuracy.num_objects]
    total = [ALL_CLASSES, *counts, *means, *cells(accuracy.best)]
    return _text([CLASS_COLUMNS, *class_rows(accuracy, training_objects), total])


def confusion_table(accuracy: Accuracy) -> str:
    """Return the pairs of classes that were counted at all: what an object is, what it is taken for, how often.

    Args:
        accuracy: Of the validation.
    """
    names = [*accuracy.names, BACKGROUND]
    rows, columns = accuracy.confusion.nonzero()
    cells = zip(rows.tolist(), columns.tolist(), accuracy.confusion[rows, columns].tolist())
    return _text(
        [('object', 'prediction', 'count'), *((names[row], names[column], count) for row, column, count in cells)]
    )


def cells(values: Iterable[float]) -> list[float | int | None]:
    """Return numbers, None in place of NaN."""
    return [None if math.isnan(value) else value for value in values]


def _text(rows: Iterable[Sequence[object]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator='\n').writerows([[_cell(value) for value in row] for row in rows])
    return stream.getvalue()


def _cell(value: object) -> object:
    """Return what stands in the table; an apostrophe keeps spreadsheet programs from running a name as a formula."""
    if isinstance(value, str):
        return f"'{value}" if value.lstrip("'").startswith(FORMULA_STARTS) else value
    return '' if value is None else f'{value:.6g}' if isinstance(value, float) else value
