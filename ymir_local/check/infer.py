"""Rules for infer-result.json of detection (contract section d.3)."""

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ymir_exc.reading.infer_result import LIST_KEYS, as_whole_number
from ymir_exc.scalars import is_number

from ..texts import t
from .facts import DETECTION, INFER, Run
from .finding import ERROR, OUT, WARNING, Hit, NotApplicable
from .reading import short


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


def _objects(run: Run) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Yield keys and value of every object of every image that is a mapping."""
    for image, entry in images_of(run).items():
        for key in LIST_KEYS:  # the platform takes the first that is not empty
            if isinstance(entry, dict) and entry.get(key):
                for index, item in enumerate(entry[key] if isinstance(entry[key], list) else ()):
                    if isinstance(item, dict):
                        yield ('detection', image, key, index), item
                break


def _faults(run: Run, kind: str) -> Iterator[Hit]:
    """Yield a hit for each fault of a kind that the platform finds."""
    images_of(run)
    for fault in run.infer_faults.get(kind, ()):
        yield Hit(run.infer_result.place(*fault.keys), short(fault.value))


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
    yield from _faults(run, 'entry')


@OUT.rule('infer/list', 'd.3', ERROR)
def list_(run: Run) -> Iterator[Hit]:
    yield from _faults(run, 'list')


@OUT.rule('infer/list-key', 'd.3', ERROR)
def list_key(run: Run) -> Iterator[Hit]:
    yield from _faults(run, 'list-key')


@OUT.rule('infer/object', 'd.3', ERROR)
def object_(run: Run) -> Iterator[Hit]:
    yield from _faults(run, 'object')


@OUT.rule('infer/class-name', 'd.3', ERROR)
def class_name(run: Run) -> Iterator[Hit]:
    yield from _faults(run, 'class-name')


@OUT.rule('infer/known-class', 'd.3', ERROR)
def known_class(run: Run) -> Iterator[Hit]:
    known = set(run.class_names)
    for keys, item in _objects(run):
        name = item.get('class_name')
        if isinstance(name, str) and name.strip() and name.strip().lower() not in known:
            yield Hit(run.infer_result.place(*keys, 'class_name'), short(name))


@OUT.rule('infer/score', 'd.3', ERROR)
def score(run: Run) -> Iterator[Hit]:
    yield from _faults(run, 'score')


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
    yield from _faults(run, 'box')


@OUT.rule('infer/box-integers', 'd.3', ERROR)
def box_integers(run: Run) -> Iterator[Hit]:
    yield from _faults(run, 'box-integers')


@OUT.rule('infer/box-complete', 'd.3', ERROR)
def box_complete(run: Run) -> Iterator[Hit]:
    images_of(run)
    for fault in run.infer_faults.get('box-complete', ()):
        yield Hit(run.infer_result.place(*fault.keys), t('check.missing', missing=fault.value))


@OUT.rule('infer/box-keys', 'd.3', ERROR)
def box_keys(run: Run) -> Iterator[Hit]:
    yield from _faults(run, 'box-keys')


@OUT.rule('infer/box-size', 'd.3', WARNING)
def box_size(run: Run) -> Iterator[Hit]:
    for keys, item in _objects(run):
        sides = item.get('box') if isinstance(item.get('box'), dict) else {}
        for side in ('w', 'h'):
            number = as_whole_number(sides.get(side))
            if number is not None and number < 1:
                yield Hit(run.infer_result.place(*keys, 'box', side), short(sides[side]))


@OUT.rule('infer/rotate-angle', 'd.3', ERROR)
def rotate_angle(run: Run) -> Iterator[Hit]:
    yield from _faults(run, 'rotate-angle')
