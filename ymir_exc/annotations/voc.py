"""voc: an XML file per image (contract section c.6); the far corner of a box is inclusive.

An object whose ``bndbox`` the platform has left out, because its box is empty, gives an inverted box here, so that it
is reported like one.
"""

from __future__ import annotations

from xml.etree import ElementTree

from ..errors import DatasetError
from .objects import LabelledObject, read_bytes, to_number
from .xml_text import parse_xml


class VocReader:
    """Reads VOC XML files.

    Args:
        class_names: in the order of the class index; names are compared without case and outer blanks, as the
            platform does.
    """

    def __init__(self, class_names: list[str]) -> None:
        self._class_names = class_names
        self._class_ids = {name.strip().lower(): index for index, name in enumerate(class_names)}

    def read(self, annotation: str, image: str) -> list[LabelledObject] | None:
        """See :class:`~ymir_exc.annotations.AnnotationReader`."""
        data = read_bytes(annotation)
        if data is None:
            return None
        try:
            root = parse_xml(data)
        except ValueError as error:
            raise DatasetError(f'{annotation} is not a VOC XML file: {error}') from error
        return [
            self._read_object(element, f'{annotation}: object {number}')
            for number, element in enumerate(root.iter('object'), 1)
        ]

    def _read_object(self, element: ElementTree.Element, place: str) -> LabelledObject:
        name = (element.findtext('name') or '').strip()
        class_id = self._class_ids.get(name.lower())
        if class_id is None:
            raise DatasetError(f'{place}: class {name!r} is unknown; allowed: {", ".join(self._class_names)}')
        quality, angle = (
            None if text is None else to_number(text, place, field)
            for field, text in (
                ('box_quality', element.findtext('box_quality')),
                ('rotate_angle', element.findtext('bndbox/rotate_angle')),
            )
        )
        if element.find('bndbox') is None:
            return LabelledObject(class_id, 0, 0, 0, 0, place, quality, angle)
        xmin, ymin, xmax, ymax = (
            to_number(element.findtext(f'bndbox/{field}'), place, field) for field in ('xmin', 'ymin', 'xmax', 'ymax')
        )
        return LabelledObject(class_id, xmin, ymin, xmax + 1, ymax + 1, place, quality, angle)
