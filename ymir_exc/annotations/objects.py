"""What every annotation reader gives: objects with a box whose far corner lies outside it."""

from __future__ import annotations

import os
import stat
from typing import Any, Dict, NamedTuple, Protocol, Sequence, Tuple

from ..errors import DatasetError
from ..reading.text import reason_of

# What is wrong with an annotation, or a line of it; ymir_exc.dataset_convert.report says what is done about each.
UNREADABLE_ANNOTATION = 'unreadable annotation'
INVALID_LINE = 'invalid annotation line'
UNKNOWN_CLASS = 'unknown class'
INVALID_VALUE = 'invalid optional value'  # without which an object is as good for detection
NONE = float('nan')  # for a number that is not given
MAX_NUMBERS = 20_000  # that are remembered

# An object: class, xmin, ymin, xmax, ymax, where it stands (`AnnotationReader.line_of` makes it a text), quality and
# angle (NONE if not given), and what coco alone has, (iscrowd, segmentation, area) or None. A plain tuple, for there
# are millions.
Row = Tuple[int, float, float, float, float, Any, float, float, Any]
_FLAGS = os.O_RDONLY | getattr(os, 'O_CLOEXEC', 0) | getattr(os, 'O_NONBLOCK', 0) | getattr(os, 'O_BINARY', 0)


class Fault(NamedTuple):
    """Something that is wrong with an annotation.

    Attributes:
        kind: one of the kinds above.
        line: where: a number, or 'object 3'; '' for the whole file, which then has no objects.
        detail: what is wrong and what is allowed; of a whole file, what follows its name in a sentence.
    """

    kind: str
    line: str
    detail: str


class Rows(NamedTuple):
    """What an annotation holds of one image.

    Attributes:
        rows: objects; None if there is no annotation, or it is wrong as a whole.
        faults: what is wrong, in the order of the file.
        size: width and height of the image as the annotation says; None if it does not.
    """

    rows: Sequence[Row] | None
    faults: Sequence[Fault] = ()
    size: tuple[float, float] | None = None


class LabelledObject(NamedTuple):
    """One annotated object.

    Attributes:
        class_id: its place in ``class_names``, from 0.
        xmin, ymin, xmax, ymax: in pixels; xmax and ymax are exclusive, so the width is xmax - xmin. Not clipped, and
            inverted if the annotation is.
        place: where it stands, for messages.
        quality, angle: as annotated; None if not given.
        iscrowd: 1 for a region of many objects.
        segmentation: of coco annotations; None if there is none.
        area: in square pixels, if the annotation says so.
    """

    class_id: int
    xmin: float
    ymin: float
    xmax: float
    ymax: float
    place: str
    quality: float | None = None
    angle: float | None = None
    iscrowd: int = 0
    segmentation: Any = None
    area: float | None = None


class AnnotationReader(Protocol):
    """Reads the annotation of one image; safe to call from several threads and forked processes."""

    def prepare(self, annotations: Sequence[str]) -> list[tuple[str, Fault]]:
        """Read what all images share, before processes are forked.

        Args:
            annotations: the paths in the index file.

        Returns:
            File and fault of what is wrong and belongs to no image, the first time that a file is read.
        """
        ...

    def rows(self, annotation: str, image: str) -> Rows:
        """Read the objects of an image, and everything that is wrong with its annotation.

        Args:
            annotation: the path in the index file, '' if the line has none.
            image: the path of the image.
        """
        ...

    def line_of(self, row: Row) -> str:
        """Return where an object stands in its file: a number of a line, or 'object 3'."""
        ...

    def read(self, annotation: str, image: str) -> list[LabelledObject] | None:
        """Read the objects of an image.

        Args:
            annotation: the path in the index file, '' if the line has none.
            image: the path of the image.

        Returns:
            Its objects; None if the image has no annotation, which is not the same as one without objects.

        Raises:
            DatasetError: naming file, line, value and what is allowed, for the first thing that is wrong.
        """
        ...


class RowReader:
    """What the readers of all formats share.

    Args:
        class_names: in the order of the class index; names are compared without case and outer blanks, as the
            platform does.
    """

    unit = ''  # what the number of an object counts; '' for lines

    def __init__(self, class_names: list[str]) -> None:
        self._class_names = class_names
        self._class_ids = {name.strip().lower(): index for index, name in enumerate(class_names)}

    def prepare(self, annotations: Sequence[str]) -> list[tuple[str, Fault]]:
        """See :class:`AnnotationReader`."""
        return []

    def rows(self, annotation: str, image: str) -> Rows:
        """See :class:`AnnotationReader`."""
        raise NotImplementedError

    def line_of(self, row: Row) -> str:
        """See :class:`AnnotationReader`."""
        return f'{self.unit} {row[5]}'.strip()

    def read(self, annotation: str, image: str) -> list[LabelledObject] | None:
        """See :class:`AnnotationReader`."""
        found = self.rows(annotation, image)
        if found.faults:
            fault = found.faults[0]
            place = place_of(annotation, fault.line)
            raise DatasetError(f'{place}: {fault.detail}' if fault.line else f'{place} {fault.detail}')
        return (
            None
            if found.rows is None
            else [labelled_object(row, place_of(annotation, self.line_of(row))) for row in found.rows]
        )


def place_of(path: str, line: str) -> str:
    """Return file and line as one text; the line is a number, 'object 3' or ''."""
    if not line:
        return path
    return f'{path}:{line}' if line.isdigit() else f'{path}: {line}'


def labelled_object(row: Row, place: str) -> LabelledObject:
    """Make an object of a row.

    Args:
        row: what a reader gave.
        place: where it stands, for messages.
    """
    class_id, xmin, ymin, xmax, ymax, _, quality, angle, others = row
    box = map(whole, (xmin, ymin, xmax, ymax))
    values = (None if value != value else whole(value) for value in (quality, angle))
    return LabelledObject(class_id, *box, place, *values, *(others or ()))


def whole(number: float) -> float:
    """Return a whole number as int, so that it is written without a decimal point."""
    return int(number) if number.is_integer() else number


def read_bytes(path: str) -> bytes | None | Fault:
    """Read an annotation file.

    Args:
        path: the file.

    Returns:
        Its content; None if there is none; a fault if it cannot be read.
    """
    if not path:
        return None
    try:
        descriptor = os.open(path, _FLAGS)  # without waiting for the writer of a pipe
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:  # a path with a NUL
        return Fault(UNREADABLE_ANNOTATION, '', f'cannot be read: {reason_of(error)}')
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return Fault(UNREADABLE_ANNOTATION, '', 'cannot be read: it is not a regular file')
        data = os.read(descriptor, status.st_size + 1)
        while len(data) != status.st_size:  # one read gives at most 2 GB, and a file may grow
            more = os.read(descriptor, 1 << 20)
            if not more:
                break
            data += more
        return data
    except OSError as error:
        return Fault(UNREADABLE_ANNOTATION, '', f'cannot be read: {reason_of(error)}')
    finally:
        os.close(descriptor)


def to_number(value: Any, field: str) -> float:
    """Read a finite number.

    Args:
        value: a number, or a text of one.
        field: its name, for the message.

    Raises:
        ValueError: it is none; the message says what is allowed.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = float(value)
        if number - number != 0:
            raise ValueError
        return number
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f'{field} is {value!r:.40}; it must be a number') from None


class Numbers(Dict[bytes, float]):
    """Finite numbers by their texts: the same few thousand stand in all files of a set, and to parse one takes longer.

    A text that is none raises ValueError.
    """

    def __missing__(self, text: bytes) -> float:
        number = float(text)
        if number - number != 0:
            raise ValueError(f'{text!r} is not finite')
        if len(self) < MAX_NUMBERS:
            self[text] = number
        return number


def to_optional_number(value: Any, field: str, line: str, faults: list[Fault]) -> float:
    """Read a number that nothing depends on: without it, or if it is none, NONE.

    Args:
        value: a number, a text, or None.
        field: its name.
        line: where it stands.
        faults: gets what is wrong.
    """
    if value is None:
        return NONE
    try:
        return to_number(value, field)
    except ValueError as error:
        faults.append(Fault(INVALID_VALUE, line, str(error)))
        return NONE
