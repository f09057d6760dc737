"""coco: one JSON file for all images (contract section c.7).

It has the images of every split under their bare file names and only the classes that occur, in any order; so images
are joined by file name and classes by name.
"""

from __future__ import annotations

import json
import os
import threading
from typing import Any

from ..errors import DatasetError
from .objects import LabelledObject, read_bytes, to_number

_MAX_AREA = 10**12  # in pixels, and of any number; larger ones would overflow


class CocoReader:
    """Reads a coco JSON file, once.

    Args:
        class_names: in the order of the class index; names are compared without case and outer blanks, as the
            platform does.
    """

    def __init__(self, class_names: list[str]) -> None:
        self._class_names = class_names
        self._class_ids = {name.strip().lower(): index for index, name in enumerate(class_names)}
        self._files: dict[str, dict[str, list[LabelledObject]] | None] = {}
        self._lock = threading.Lock()

    def read(self, annotation: str, image: str) -> list[LabelledObject] | None:
        """See :class:`~ymir_exc.annotations.AnnotationReader`."""
        with self._lock:
            if annotation not in self._files:
                self._files[annotation] = self._read_file(annotation)
        objects = self._files[annotation]
        return None if objects is None else objects.get(os.path.basename(image))

    def _read_file(self, path: str) -> dict[str, list[LabelledObject]] | None:
        data = read_bytes(path)
        if data is None:
            return None
        try:
            content = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise DatasetError(
                f'{path} is not a coco file, as it cannot be read as JSON: {type(error).__name__} {error}'
            ) from error
        names = {key: os.path.basename(name) for key, name in _by_id(content, 'images', 'file_name', path).items()}
        categories = _by_id(content, 'categories', 'name', path)
        objects: dict[str, list[LabelledObject]] = {name: [] for name in names.values()}
        if len(objects) < len(names):
            raise DatasetError(f'{path}: two images have the same file name')
        for index, entry in enumerate(_entries(content, 'annotations', path)):
            place = f'{path}: annotation {entry.get("id", index)!r:.40}'
            image_id = entry.get('image_id')
            if not _is_id(image_id) or image_id not in names:
                raise DatasetError(f'{place}: image_id {image_id!r:.40} is not among the images')
            objects[names[image_id]].append(self._read_object(entry, place, categories))
        return objects

    def _read_object(self, entry: dict[str, Any], place: str, categories: dict[Any, str]) -> LabelledObject:
        category_id = entry.get('category_id')
        name = categories.get(category_id, '') if _is_id(category_id) else ''
        class_id = self._class_ids.get(name.strip().lower())
        if class_id is None:
            raise DatasetError(
                f'{place}: category_id {category_id!r:.40} ({name or "not in categories":.80}) is '
                f'unknown; allowed: {", ".join(self._class_names)}'
            )
        bbox = entry.get('bbox')
        if not isinstance(bbox, list) or len(bbox) != 4:
            raise DatasetError(f'{place}: bbox is {bbox!r:.40}; it must be [x, y, w, h]')
        x, y, w, h = (to_number(value, place, 'bbox') for value in bbox)
        area = entry.get('area')
        area = None if area is None else to_number(area, place, 'area')
        if area is not None and not 0 <= area <= _MAX_AREA:
            raise DatasetError(f'{place}: area is {area!r:.40}; it must be a number of pixels')
        segmentation = entry.get('segmentation') or None
        if not _is_segmentation(segmentation):
            raise DatasetError(
                f'{place}: segmentation is {segmentation!r:.40}; it must be a list of polygons '
                '[x, y, x, y, ...], or a mapping with size and counts'
            )
        return LabelledObject(
            class_id,
            x,
            y,
            x + w,
            y + h,
            place,
            iscrowd=int(bool(entry.get('iscrowd'))),
            segmentation=segmentation,
            area=area,
        )


def _entries(content: Any, key: str, path: str) -> list[dict[str, Any]]:
    """Return one of the lists of a coco file, whose entries are mappings."""
    entries = content.get(key) if isinstance(content, dict) else None
    if not isinstance(entries, list):
        found = 'is missing' if entries is None else f'is a {type(entries).__name__}'
        raise DatasetError(
            f'{path} is not a coco file with images, categories and annotations: {key} {found}; a list is needed'
        )
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise DatasetError(f'{path}: {key}[{index}] is {entry!r:.40}; a mapping is needed')
    return entries


def _by_id(content: Any, key: str, value_key: str, path: str) -> dict[Any, str]:
    """Return the ids to names of images or categories."""
    found: dict[Any, str] = {}
    for index, entry in enumerate(_entries(content, key, path)):
        place = f'{path}: {key}[{index}]'
        name, entry_id = entry.get(value_key), entry.get('id')
        if isinstance(name, int) and not isinstance(name, bool):
            name = str(name)
        if not isinstance(name, str) or not name.strip():
            raise DatasetError(f'{place}: {value_key} is {name!r:.40}; a name is needed')
        if not _is_id(entry_id):
            raise DatasetError(f'{place}: id is {entry_id!r:.40}; a number or a text is needed')
        if entry_id in found:
            raise DatasetError(f'{place}: the id {entry_id!r:.40} is that of another one, {found[entry_id]}')
        found[entry_id] = name
    return found


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
