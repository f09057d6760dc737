"""infer-result.json of segmentation, a coco dict (contract section d.4): checked, and written image by image.

What makes the platform crash, or lose objects without a word, is an error here.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import IO, Any, Container, Iterable, Mapping, NamedTuple, Sequence

from . import env
from .atomic import atomic_file
from .errors import ResultError
from .name_table import NameTable
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


def _check_annotation(
    annotation: dict[str, Any], where: str, image_ids: Container[Any], category_ids: Container[Any]
) -> None:
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


class Instance(NamedTuple):
    """An object that was found, with its mask.

    Attributes:
        class_id: its place in ``class_names``.
        score: from 0 to 1; the platform reads it as ``confidence``.
        bbox: x, y, width and height in whole pixels, at least 1 wide and high.
        area: pixels of the mask.
        counts: the mask in coco's compressed run-length code.
    """

    class_id: int
    score: float
    bbox: Sequence[int]
    area: int
    counts: str


class SegmentationResultWriter:
    """Writes infer-result.json image by image; the file appears, whole, when the ``with`` block ends without an error.

    Memory grows only by the names already written; the list of images waits in a file without a name beside the result.

    Example:
        with SegmentationResultWriter(class_names) as writer:
            for path, size, instances in results:
                writer.write_new(path, size, instances)

    Args:
        class_names: of config.yaml; all of them become categories, with ids from 0.
        path: the file to write; None takes it from env.yaml.
    """

    def __init__(self, class_names: Sequence[str], path: str | None = None) -> None:
        self._class_names = list(class_names)
        self._path = path or env.get_current_env().output.infer_result_file
        self._names = NameTable()
        self._num_objects = 0
        self._context = contextlib.ExitStack()
        self._stream: IO[str] | None = None
        self._images: IO[str] | None = None

    def __enter__(self) -> SegmentationResultWriter:
        folder = os.path.dirname(os.path.abspath(self._path))
        self._stream = self._context.enter_context(atomic_file(self._path))
        self._images = self._context.enter_context(tempfile.TemporaryFile('w+', encoding='ascii', dir=folder))
        categories = [{'id': index, 'name': name} for index, name in enumerate(self._class_names)]
        self._stream.write(f'{{"categories": {json.dumps(categories)}, "annotations": [')
        return self

    def __exit__(self, *exception: Any) -> bool | None:
        try:
            if exception[0] is None:
                self._images.seek(0)
                self._stream.write('\n], "images": [')
                shutil.copyfileobj(self._images, self._stream)
                self._stream.write('\n]}\n')
        except BaseException:
            self._context.__exit__(*sys.exc_info())
            raise
        return self._context.__exit__(*exception)

    def write_new(self, image: str | Path, size: Sequence[int] | None, instances: Iterable[Instance]) -> str | None:
        """Add the objects of one image, unless one of the same file name was added before.

        Args:
            image: its path as in the index file; an image without objects must be written too.
            size: its width and height; None for one that cannot be read, which has no objects.
            instances: its objects.

        Returns:
            None, or the path of the image with that name, which stays.

        Raises:
            ResultError: a value cannot be written. Let it leave the ``with`` block: nothing is written then.
        """
        if self._stream is None:
            raise RuntimeError('SegmentationResultWriter is to be used in a with statement')
        earlier = self._names.add(str(image))
        if earlier is not None:
            return earlier
        number = len(self._names)
        width, height = size or (0, 0)
        entry = {'id': number, 'file_name': os.path.basename(str(image)), 'width': width, 'height': height}
        self._images.write((',' if number > 1 else '') + '\n' + json.dumps(entry))
        for instance in instances:
            self._num_objects += 1
            annotation = {
                'id': self._num_objects,
                'image_id': number,
                'category_id': instance.class_id,
                'bbox': list(instance.bbox),
                'area': instance.area,
                'iscrowd': 0,
                'confidence': float(f'{to_finite_float(instance.score, "confidence"):.7g}'),
                'segmentation': {'size': [height, width], 'counts': instance.counts},
            }
            _check_annotation(
                annotation, f'{image}: object {self._num_objects}', {number}, range(len(self._class_names))
            )
            self._stream.write((',' if self._num_objects > 1 else '') + '\n' + json.dumps(annotation, allow_nan=False))
        return None
