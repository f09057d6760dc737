"""The one reader of COCO annotation files: what the format leaves optional may be missing.

Exporters often write boxes and categories only. pycocotools, mmdet and faster-coco-eval read `area`, `iscrowd` and the
sizes of images as if they were always there.
"""

import contextlib
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmdet.datasets.api_wrappers import COCO
from PIL import ExifTags, Image
from pycocotools import mask as mask_utils

from .files import read_text

QUARTER_TURNS = (5, 6, 7, 8)  # EXIF orientations
TURNED_BY_OPENCV = ('JPEG', 'MPO', 'PNG')  # Pillow gives the sizes of turned TIFFs turned
# What every entry of a list needs.
_NEEDED = {'images': ('id', 'file_name'), 'annotations': ('image_id', 'category_id'), 'categories': ('id', 'name')}


def read_coco(path: str | Path, defaults: bool = True) -> dict:
    """Read a COCO file.

    Args:
        path: The file.
        defaults: Whether to fill in what it leaves out, as `fill_coco_defaults` does; without, entries stay as they
            are.

    Returns:
        Its content; it has the three lists.

    Raises:
        ValueError: If it is not a COCO file.
    """
    try:
        content = json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f'{path} is not a JSON file: {error}') from error
    return fill_coco_defaults(content, str(path)) if defaults else check_coco(content, str(path))


def check_coco(content: Any, name: str) -> dict:
    """Check that a COCO dictionary has images, annotations and categories with what each of them needs.

    Args:
        content: The dictionary; lists that are missing are added, empty.
        name: Of the file, for errors.

    Returns:
        The same dictionary.

    Raises:
        ValueError: If it is not a COCO dictionary.
    """
    if not isinstance(content, dict) or not isinstance(content.get('images'), list):
        raise ValueError(f'{name} is not a COCO file: it needs a list `images`')
    for key, needed in _NEEDED.items():
        entries = content.get(key)
        if entries is None:
            entries = content[key] = []
        _check(entries, key, needed, name)
    return content


def object_area(annotation: dict) -> float:
    """Return the area of an object in square pixels, that of its box where the file does not say it."""
    area = annotation.get('area')
    return annotation['bbox'][2] * annotation['bbox'][3] if area is None else area


def fill_coco_defaults(content: Any, name: str) -> dict:
    """Give a COCO dictionary the keys that are optional in it.

    Lists that are missing are empty. An annotation without `id` gets a number, without `bbox` that of its segmentation
    or keypoints, without `area` that of its box, and without `iscrowd` 0. Images keep what they have: their sizes stand
    in their files.

    Args:
        content: The dictionary, changed in place.
        name: Of the file, for errors.

    Returns:
        The same dictionary.

    Raises:
        ValueError: If it is not a COCO dictionary.
    """
    check_coco(content, name)
    _number(content['annotations'])
    for index, annotation in enumerate(content['annotations']):
        if annotation.get('bbox') is None:
            annotation['bbox'] = _box_of(annotation, f'{name}: annotations[{index}]')
        elif not _is_box(annotation['bbox']):
            raise ValueError(
                f'{name}: annotations[{index}].bbox is {annotation["bbox"]!r}, four numbers are needed: x, y, '
                'width, height'
            )
        annotation['area'] = object_area(annotation)
        if annotation.get('iscrowd') is None:
            annotation['iscrowd'] = 0
    return content


class CocoFile(COCO):
    """mmdet's index of a COCO file, over what `read_coco` gives.

    Args:
        annotation_file: The file; None for an empty index.
    """

    def __init__(self, annotation_file: str | Path | None = None) -> None:
        super().__init__()
        self.name = str(annotation_file)  # of the file, for messages
        if annotation_file is not None:
            self.dataset = read_coco(annotation_file)
            with contextlib.redirect_stdout(io.StringIO()):  # it prints how long it takes
                self.createIndex()
            self.img_ann_map, self.cat_img_map = self.imgToAnns, self.catToImgs


@contextlib.contextmanager
def any_image_size() -> Iterator[None]:
    """Lift Pillow's limit of pixels meanwhile: OpenCV reads larger images."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def image_size(path: str | Path) -> tuple[int, int]:
    """Read width and height of an image from the head of its file, as OpenCV will give it.

    Args:
        path: The file.

    Raises:
        OSError: If it is not an image.
    """
    with any_image_size(), Image.open(path) as image:
        width, height = image.size
        turned = (
            image.format in TURNED_BY_OPENCV
            and 'exif' in image.info
            and image.getexif().get(ExifTags.Base.Orientation) in QUARTER_TURNS
        )
    return (height, width) if turned else (width, height)


def _check(entries: Any, key: str, needed: Sequence[str], name: str) -> None:
    """Check that a list has dictionaries with some keys."""
    if not isinstance(entries, list):
        raise ValueError(f'{name}: `{key}` is a {type(entries).__name__}, a list is needed')
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise ValueError(f'{name}: {key}[{index}] is {entry!r}, a dictionary is needed')
        missing = [item for item in needed if entry.get(item) is None]
        if missing:
            raise ValueError(f'{name}: {key}[{index}] lacks {", ".join(missing)}')


def _number(annotations: list[dict[str, Any]]) -> None:
    """Give those without an id one that no other has."""
    free = max((entry['id'] for entry in annotations if isinstance(entry.get('id'), int)), default=0) + 1
    for entry in annotations:
        if entry.get('id') is None:
            entry['id'] = free
            free += 1


def _is_box(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple)) and len(value) == 4 and all(isinstance(item, (int, float)) for item in value)
    )


def _box_of(annotation: dict[str, Any], place: str) -> list[float]:
    """Return the box around the segmentation or the keypoints of an annotation.

    Raises:
        ValueError: If there is neither.
    """
    segmentation, keypoints = annotation.get('segmentation'), annotation.get('keypoints')
    if isinstance(segmentation, dict):
        size = segmentation['size']
        run_lengths = (
            mask_utils.frPyObjects(segmentation, *size) if isinstance(segmentation['counts'], list) else segmentation
        )
        return mask_utils.toBbox(run_lengths).tolist()
    if segmentation:
        points = np.concatenate([np.reshape(polygon, (-1, 2)) for polygon in segmentation])
    elif keypoints:
        points = np.reshape(keypoints, (-1, 3))
        points = points[points[:, 2] > 0, :2]
    else:
        raise ValueError(f'{place} has no bbox, and no segmentation from which one follows')
    if not len(points):
        raise ValueError(f'{place} has no bbox, and no point from which one follows')
    low, high = points.min(axis=0), points.max(axis=0)
    return [*low.tolist(), *(high - low).tolist()]
