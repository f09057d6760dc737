"""coco: one JSON file for all images (contract section c.7).

It has the images of every split under their bare file names and only the classes that occur, in any order; so images
are joined by file name and classes by name.
"""
import json
import os
import threading
from typing import Any, Dict, List, Optional

from ..errors import DatasetError
from .objects import LabelledObject, read_bytes, to_number


class CocoReader:
    """Reads a coco JSON file, once.

    Args:
        class_names: in the order of the class index; names are compared without case and outer blanks, as the
            platform does.
    """

    def __init__(self, class_names: List[str]) -> None:
        self._class_names = class_names
        self._class_ids = {name.strip().lower(): index for index, name in enumerate(class_names)}
        self._files: Dict[str, Optional[Dict[str, List[LabelledObject]]]] = {}
        self._lock = threading.Lock()

    def read(self, annotation: str, image: str) -> Optional[List[LabelledObject]]:
        """See :class:`~ymir_exc.annotations.AnnotationReader`."""
        with self._lock:
            if annotation not in self._files:
                self._files[annotation] = self._read_file(annotation)
        objects = self._files[annotation]
        return None if objects is None else objects.get(os.path.basename(image))

    def _read_file(self, path: str) -> Optional[Dict[str, List[LabelledObject]]]:
        data = read_bytes(path)
        if data is None:
            return None
        try:
            content = json.loads(data)
            names = {entry['id']: os.path.basename(entry['file_name']) for entry in content['images']}
            categories = {entry['id']: str(entry['name']) for entry in content['categories']}
            entries = content['annotations']
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(f'{path} is not a coco file with images, categories and annotations: '
                               f'{type(error).__name__} {error}') from error
        objects: Dict[str, List[LabelledObject]] = {name: [] for name in names.values()}
        if len(objects) < len(names):
            raise DatasetError(f'{path}: two images have the same file name')
        for index, entry in enumerate(entries):
            place = f'{path}: annotation {entry.get("id", index)}'
            if entry.get('image_id') not in names:
                raise DatasetError(f'{place}: image_id {entry.get("image_id")!r} is not among the images')
            objects[names[entry['image_id']]].append(self._read_object(entry, place, categories))
        return objects

    def _read_object(self, entry: Dict[str, Any], place: str, categories: Dict[Any, str]) -> LabelledObject:
        name = categories.get(entry.get('category_id'), '')
        class_id = self._class_ids.get(name.strip().lower())
        if class_id is None:
            raise DatasetError(f'{place}: category_id {entry.get("category_id")!r} ({name or "not in categories"}) is '
                               f'unknown; allowed: {", ".join(self._class_names)}')
        bbox = entry.get('bbox')
        if not isinstance(bbox, list) or len(bbox) != 4:
            raise DatasetError(f'{place}: bbox is {bbox!r}; it must be [x, y, w, h]')
        x, y, w, h = (to_number(value, place, 'bbox') for value in bbox)
        area = entry.get('area')
        return LabelledObject(class_id, x, y, x + w, y + h, place, iscrowd=int(bool(entry.get('iscrowd'))),
                              segmentation=entry.get('segmentation') or None,
                              area=None if area is None else to_number(area, place, 'area'))
