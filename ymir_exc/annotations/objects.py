"""What every annotation reader gives: objects with a box whose far corner lies outside it."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from ..errors import DatasetError
from ..reading import open_regular


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
    """Reads the annotation of one image; safe to call from several threads."""

    def read(self, annotation: str, image: str) -> list[LabelledObject] | None:
        """Read the objects of an image.

        Args:
            annotation: the path in the index file, '' if the line has none.
            image: the path of the image.

        Returns:
            Its objects; None if the image has no annotation, which is not the same as one without objects.

        Raises:
            DatasetError: naming file, line, value and what is allowed.
        """
        ...


def read_bytes(path: str) -> bytes | None:
    """Read an annotation file; None if there is none.

    Raises:
        DatasetError: it is there and cannot be read.
    """
    if not path:
        return None
    try:
        with open_regular(path) as stream:
            return stream.read()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:  # a path with a NUL
        raise DatasetError(f'the annotation {path} cannot be read: {error}') from error


def to_number(value: Any, place: str, field: str) -> float:
    """Read a finite number; whole ones as int, so that they are written without a decimal point.

    Raises:
        DatasetError: it is none.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = float(value)
        return int(number) if number.is_integer() else _finite(number)
    except (TypeError, ValueError, OverflowError):
        raise DatasetError(f'{place}: {field} is {value!r:.40}; it must be a number') from None


def _finite(number: float) -> float:
    if number - number != 0:
        raise ValueError
    return number
