"""Checks of a segmentation result before it is written (contract section d.4).

The platform reads a coco dict. What makes it crash, or lose objects without a word, is an error here.
"""

from __future__ import annotations

import logging
import os
from typing import Any, Mapping

from .errors import ResultError
from .scalars import to_finite_float, to_plain

logger = logging.getLogger(__name__)


def _entries(result: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    entries = result.get(key)
    if not isinstance(entries, (list, tuple)) or not all(isinstance(entry, Mapping) for entry in entries):
        raise ResultError(f'the segmentation result needs a list of dicts under {key!r}')
    return [dict(entry) for entry in entries]


def _ids(entries: list[dict[str, Any]], key: str) -> set[Any]:
    ids: set[Any] = set()
    for index, entry in enumerate(entries):
        if entry.get('id') is None:
            raise ResultError(f'{key}[{index}] has no id')
        if entry['id'] in ids:
            raise ResultError(f'{key}: the id {entry["id"]} occurs twice; the platform would drop both')
        ids.add(entry['id'])
    return ids


def _check_segmentation(segmentation: Any, where: str) -> None:
    if isinstance(segmentation, dict):
        if not isinstance(segmentation.get('counts'), str):
            raise ResultError(f'{where}: counts must be a compressed RLE string; pycocotools.mask.frPyObjects makes it')
        if not isinstance(segmentation.get('size'), list) or len(segmentation['size']) != 2:
            raise ResultError(f'{where}: size must be [height, width]')
    elif isinstance(segmentation, list):
        if (
            len(segmentation) != 1
            or not isinstance(segmentation[0], list)
            or len(segmentation[0]) % 2
            or len(segmentation[0]) < 6
        ):
            raise ResultError(
                f'{where}: exactly one polygon [[x1, y1, x2, y2, x3, y3, ...]] is allowed; use RLE for '
                'objects of several parts'
            )
        for coordinate in segmentation[0]:
            to_finite_float(coordinate, where)
    else:
        raise ResultError(f'{where} must be an RLE dict or one polygon, not {segmentation!r}')


def _check_annotation(annotation: dict[str, Any], where: str, image_ids: set[Any], category_ids: set[Any]) -> None:
    for key, known in (('image_id', image_ids), ('category_id', category_ids)):
        if annotation.get(key) not in known:
            raise ResultError(f'{where}: {key} is {annotation.get(key)!r}, which no entry of the result has')
    bbox = annotation.get('bbox')
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise ResultError(f'{where}: bbox must be [x, y, w, h], not {bbox!r}')
    for value in bbox:
        to_finite_float(value, f'{where}.bbox')
    to_finite_float(annotation.get('area'), f'{where}.area')
    if 'segmentation' in annotation:
        _check_segmentation(annotation['segmentation'], f'{where}.segmentation')
    if 'meta' in annotation and annotation['meta'] is None:
        raise ResultError(f'{where}: meta must not be null; leave the key out')


def check_segmentation_result(result: Mapping[str, Any]) -> dict[str, Any]:
    """Check a coco result and bring it into what JSON holds.

    numpy and torch numbers become plain ones, RLE counts of bytes become text, and a ``score`` without ``confidence``
    is written under that name too, because the platform reads no other.

    Args:
        result: a dict with ``images``, ``categories`` and ``annotations``.

    Returns:
        A plain copy; keys beyond these three are kept.

    Raises:
        ResultError: naming the entry that the platform would crash on or drop.
    """
    if not isinstance(result, Mapping):
        raise ResultError(f'a segmentation result is a coco dict, not a {type(result).__name__}')
    plain = to_plain(
        {**result, **{key: _entries(result, key) for key in ('images', 'categories', 'annotations')}}, 'result'
    )
    for index, image in enumerate(plain['images']):
        name = image.get('file_name')
        if not name or not isinstance(name, str) or os.path.basename(name) != name:
            raise ResultError(f'images[{index}].file_name is {name!r}; it must be a file name without a folder')
    image_ids = _ids(plain['images'], 'images')
    category_ids = _ids(plain['categories'], 'categories')

    seen = set()
    num_dropped = 0
    for index, annotation in enumerate(plain['annotations']):
        _check_annotation(annotation, f'annotations[{index}]', image_ids, category_ids)
        if 'score' in annotation:
            annotation.setdefault('confidence', annotation['score'])
        bbox = tuple(int(float(value)) for value in annotation['bbox'])
        key = (annotation['image_id'], annotation['category_id'], bbox)
        num_dropped += bbox[2] < 1 or bbox[3] < 1 or key in seen
        seen.add(key)
    if num_dropped:
        logger.warning(
            '%d of %d objects will be dropped by the platform: thinner than a pixel, or of the same image, '
            'class and box as another',
            num_dropped,
            len(plain['annotations']),
        )
    return plain
