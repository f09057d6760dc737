"""Writes a coco file part by part as text: dicts of a whole data set take much memory and time."""

from __future__ import annotations

import contextlib
import json
import os
from itertools import chain, repeat
from typing import IO, Iterator, Sequence

from ..atomic import PathLike, atomic_file
from .compact import LabelledImages

CHUNK = 5000  # images whose text is in memory at once
_IMAGE = '{"id": %d, "file_name": %s, "width": %d, "height": %d}'
_BOX = '{"id": %d, "image_id": %d, "category_id": %d, "bbox": [%r, %r, %r, %r], "area": %r, %s}'
_PLAIN = '"iscrowd": 0, "segmentation": []'


class CocoFile:
    """A coco file that is being written; see :func:`coco_file`.

    Args:
        stream: of the file.
        first: id of the first category.
    """

    def __init__(self, stream: IO[str], first: int) -> None:
        self._stream = stream
        self._first = first
        self._images = self._boxes = 0
        self._rests: dict[tuple[float, float], str] = {}

    def add(self, images: LabelledImages) -> None:
        """Write the annotations of the next images.

        Args:
            images: with objects inside the image.
        """
        texts = self._box_texts(images)
        if texts:
            self._stream.write((', ' if self._boxes else '') + ', '.join(texts))
        self._images += len(images)
        self._boxes += len(texts)

    def _box_texts(self, images: LabelledImages) -> list[str]:
        first_image = self._images + 1
        image_ids = chain.from_iterable(repeat(index, count) for index, count in enumerate(images.counts, first_image))
        corners = (_whole(images.boxes[corner::4].tolist()) for corner in range(4))
        values = zip(images.qualities, images.angles)
        texts = []
        for box, image_id, class_id, left, top, right, bottom, value in zip(
            range(len(images.class_ids)), image_ids, images.class_ids, *corners, values
        ):
            width, height = right - left, bottom - top
            rest = self._rests.get(value) or self._rest(*value)
            area = width * height
            if box in images.others:
                crowd, segmentation, mask_area = images.others[box]
                area = area if segmentation is None or mask_area is None else mask_area
                rest = f'"iscrowd": {crowd}, "segmentation": {json.dumps(segmentation or [], allow_nan=False)}'
            number = self._boxes + box + 1
            texts.append(_BOX % (number, image_id, class_id + self._first, left, top, width, height, area, rest))
        return texts

    def _rest(self, quality: float, angle: float) -> str:
        """Return what stands behind the area of a box; NaN is left out."""
        rest = _PLAIN if quality != quality else f'{_PLAIN}, "bbox_quality": {quality!r}'
        rest = rest if angle != angle else f'{rest}, "rotate_angle": {angle!r}'
        if len(self._rests) < CHUNK:
            self._rests[quality, angle] = rest
        return rest


def _whole(numbers: list[float]) -> list[float]:
    """Return numbers with the whole ones as int, so that they are written without a decimal point."""
    wholes = list(map(int, numbers))
    return wholes if wholes == numbers else [int(number) if number.is_integer() else number for number in numbers]


@contextlib.contextmanager
def coco_file(
    path: PathLike, images: LabelledImages, class_names: Sequence[str], cat_id_from_zero: bool
) -> Iterator[CocoFile]:
    """Write a coco file with absolute image paths; images and annotations count from 1.

    Args:
        path: the file to make or to replace, when the block ends without an error.
        images: all of them, at the end of the block.
        class_names: in the order of the class index; every class becomes a category.
        cat_id_from_zero: whether the first category has id 0, else 1.

    Yields:
        What gets the images, part by part.

    Raises:
        OSError: it cannot be written; the old one is untouched.
    """
    first = 0 if cat_id_from_zero else 1
    categories = [
        {'id': index, 'name': name, 'supercategory': 'object'} for index, name in enumerate(class_names, first)
    ]
    with atomic_file(path) as stream:
        stream.write(f'{{"categories": {json.dumps(categories)}, "annotations": [')
        yield CocoFile(stream, first)
        stream.write('], "images": [')
        for start in range(0, len(images), CHUNK):
            stream.write((', ' if start else '') + ', '.join(_image_texts(images, start)))
        stream.write(']}')


def _image_texts(images: LabelledImages, start: int) -> Iterator[str]:
    here, part = os.getcwd(), slice(start, start + CHUNK)
    paths = (json.dumps(os.path.normpath(os.path.join(here, path))) for path in images.paths[part])
    columns = range(start + 1, len(images) + 1), paths, images.widths[part], images.heights[part]
    return (_IMAGE % row for row in zip(*columns))


def write_coco(path: PathLike, images: LabelledImages, class_names: Sequence[str], cat_id_from_zero: bool) -> None:
    """Write a coco file at once; see :func:`coco_file`.

    Args:
        path: the file to make or to replace.
        images: with objects inside the image.
        class_names: in the order of the class index; every class becomes a category.
        cat_id_from_zero: whether the first category has id 0, else 1.

    Raises:
        OSError: it cannot be written; the old one is untouched.
    """
    with coco_file(path, images, class_names, cat_id_from_zero) as file:
        file.add(images)
