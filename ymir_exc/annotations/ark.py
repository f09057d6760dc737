"""ark: a text file per image, an object per line (contract section c.5).

``class, xmin, ymin, xmax, ymax[, quality[, angle]]`` with an inclusive far corner: a box of one pixel has
xmin == xmax. An image without objects has a file of 0 bytes. Blank lines, CRLF, spaces or none after the commas and
decimals are fine.
"""

from __future__ import annotations

from ..reading import decode, split_lines
from .objects import (
    INVALID_LINE,
    UNKNOWN_CLASS,
    UNREADABLE_ANNOTATION,
    Fault,
    Numbers,
    Row,
    RowReader,
    Rows,
    read_bytes,
    to_number,
    to_optional_number,
)

_FIELDS = ('class index', 'xmin', 'ymin', 'xmax', 'ymax', 'quality', 'angle')


class ArkReader(RowReader):
    """Reads ark files.

    Args:
        class_names: in the order of the class index.
    """

    def __init__(self, class_names: list[str]) -> None:
        super().__init__(class_names)
        self._indexes = {float(index): index for index in range(len(class_names))}
        self._numbers = Numbers()

    def rows(self, annotation: str, image: str) -> Rows:
        """See :class:`~ymir_exc.annotations.AnnotationReader`."""
        data = read_bytes(annotation)
        if data is None or isinstance(data, Fault):
            return Rows(None, () if data is None else (data,))
        rows: list[Row] = []
        indexes, numbers = self._indexes, self._numbers.__getitem__
        try:
            for number, line in enumerate(data.split(b'\n'), 1):
                if line:
                    index, xmin, ymin, xmax, ymax, quality, angle = map(numbers, line.split(b','))
                    rows.append((indexes[index], xmin, ymin, xmax + 1, ymax + 1, number, quality, angle, None))
        except (ValueError, KeyError):  # fewer numbers, a text, a class that is not known: line by line, with words
            return self._rows_and_faults(data)
        return Rows(rows)

    def _rows_and_faults(self, data: bytes) -> Rows:
        try:
            lines = split_lines(decode(data, 'replace'))
        except UnicodeError as error:
            return Rows(None, (Fault(UNREADABLE_ANNOTATION, '', str(error)),))
        rows: list[Row] = []
        faults: list[Fault] = []
        for number, line in enumerate(lines, 1):
            if line.strip():
                row = self._row(line, number, faults)
                rows += [] if row is None else [row]
        return Rows(rows, faults)

    def _row(self, text: str, line: int, faults: list[Fault]) -> Row | None:
        values = [value.strip() for value in text.split(',')]
        if not 5 <= len(values) <= 7:
            allowed = f'5 to 7 are allowed: {", ".join(_FIELDS)}'
            faults.append(Fault(INVALID_LINE, str(line), f'{text.strip()!r:.200} has {len(values)} values; {allowed}'))
            return None
        try:
            index, xmin, ymin, xmax, ymax = (to_number(value, field) for value, field in zip(values[:5], _FIELDS))
        except ValueError as error:
            faults.append(Fault(INVALID_LINE, str(line), str(error)))
            return None
        if index not in self._indexes:
            allowed = f'0 to {len(self._class_names) - 1} ({", ".join(self._class_names):.400})'
            faults.append(
                Fault(UNKNOWN_CLASS, str(line), f'class index {values[0]:.40} is out of range; allowed: {allowed}')
            )
            return None
        quality, angle = (
            to_optional_number(value, field, str(line), faults)
            for value, field in zip((values[5:] + [None, None])[:2], _FIELDS[5:])
        )
        return self._indexes[index], xmin, ymin, xmax + 1, ymax + 1, line, quality, angle, None
