"""infer-result.json as the platform reads it: of detection (contract section d.3) and of segmentation (d.4)."""

from __future__ import annotations

import os
from typing import Any, Mapping, NamedTuple

from ..code import PlatformCode
from ..errors import ResultRejected
from ..scalars import is_integer, is_number
from .document import MISSING, Document, Fault, Report
from .text import PathLike

LIST_KEYS = ('boxes', 'annotations')
BOX_KEYS = ('x', 'y', 'w', 'h')
ANGLE = 'rotate_angle'
_MAX_FLOAT32 = 3.4e38
# Faults with which the platform stores an object all the same.
HARMLESS = ('box-complete',)


class DetectedObject(NamedTuple):
    """One object of a result.

    Attributes:
        class_name: lower-cased and stripped, as the platform compares it.
        score: what stands there; may be NaN.
        xywh: left, top, width and height in pixels.
    """

    class_name: str
    score: float
    xywh: tuple[int, int, int, int]


def parse_infer_result(document: Any, report: Report) -> dict[str, list[DetectedObject]]:
    """Take the objects out of the content of infer-result.json.

    Args:
        document: the content.
        report: called with each fault: detection, entry, list, list-key, object, class-name, score, box,
            box-integers, box-complete, box-keys, rotate-angle; for segmentation segmentation.

    Returns:
        The objects that the platform stores, by file name of the image.
    """
    if isinstance(document, dict) and 'detection' not in document and 'annotations' in document:
        return _segmentation(document, report)
    images = document.get('detection') if isinstance(document, dict) else None
    if not isinstance(images, dict):
        code = PlatformCode.RESULT_REJECTED
        report(Fault('detection', 'there is no mapping under detection', ('detection',), images, code))
        return {}
    found: dict[str, list[DetectedObject]] = {}
    for name, entry in images.items():
        key, items = _list_of(name, entry, report)
        objects = (_object(item, ('detection', name, key, index), report) for index, item in enumerate(items))
        found[os.path.basename(name)] = [one for one in objects if one is not None]
    return found


def read_infer_result(path: PathLike) -> dict[str, list[DetectedObject]]:
    """Read infer-result.json with the platform's rules.

    Args:
        path: of infer-result.json.

    Returns:
        The objects that the platform would store, by file name of the image.

    Raises:
        ResultRejected: the platform would reject it.
    """
    document = Document.read(path).as_json()
    if document.problem:
        words = document.reason if document.problem == MISSING else f'is not JSON: it {document.reason}'
        raise ResultRejected(f'{path} {words}', PlatformCode.INTERNAL_ERROR)

    def reject(fault: Fault) -> None:
        if fault.code:
            raise ResultRejected(f'{path}: {fault.message}', fault.code)

    return parse_infer_result(document.value, reject)


def as_whole_number(value: Any) -> int | None:
    """Read a value as protobuf reads that of an int32 field; None if it rejects it."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = value if isinstance(value, int) else float(value)
        return int(number) if number == int(number) and -(2**31) <= number < 2**31 else None
    except (ValueError, OverflowError):
        return None


def _list_of(name: str, entry: Any, report: Report) -> tuple[str, list[Any]]:
    """Give the key that the platform takes, and the objects under it."""
    if not isinstance(entry, dict):
        words = f'{name} is {_short(entry)}, a mapping is needed'
        report(Fault('entry', words, ('detection', name), entry, PlatformCode.INTERNAL_ERROR))
        return LIST_KEYS[0], []
    taken = next((key for key in LIST_KEYS if entry.get(key)), LIST_KEYS[0])
    for key in LIST_KEYS:
        if key in entry and not isinstance(entry[key], list):
            code = PlatformCode.INTERNAL_ERROR if key == taken and entry[key] else 0
            words = f'the objects of {name} are {_short(entry[key])}, a list is needed'
            report(Fault('list', words, ('detection', name, key), entry[key], code))
    if entry and not set(LIST_KEYS) & set(entry):
        words = f'{name} has neither {" nor ".join(LIST_KEYS)}'
        report(Fault('list-key', words, ('detection', name), sorted(entry)))
    items = entry.get(taken)
    return taken, items if isinstance(items, list) else []


def _object(item: Any, keys: tuple[Any, ...], report: Report) -> DetectedObject | None:
    """Read an object; None if the platform does not store it."""
    # The platform drops an object without a score before it looks at the rest of it.
    has_score = isinstance(item, dict) and item.get('score') is not None
    code = PlatformCode.INTERNAL_ERROR if has_score or not isinstance(item, dict) else 0
    good = True

    def wrong(kind: str, words: str, value: Any, *more: Any) -> None:
        nonlocal good
        good = good and kind in HARMLESS
        report(
            Fault(kind, f'{keys[1]}, object {keys[3]}: {words}', (*keys, *more), value, 0 if kind in HARMLESS else code)
        )

    if not isinstance(item, dict):
        wrong('object', f'it is {_short(item)}, a mapping is needed', item)
        return None
    name, score, box = (item.get(key) for key in ('class_name', 'score', 'box'))
    if not isinstance(name, str) or not name.strip():
        wrong('class-name', f'class_name is {_short(name)}', name, 'class_name')
    try:
        score = float(score)
    except (TypeError, ValueError, OverflowError):
        wrong('score', f'score is {_short(score)}, a number is needed', score, 'score')
    if not isinstance(box, dict):
        wrong('box', f'box is {_short(box)}, a mapping of x, y, w, h is needed', box, 'box')
        return None
    missing = [side for side in BOX_KEYS if side not in box]
    if missing:
        wrong('box-complete', f'box has no {", ".join(missing)}', ', '.join(missing), 'box')
    for key, value in box.items():
        if key in BOX_KEYS:
            if as_whole_number(value) is None:
                wrong('box-integers', f'{key} is {_short(value)}; whole numbers are needed', value, 'box', key)
        elif key != ANGLE:
            wrong('box-keys', f'box has the key {_short(key)}, which the platform does not know', key, 'box', key)
        elif isinstance(value, bool) or not is_number(value, -_MAX_FLOAT32, _MAX_FLOAT32):
            wrong('rotate-angle', f'{key} is {_short(value)}, a finite number is needed', value, 'box', key)
    if not good:
        return None
    return DetectedObject(name.strip().lower(), score, tuple(as_whole_number(box.get(side, 0)) for side in BOX_KEYS))


def _segmentation(document: Mapping[str, Any], report: Report) -> dict[str, list[DetectedObject]]:
    """Read the coco form of object types 3 and 4."""
    try:
        names = {image['id']: image['file_name'] for image in document['images']}
        classes = {category['id']: str(category['name']) for category in document['categories']}
        found: dict[str, list[DetectedObject]] = {name: [] for name in names.values()}
        for item in document['annotations']:
            box, score = item.get('bbox'), float(item.get('confidence', -1.0))
            if item['image_id'] in names and item['category_id'] in classes and _is_box(box):
                name = classes[item['category_id']].strip().lower()
                found[names[item['image_id']]].append(DetectedObject(name, score, tuple(map(int, box))))
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        words = f'{type(error).__name__}: {error}'
        report(Fault('segmentation', words, (), None, PlatformCode.INTERNAL_ERROR))
        return {}
    return found


def _is_box(box: Any) -> bool:
    """Return whether the platform stores an object of this bbox; it drops others."""
    return isinstance(box, list) and len(box) == 4 and all(map(is_integer, box)) and min(map(int, box[2:])) >= 1


def _short(value: Any) -> str:
    return f'{value!r:.200}'
