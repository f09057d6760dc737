"""Rules for infer-result.json of segmentation, a COCO mapping (contract section d.4)."""

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ymir_exc.scalars import is_integer, is_number

from .facts import INFER, Run
from .finding import ERROR, OUT, WARNING, Hit, NotApplicable
from .infer import is_segmentation
from .reading import short

PARTS = ('images', 'categories', 'annotations')


def _root(run: Run) -> dict[str, Any]:
    run.need_task(INFER)
    value = run.infer_result.need().value
    if not is_segmentation(run) or not isinstance(value, dict):
        raise NotApplicable
    return value


def entries_of(run: Run, part: str) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    entries = _root(run).get(part)
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        if isinstance(entry, dict):
            yield (part, index), entry


def _identity(value: Any) -> Any:
    """Return an id so that those are equal which the platform takes for equal, 1 and 1.0 for instance."""
    return value if isinstance(value, (int, float, str)) else repr(value)


def _ids(run: Run, part: str) -> Counter:
    return Counter(_identity(entry.get('id')) for _, entry in entries_of(run, part))


def is_one_polygon(mask: Any) -> bool:
    """Return whether this is a mask of one polygon, which the platform takes; of several it does not."""
    return isinstance(mask, list) and len(mask) == 1 and isinstance(mask[0], list) and all(map(is_integer, mask[0]))


@OUT.rule('segmentation/parts', 'd.4', ERROR)
def parts(run: Run) -> Iterator[Hit]:
    root = _root(run)
    for part in PARTS:
        if not isinstance(root.get(part), list):
            yield Hit(run.infer_result.place(part), short(root.get(part)))
            continue
        for index, entry in enumerate(root[part]):
            if not isinstance(entry, dict):
                yield Hit(run.infer_result.place(part, index), short(entry))


@OUT.rule('segmentation/file-name', 'd.4', ERROR)
def file_name(run: Run) -> Iterator[Hit]:
    for keys, image in entries_of(run, 'images'):
        name = image.get('file_name')
        if not isinstance(name, str) or not name or name != os.path.basename(name):
            yield Hit(run.infer_result.place(*keys, 'file_name'), short(name))


@OUT.rule('segmentation/known-images', 'd.4', ERROR)
def known_images(run: Run) -> Iterator[Hit]:
    names = {os.path.basename(path) for path in run.candidates}
    for keys, image in entries_of(run, 'images'):
        name = image.get('file_name')
        if isinstance(name, str) and os.path.basename(name) not in names:
            yield Hit(run.infer_result.place(*keys, 'file_name'), short(name))


@OUT.rule('segmentation/ids', 'd.4', ERROR)
def ids(run: Run) -> Iterator[Hit]:
    for part in ('images', 'categories'):
        for value, count in _ids(run, part).items():
            if count > 1 or value == 'None':
                yield Hit(run.infer_result.place(part), f'id {value}')


@OUT.rule('segmentation/references', 'd.4', ERROR)
def references(run: Run) -> Iterator[Hit]:
    known = {'image_id': _ids(run, 'images'), 'category_id': _ids(run, 'categories')}
    for keys, item in entries_of(run, 'annotations'):
        for key, values in known.items():
            if key not in item or _identity(item[key]) not in values:
                yield Hit(run.infer_result.place(*keys, key), short(item.get(key)))


@OUT.rule('segmentation/known-class', 'd.4', ERROR)
def known_class(run: Run) -> Iterator[Hit]:
    known = set(run.class_names)
    for keys, category in entries_of(run, 'categories'):
        if str(category.get('name')).strip().lower() not in known:
            yield Hit(run.infer_result.place(*keys, 'name'), short(category.get('name')))


@OUT.rule('segmentation/bbox', 'd.4', ERROR)
def bbox(run: Run) -> Iterator[Hit]:
    for keys, item in entries_of(run, 'annotations'):
        value = item.get('bbox')
        if (
            not isinstance(value, list)
            or len(value) != 4
            or not all(is_integer(side) for side in value)
            or int(value[2]) < 1
            or int(value[3]) < 1
        ):
            yield Hit(run.infer_result.place(*keys, 'bbox'), short(value))


@OUT.rule('segmentation/area', 'd.4', ERROR)
def area(run: Run) -> Iterator[Hit]:
    for keys, item in entries_of(run, 'annotations'):
        if not is_integer(item.get('area'), -(2**63), 2**63):
            yield Hit(run.infer_result.place(*keys, 'area'), short(item.get('area')))


@OUT.rule('segmentation/mask', 'd.4', ERROR)
def mask(run: Run) -> Iterator[Hit]:
    for keys, item in entries_of(run, 'annotations'):
        if 'segmentation' not in item:
            continue
        value = item['segmentation']
        if isinstance(value, dict):
            if not isinstance(value.get('counts'), str):
                yield Hit(run.infer_result.place(*keys, 'segmentation', 'counts'), short(value.get('counts')))
        elif not is_one_polygon(value):
            yield Hit(run.infer_result.place(*keys, 'segmentation'), short(value))


@OUT.rule('segmentation/confidence', 'd.4', ERROR)
def confidence(run: Run) -> Iterator[Hit]:
    for keys, item in entries_of(run, 'annotations'):
        if 'confidence' in item and not is_number(item['confidence']):
            yield Hit(run.infer_result.place(*keys, 'confidence'), short(item['confidence']))


@OUT.rule('segmentation/score-key', 'd.4', WARNING)
def score_key(run: Run) -> Iterator[Hit]:
    for keys, item in entries_of(run, 'annotations'):
        if 'score' in item and 'confidence' not in item:
            yield Hit(run.infer_result.place(*keys, 'score'), short(item['score']))


@OUT.rule('segmentation/meta', 'd.4', ERROR)
def meta(run: Run) -> Iterator[Hit]:
    for keys, item in entries_of(run, 'annotations'):
        if 'meta' in item and item['meta'] is None:
            yield Hit(run.infer_result.place(*keys, 'meta'), 'null')


@OUT.rule('segmentation/repeated', 'd.4', ERROR)
def repeated(run: Run) -> Iterator[Hit]:
    seen = set()
    for keys, item in entries_of(run, 'annotations'):
        identity = repr([item.get(key) for key in ('image_id', 'category_id', 'bbox')])
        if identity in seen:
            yield Hit(run.infer_result.place(*keys), short(item.get('bbox')))
        seen.add(identity)
