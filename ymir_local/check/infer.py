"""Rules for infer-result.json of detection (contract section d.3)."""

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ..texts import t
from .facts import DETECTION, INFER, Run
from .finding import ERROR, OUT, WARNING, Hit, NotApplicable
from .reading import is_number, short

LIST_KEYS = ('boxes', 'annotations')
BOX_KEYS = ('x', 'y', 'w', 'h')
OPTIONAL_BOX_KEYS = ('rotate_angle',)


def is_segmentation(run: Run) -> bool:
    """Return whether the result is one of segmentation: the task says so, or there is no task and the file looks so."""
    if run.object_type != DETECTION:
        return True
    value = run.infer_result.value
    return (
        not run.config
        and isinstance(value, dict)
        and 'detection' not in value
        and bool({'images', 'annotations', 'categories'} & set(value))
    )


def images_of(run: Run) -> dict[str, Any]:
    run.need_task(INFER)
    value = run.infer_result.need().value
    if is_segmentation(run) or not isinstance(value, dict) or not isinstance(value.get('detection'), dict):
        raise NotApplicable
    return value['detection']


def _items(run: Run) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield the keys and value of every object of every image."""
    for image, entry in images_of(run).items():
        key, items = _list_of(entry)
        for index, item in enumerate(items):
            yield ('detection', image, key, index), item


def _list_of(entry: Any) -> tuple[str, list[Any]]:
    """Return the key that the platform takes, and the objects under it."""
    if isinstance(entry, dict):
        for key in LIST_KEYS:
            if isinstance(entry.get(key), list) and entry[key]:
                return key, entry[key]
    return LIST_KEYS[0], []


def _objects(run: Run) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    return ((keys, item) for keys, item in _items(run) if isinstance(item, dict))


def _boxes(run: Run) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    return (((*keys, 'box'), item['box']) for keys, item in _objects(run) if isinstance(item.get('box'), dict))


def _as_whole_number(value: Any) -> Any:
    """Return what protobuf makes of a value of an int32 field; None if it rejects it."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value) if not isinstance(value, int) else value
        return int(number) if number == int(number) and -(2**31) <= number < 2**31 else None
    except (ValueError, OverflowError):
        return None


@OUT.rule('infer/exists', 'd.3, a.6', ERROR)
def exists(run: Run) -> Iterator[Hit]:
    run.need_output(INFER, run.infer_result)
    if not run.infer_result.present:
        yield Hit('infer-result.json', run.infer_result.detail)


@OUT.rule('infer/readable', 'd.3, a.6', ERROR)
def readable(run: Run) -> Iterator[Hit]:
    run.need_task(INFER)
    if not run.infer_result.present:
        raise NotApplicable
    if run.infer_result.problem:
        yield Hit(run.infer_result.name, run.infer_result.detail)
    elif not isinstance(run.infer_result.value, dict):
        yield Hit(run.infer_result.name, short(run.infer_result.value))


@OUT.rule('infer/detection', 'd.3, a.6', ERROR)
def detection(run: Run) -> Iterator[Hit]:
    run.need_task(INFER)
    value = run.infer_result.need().value
    if is_segmentation(run) or not isinstance(value, dict):
        raise NotApplicable
    if not isinstance(value.get('detection'), dict):
        yield Hit(run.infer_result.place('detection'), short(value.get('detection')))


@OUT.rule('infer/repeated-images', 'd.3', ERROR)
def repeated_images(run: Run) -> Iterator[Hit]:
    images = images_of(run)
    names = Counter(os.path.basename(name) for name in images)
    twice = {key for key in run.infer_result.repeated if key in images}
    for name in [*(name for name, count in names.items() if count > 1), *sorted(twice)]:
        yield Hit(run.infer_result.place('detection', name), short(name))


@OUT.rule('infer/known-images', 'd.3', ERROR)
def known_images(run: Run) -> Iterator[Hit]:
    names = {os.path.basename(path) for path in run.candidates}
    for image in images_of(run):
        if os.path.basename(image) not in names:
            yield Hit(run.infer_result.place('detection', image), short(image))


@OUT.rule('infer/entry', 'd.3', ERROR)
def entry(run: Run) -> Iterator[Hit]:
    for image, value in images_of(run).items():
        if not isinstance(value, dict):
            yield Hit(run.infer_result.place('detection', image), short(value))


@OUT.rule('infer/list', 'd.3', ERROR)
def list_(run: Run) -> Iterator[Hit]:
    for image, value in images_of(run).items():
        for key in LIST_KEYS:
            if isinstance(value, dict) and key in value and not isinstance(value[key], list):
                yield Hit(run.infer_result.place('detection', image, key), short(value[key]))


@OUT.rule('infer/list-key', 'd.3', ERROR)
def list_key(run: Run) -> Iterator[Hit]:
    for image, value in images_of(run).items():
        if isinstance(value, dict) and value and not set(LIST_KEYS) & set(value):
            yield Hit(run.infer_result.place('detection', image), short(sorted(value)))


@OUT.rule('infer/object', 'd.3', ERROR)
def object_(run: Run) -> Iterator[Hit]:
    for keys, item in _items(run):
        if not isinstance(item, dict):
            yield Hit(run.infer_result.place(*keys), short(item))


@OUT.rule('infer/class-name', 'd.3', ERROR)
def class_name(run: Run) -> Iterator[Hit]:
    for keys, item in _objects(run):
        name = item.get('class_name')
        if not isinstance(name, str) or not name.strip():
            yield Hit(run.infer_result.place(*keys, 'class_name'), short(name))


@OUT.rule('infer/known-class', 'd.3', ERROR)
def known_class(run: Run) -> Iterator[Hit]:
    known = set(run.class_names)
    for keys, item in _objects(run):
        name = item.get('class_name')
        if isinstance(name, str) and name.strip() and name.strip().lower() not in known:
            yield Hit(run.infer_result.place(*keys, 'class_name'), short(name))


@OUT.rule('infer/score', 'd.3', ERROR)
def score(run: Run) -> Iterator[Hit]:
    for keys, item in _objects(run):
        value = item.get('score')
        if not is_number(value) and not _is_nan(value):
            yield Hit(run.infer_result.place(*keys, 'score'), short(value))


@OUT.rule('infer/score-range', 'd.3', ERROR)
def score_range(run: Run) -> Iterator[Hit]:
    for keys, item in _objects(run):
        value = item.get('score')
        if _is_nan(value) or (is_number(value) and float(value) != -1 and not is_number(value, 0, 1)):
            yield Hit(run.infer_result.place(*keys, 'score'), short(value))


def _is_nan(value: Any) -> bool:
    try:
        return float(value) != float(value)
    except (TypeError, ValueError, OverflowError):
        return False


@OUT.rule('infer/box', 'd.3', ERROR)
def box(run: Run) -> Iterator[Hit]:
    for keys, item in _objects(run):
        if not isinstance(item.get('box'), dict):
            yield Hit(run.infer_result.place(*keys, 'box'), short(item.get('box')))


@OUT.rule('infer/box-integers', 'd.3', ERROR)
def box_integers(run: Run) -> Iterator[Hit]:
    for keys, value in _boxes(run):
        for side in BOX_KEYS:
            if side in value and _as_whole_number(value[side]) is None:
                yield Hit(run.infer_result.place(*keys, side), short(value[side]))


@OUT.rule('infer/box-complete', 'd.3', ERROR)
def box_complete(run: Run) -> Iterator[Hit]:
    for keys, value in _boxes(run):
        missing = ', '.join(side for side in BOX_KEYS if side not in value)
        if missing:
            yield Hit(run.infer_result.place(*keys), t('check.missing', missing=missing))


@OUT.rule('infer/box-keys', 'd.3', ERROR)
def box_keys(run: Run) -> Iterator[Hit]:
    for keys, value in _boxes(run):
        for name in value:
            if name not in BOX_KEYS and name not in OPTIONAL_BOX_KEYS:
                yield Hit(run.infer_result.place(*keys, name), short(name))


@OUT.rule('infer/box-size', 'd.3', WARNING)
def box_size(run: Run) -> Iterator[Hit]:
    for keys, value in _boxes(run):
        for side in ('w', 'h'):
            number = _as_whole_number(value.get(side))
            if number is not None and number < 1:
                yield Hit(run.infer_result.place(*keys, side), short(value[side]))


@OUT.rule('infer/rotate-angle', 'd.3', ERROR)
def rotate_angle(run: Run) -> Iterator[Hit]:
    for keys, value in _boxes(run):
        if 'rotate_angle' in value and (
            isinstance(value['rotate_angle'], bool) or not is_number(value['rotate_angle'], -3.4e38, 3.4e38)
        ):
            yield Hit(run.infer_result.place(*keys, 'rotate_angle'), short(value['rotate_angle']))
