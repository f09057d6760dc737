"""voc: an XML file per image (contract section c.6); the far corner of a box is inclusive.

An object whose ``bndbox`` the platform has left out, because its box is empty, gives a box without area here, so that
it is reported like one.

A file of the plain form in which the platform and most tools write it is read by patterns, which takes a third of the
time that a tree of its elements does; anything else in it, be it a comment, and the tree is made.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from .objects import (
    INVALID_LINE,
    NONE,
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
from .xml_text import parse_xml

_CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')
_TEXT = '([^<&]*)'
_BOX = f'<name>{_TEXT}</name>.*?<bndbox>' + ''.join(rf'\s*<{name}>{_TEXT}</{name}>' for name in _CORNERS)
_PLAIN_OBJECT = re.compile(_BOX.encode(), re.DOTALL)
_WHOLE_OBJECT = re.compile(
    rf'{_BOX}\s*<rotate_angle>{_TEXT}</rotate_angle>.*?<box_quality>{_TEXT}</box_quality>'.encode(), re.DOTALL
)
_SIZE = re.compile(rf'<size>\s*<width>{_TEXT}</width>\s*<height>{_TEXT}</height>'.encode())


class VocReader(RowReader):
    """Reads VOC XML files.

    Args:
        class_names: in the order of the class index; names are compared without case and outer blanks, as the
            platform does.
    """

    unit = 'object'

    def __init__(self, class_names: list[str]) -> None:
        super().__init__(class_names)
        self._known = {name.encode(): index for name, index in self._class_ids.items() if name.isascii()}
        self._numbers = Numbers()

    def rows(self, annotation: str, image: str) -> Rows:
        """See :class:`~ymir_exc.annotations.AnnotationReader`."""
        data = read_bytes(annotation)
        if data is None or isinstance(data, Fault):
            return Rows(None, () if data is None else (data,))
        found = self._plain_rows(data)
        if found is not None:
            return found
        try:
            root = parse_xml(data)
        except ValueError as error:
            return Rows(None, (Fault(UNREADABLE_ANNOTATION, '', f'is not a VOC XML file: {error}'),))
        rows: list[Row] = []
        faults: list[Fault] = []
        for number, element in enumerate(root.iter('object'), 1):
            row = self._row(element, number, faults)
            rows += [] if row is None else [row]
        return Rows(rows, faults, _size(root.findtext('size/width'), root.findtext('size/height')))

    def _plain_rows(self, data: bytes) -> Rows | None:
        """Read a file of the plain form in which nothing is wrong; None for any other."""
        if not data.isascii() or b'&' in data or b'<!' in data or not data.startswith((b'<annotation', b'<?xml')):
            return None
        if not data[-40:].rstrip().endswith(b'</annotation>'):
            return None
        is_whole = b'<box_quality>' in data or b'<rotate_angle>' in data
        objects = (_WHOLE_OBJECT if is_whole else _PLAIN_OBJECT).findall(data)
        # Then each match has one name, so it is within one object.
        if not len(objects) == data.count(b'<object') == data.count(b'<name>'):
            return None
        rows: list[Row] = []
        known, numbers = self._known, self._numbers.__getitem__
        quality = angle = NONE
        try:
            for number, (name, *texts) in enumerate(objects, 1):
                if is_whole:
                    xmin, ymin, xmax, ymax, angle, quality = map(numbers, texts)
                else:
                    xmin, ymin, xmax, ymax = map(numbers, texts)
                index = known.get(name)
                index = known[name.strip().lower()] if index is None else index
                rows.append((index, xmin, ymin, xmax + 1, ymax + 1, number, quality, angle, None))
        except (ValueError, KeyError):
            return None
        size = _SIZE.search(data)
        return Rows(rows, (), _size(*size.groups()) if size else None)

    def _row(self, element: ElementTree.Element, number: int, faults: list[Fault]) -> Row | None:
        line = f'{self.unit} {number}'
        name = (element.findtext('name') or '').strip()
        class_id = self._class_ids.get(name.lower())
        if class_id is None:
            allowed = ', '.join(self._class_names)
            faults.append(Fault(UNKNOWN_CLASS, line, f'class {name!r:.100} is unknown; allowed: {allowed:.400}'))
            return None
        quality, angle = (
            to_optional_number(element.findtext(path), field, line, faults)
            for path, field in (('box_quality', 'box_quality'), ('bndbox/rotate_angle', 'rotate_angle'))
        )
        if element.find('bndbox') is None:
            return class_id, 0.0, 0.0, 0.0, 0.0, number, quality, angle, None
        try:
            xmin, ymin, xmax, ymax = (to_number(element.findtext(f'bndbox/{field}'), field) for field in _CORNERS)
        except ValueError as error:
            faults.append(Fault(INVALID_LINE, line, str(error)))
            return None
        return class_id, xmin, ymin, xmax + 1, ymax + 1, number, quality, angle, None


def _size(width: str | bytes | None, height: str | bytes | None) -> tuple[float, float] | None:
    """Return the size that a file names; None if it names none."""
    try:
        return float(width or ''), float(height or '')
    except ValueError:
        return None
