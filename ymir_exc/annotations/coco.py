"""coco: one JSON file for all images (contract section c.7).

It has the images of every split under their bare file names and only the classes that occur, in any order; so images
are joined by file name and classes by name.
"""

from __future__ import annotations

import json
import os
import threading
from typing import Any, NamedTuple, Sequence

from ..errors import DatasetError
from .objects import (
    INVALID_LINE,
    INVALID_VALUE,
    NONE,
    UNKNOWN_CLASS,
    UNREADABLE_ANNOTATION,
    Fault,
    LabelledObject,
    Row,
    RowReader,
    Rows,
    read_bytes,
    to_number,
    to_optional_number,
    whole,
)

_MAX_AREA = 10**12  # in pixels, and of any number; larger ones would overflow


class _Image(NamedTuple):
    """What a file holds of one image; see :class:`.objects.Rows`."""

    rows: list[Row]
    faults: list[Fault]
    size: tuple[float, float] | None


class _File(NamedTuple):
    """What a file holds.

    Args:
        images: by file name.
        loose: what is wrong with annotations of no image.
        missing: there is no such file.
        fault: what is wrong with the file as a whole.
    """

    images: dict[str, _Image]
    loose: list[Fault]
    missing: bool = False
    fault: Fault | None = None


class CocoReader(RowReader):
    """Reads a coco JSON file, once.

    Args:
        class_names: in the order of the class index; names are compared without case and outer blanks, as the
            platform does.
    """

    def __init__(self, class_names: list[str]) -> None:
        super().__init__(class_names)
        self._files: dict[str, _File] = {}
        self._lock = threading.Lock()

    def prepare(self, annotations: Sequence[str]) -> list[tuple[str, Fault]]:
        """See :class:`~ymir_exc.annotations.AnnotationReader`."""
        loose = []
        for path in dict.fromkeys(annotations):
            if path not in self._files:
                loose += [(path, fault) for fault in self._file(path).loose]
        return loose

    def rows(self, annotation: str, image: str) -> Rows:
        """See :class:`~ymir_exc.annotations.AnnotationReader`."""
        file = self._file(annotation)
        if file.fault is not None:
            return Rows(None, (file.fault,))
        found = file.images.get(os.path.basename(image))
        return Rows(None) if found is None else Rows(*found)

    def read(self, annotation: str, image: str) -> list[LabelledObject] | None:
        """See :class:`~ymir_exc.annotations.AnnotationReader`."""
        for fault in self._file(annotation).loose:
            raise DatasetError(f'{annotation}: {fault.line}: {fault.detail}')
        return super().read(annotation, image)

    def _file(self, path: str) -> _File:
        with self._lock:
            if path not in self._files:
                try:
                    self._files[path] = self._read_file(path)
                except ValueError as error:
                    self._files[path] = _File({}, [], fault=Fault(UNREADABLE_ANNOTATION, '', str(error)))
            return self._files[path]

    def _read_file(self, path: str) -> _File:
        data = read_bytes(path)
        if data is None:
            return _File({}, [], missing=True)
        if isinstance(data, Fault):
            return _File({}, [], fault=data)
        try:
            content = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f'is not a coco file, as it cannot be read as JSON: {type(error).__name__} {error}'
            ) from error
        del data
        names = {key: os.path.basename(name) for key, name in _by_id(content, 'images', 'file_name').items()}
        categories = _by_id(content, 'categories', 'name')
        images: dict[str, _Image] = {}
        for entry in content['images']:
            images[names[entry['id']]] = _Image([], [], _size(entry))
        if len(images) < len(names):
            raise ValueError('names two images with the same file name')
        loose: list[Fault] = []
        for index, entry in enumerate(_entries(content, 'annotations')):
            line = f'annotation {entry.get("id", index)!r:.40}'
            image_id = entry.get('image_id')
            if not _is_id(image_id) or image_id not in names:
                loose.append(Fault(INVALID_LINE, line, f'image_id {image_id!r:.40} is not among the images'))
                continue
            found = images[names[image_id]]
            try:
                found.rows.append(self._row(entry, line, categories, found.faults))
            except _UnknownClass as error:
                found.faults.append(Fault(UNKNOWN_CLASS, line, str(error)))
            except ValueError as error:
                found.faults.append(Fault(INVALID_LINE, line, str(error)))
        return _File(images, loose)

    def _row(self, entry: dict[str, Any], line: str, categories: dict[Any, str], faults: list[Fault]) -> Row:
        category_id = entry.get('category_id')
        name = categories.get(category_id, '') if _is_id(category_id) else ''
        class_id = self._class_ids.get(name.strip().lower())
        if class_id is None:
            raise _UnknownClass(
                f'category_id {category_id!r:.40} ({name or "not in categories":.80}) is '
                f'unknown; allowed: {", ".join(self._class_names):.400}'
            )
        bbox = entry.get('bbox')
        if not isinstance(bbox, list) or len(bbox) != 4:
            raise ValueError(f'bbox is {bbox!r:.40}; it must be [x, y, w, h]')
        x, y, w, h = (to_number(value, 'bbox') for value in bbox)
        area = to_optional_number(entry.get('area'), 'area', line, faults)
        if area == area and not 0 <= area <= _MAX_AREA:
            faults.append(Fault(INVALID_VALUE, line, f'area is {area!r:.40}; it must be a number of pixels'))
            area = NONE
        area = None if area != area else whole(area)
        segmentation = entry.get('segmentation') or None
        if not _is_segmentation(segmentation):
            allowed = 'a list of polygons [x, y, x, y, ...], or a mapping with size and counts'
            faults.append(Fault(INVALID_VALUE, line, f'segmentation is {segmentation!r:.40}; it must be {allowed}'))
            segmentation = None
        crowd = int(bool(entry.get('iscrowd')))
        others = (crowd, segmentation, area) if crowd or segmentation or area is not None else None
        return class_id, x, y, x + w, y + h, line, NONE, NONE, others


class _UnknownClass(ValueError):
    """A category that is none of the classes."""


def _entries(content: Any, key: str) -> list[dict[str, Any]]:
    """Return one of the lists of a coco file, whose entries are mappings."""
    entries = content.get(key) if isinstance(content, dict) else None
    if not isinstance(entries, list):
        found = 'is missing' if entries is None else f'is a {type(entries).__name__}'
        raise ValueError(f'is not a coco file with images, categories and annotations: {key} {found}; a list is needed')
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise ValueError(f'is not a coco file: {key}[{index}] is {entry!r:.40}; a mapping is needed')
    return entries


def _by_id(content: Any, key: str, value_key: str) -> dict[Any, str]:
    """Return the ids to names of images or categories."""
    found: dict[Any, str] = {}
    for index, entry in enumerate(_entries(content, key)):
        place = f'cannot be used: {key}[{index}]'
        name, entry_id = entry.get(value_key), entry.get('id')
        if isinstance(name, int) and not isinstance(name, bool):
            name = str(name)
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f'{place}: {value_key} is {name!r:.40}; a name is needed')
        if not _is_id(entry_id):
            raise ValueError(f'{place}: id is {entry_id!r:.40}; a number or a text is needed')
        if entry_id in found:
            raise ValueError(f'{place}: the id {entry_id!r:.40} is that of another one, {found[entry_id]:.80}')
        found[entry_id] = name
    return found


def _size(entry: dict[str, Any]) -> tuple[float, float] | None:
    size = entry.get('width'), entry.get('height')
    return size if _are_numbers(list(size)) else None


def _is_id(value: Any) -> bool:
    return (
        isinstance(value, (int, str)) and not isinstance(value, bool) or isinstance(value, float) and value.is_integer()
    )


def _is_segmentation(value: Any) -> bool:
    """Return whether a value is None, polygons, or a run-length code."""
    if isinstance(value, dict):
        counts, size = value.get('counts'), value.get('size')
        return (isinstance(counts, str) or _are_numbers(counts)) and _are_numbers(size) and len(size) == 2
    return value is None or isinstance(value, list) and all(_are_numbers(polygon) for polygon in value)


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(number, (int, float)) and not isinstance(number, bool) and abs(number) <= _MAX_AREA
        for number in value
    )
