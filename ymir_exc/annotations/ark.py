"""ark: a text file per image, an object per line (contract section c.5).

``class, xmin, ymin, xmax, ymax[, quality[, angle]]`` with an inclusive far corner: a box of one pixel has
xmin == xmax. An image without objects has a file of 0 bytes. Blank lines, CRLF, spaces or none after the commas and
decimals are fine.
"""

from __future__ import annotations

from ..errors import DatasetError
from ..reading import decode
from .objects import LabelledObject, read_bytes, to_number

_FIELDS = ('class index', 'xmin', 'ymin', 'xmax', 'ymax', 'quality', 'angle')


def parse_ark_line(line: str, place: str, class_names: list[str]) -> LabelledObject:
    """Parse one line of an ark file.

    Args:
        line: the line, not blank.
        place: file and line number, for messages.
        class_names: in the order of the class index.

    Returns:
        The object, with exclusive far corner.

    Raises:
        DatasetError: not 5 to 7 numbers, or a class index out of range.
    """
    values = line.split(',')
    if not 5 <= len(values) <= 7:
        raise DatasetError(
            f'{place}: {line.strip()!r} has {len(values)} values; 5 to 7 are allowed: {", ".join(_FIELDS)}'
        )
    class_id, xmin, ymin, xmax, ymax, *rest = (
        to_number(value.strip(), place, field) for value, field in zip(values, _FIELDS)
    )
    if class_id not in range(len(class_names)):
        raise DatasetError(
            f'{place}: class index {values[0].strip()} is out of range; allowed: 0 to '
            f'{len(class_names) - 1} ({", ".join(class_names)})'
        )
    quality, angle = (rest + [None, None])[:2]
    return LabelledObject(class_id, xmin, ymin, xmax + 1, ymax + 1, place, quality, angle)


class ArkReader:
    """Reads ark files.

    Args:
        class_names: in the order of the class index.
    """

    def __init__(self, class_names: list[str]) -> None:
        self._class_names = class_names

    def read(self, annotation: str, image: str) -> list[LabelledObject] | None:
        """See :class:`~ymir_exc.annotations.AnnotationReader`."""
        data = read_bytes(annotation)
        if data is None:
            return None
        try:
            lines = decode(data, 'replace').split('\n')
        except UnicodeError as error:
            raise DatasetError(f'the annotation {annotation} {error}') from error
        return [
            parse_ark_line(line, f'{annotation}:{number}', self._class_names)
            for number, line in enumerate(lines, 1)
            if line.strip()
        ]
