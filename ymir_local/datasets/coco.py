"""COCO: a JSON file of images, categories and annotations for each split.

Read are a file by itself, which has no split, `annotations/instances_{train,val}2017.json` beside `train2017` and
`val2017`, one or more files in the folder with images beside them or in `images`, and `train/_annotations.coco.json`.
Classes are in the order of their ids. `bbox` counts; where it is missing, the box around the polygons or the mask.
Crowds are not objects to train on; a comparison with labels needs them. A category without objects that is the
supercategory of others, as Roboflow puts it first, is not a class.
"""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ymir_exc.annotations.rle import mask_corners
from ymir_exc.errors import DatasetError

from ..platform.labels import Dataset
from .file_names import FileNames, plain_name
from .files import HEAD_BYTES, decode_text, read_head, read_json, split_folders, split_of
from .image_writer import ImagePlaces, Written
from .raw import RawBox, RawDataset, RawImage, polygons_in_file, size_in_file

LOOKS_FOR = (
    'a COCO .json file with "images" and "annotations" in the folder, in annotations/ or in train/, val/ and test/'
)
_KEYS = re.compile(r'"(images|annotations)"\s*:')
_FIRST_KEY = re.compile(r'"categories"\s*:')  # may fill the head
# Files that COCO ships beside the boxes.
_OTHER_TASKS = re.compile(r'^(captions|person_keypoints|panoptic|stuff|image_info)_')


def json_files(root: Path) -> list[Path]:
    """Return the files that look like COCO, from their first bytes.

    They are a root that is a file, or files of the folder, its `annotations` and its split folders.
    """
    if root.is_file():
        return [root] if root.suffix.lower() == '.json' else []
    folders = [
        root,
        *(root / name for name in ('annotations', 'Annotations', 'labels')),
        *(folder for _, folder in split_folders(root)),
    ]
    found: dict[Path, None] = {}
    for folder in folders:
        if folder.is_dir():
            for path in sorted(folder.glob('*.json')):
                if path.is_file() and not path.name.startswith('.') and _looks_like_coco(path):
                    found.setdefault(path.resolve().parent / path.name)
    wanted = [path for path in found if not _OTHER_TASKS.match(path.name)]
    return wanted or list(found)


def is_coco(root: Path) -> bool:
    """Return whether there is a COCO file."""
    return bool(json_files(root))


def _looks_like_coco(path: Path) -> bool:
    head = read_head(path)
    text = decode_text(head, 'ignore')
    if not text.lstrip().startswith('{'):
        return False
    return bool(_KEYS.search(text) or len(head) == HEAD_BYTES and _FIRST_KEY.search(text))


def read(root: Path) -> RawDataset:
    """Read all COCO files of a folder, or one file.

    Args:
        root: folder or file.

    Raises:
        DatasetError: a file is not a COCO file.
    """
    raw = RawDataset()
    files = json_files(root)
    if not files:
        raise DatasetError(f'{root} holds no COCO data set; looked for {LOOKS_FOR}')
    splits = {
        path: split_of(path.stem) or (split_of(path.parent.name) if path.parent != root.resolve() else None)
        for path in files
    }
    folder = root if root.is_dir() else root.parent
    groups: set[str] = set()
    names = FileNames()
    for path in files:
        split = splits[path] or ('train' if any(splits.values()) else 'all')
        if path.samefile(root):  # the user chose it, whatever its name says
            split = 'all'
        content = read_file(path, raw, _Finder(folder, path, splits[path], names))
        raw.class_names += [name for name in content.class_names if name not in raw.class_names]
        raw.splits.setdefault(split, []).extend(content.images)
        groups |= content.groups
    names.report(raw.warnings)
    for name in sorted(groups - raw.used_classes()):
        raw.class_names.remove(name)
        raw.warnings.add(
            'categories without objects',
            f'{root}: category {name!r} has no objects and is the supercategory of others; it is not a class',
        )
    return raw


class _Finder:
    """Finds images where COCO data sets keep them."""

    def __init__(self, root: Path, file: Path, split: str | None, names: FileNames) -> None:
        self._file = file
        self._root = root
        self._names = names
        tail = file.stem.rpartition('_')[2]  # instances_train2017 -> train2017
        folders = dict.fromkeys(name for name in (tail, split, 'valid' if split == 'val' else None) if name)
        bases = [file.parent, root]
        for base in (root, file.parent.parent if file.parent.name.lower() == 'annotations' else root):
            bases += [base / name for name in folders] + [base, base / 'images', base / 'JPEGImages']
            bases += [base / 'images' / name for name in folders] + [base / name / 'images' for name in folders]
        self._bases = [base for base in dict.fromkeys(bases) if base.is_dir()]
        self._last = self._bases[0]

    def __call__(self, file_name: str) -> Path:
        """Return the image; a path that does not exist if there is none."""
        found = self._names.find_written(file_name, (self._last, *self._bases), self._file) or self._names.find_below(
            file_name, self._root, self._file
        )
        if found is None:
            return self._bases[-1] / file_name.replace('\\', '/').rpartition('/')[2]
        self._last = next((base for base in self._bases if found == base / file_name), self._last)
        return found


class CocoFile(NamedTuple):
    """What a COCO file holds.

    Attributes:
        class_names: of the categories, in the order of their ids.
        images: with their boxes.
        groups: categories that are the supercategory of others.
    """

    class_names: list[str]
    images: list[RawImage]
    groups: set[str]


def _load(path: Path) -> dict[str, Any]:
    content = read_json(path)
    for key in ('images', 'categories'):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise DatasetError(
                f'{path} is not a COCO file: it needs the lists images, annotations and categories, and '
                f'{key} is none; export it again, or name the right .json file instead of its folder'
            )
    return content


def read_file(path: Path, raw: RawDataset, find: Callable[[str], Path]) -> CocoFile:
    """Read one COCO file.

    Args:
        path: the file.
        raw: takes the warnings.
        find: gives the path of an image for its `file_name`.

    Raises:
        DatasetError: it is not a COCO file.
    """
    content = _load(path)
    entries = [
        entry
        for entry in content['categories']
        if isinstance(entry, dict) and _key(entry, 'id') is not None and 'name' in entry
    ]
    categories = {_key(entry, 'id'): str(entry['name']) for entry in entries}
    boxes: dict[Any, list[RawBox]] = {}
    images: dict[Any, RawImage] = {}
    for number, entry in enumerate(content['images']):
        key = _key(entry, 'id') if isinstance(entry, dict) else None
        if key is None or not isinstance(entry.get('file_name'), str) or '\0' in entry['file_name']:
            raw.warnings.add('images without name', f'{path}: images[{number}] has no id and file_name; it is left out')
        elif key in images:
            raw.warnings.add(
                'image ids that occur twice',
                f'{path}: images[{number}] has the id {entry["id"]!r} of an earlier one; it is left out',
            )
        else:
            boxes[key] = []
            images[key] = RawImage(
                find(entry['file_name']), path, boxes[key], size=size_in_file(entry.get('width'), entry.get('height'))
            )
    _check_places(
        path,
        raw,
        images,
        {_key(entry, 'id'): entry.get('file_name') for entry in content['images'] if isinstance(entry, dict)},
    )
    annotations = content.get('annotations')
    if not isinstance(annotations, list):
        raw.warnings.add(
            'no annotations', f'{path} has no list annotations; its images count as images without objects'
        )
        annotations = []
    for number, entry in enumerate(annotations):
        place = f'annotation {entry.get("id", number)}' if isinstance(entry, dict) else f'annotations[{number}]'
        box = _box(entry, place, categories)
        if isinstance(box, str):
            raw.warnings.add('annotations left out', f'{path}: {place}: {box}; it is left out')
        elif _key(entry, 'image_id') not in boxes:
            raw.warnings.add(
                'annotations left out',
                f'{path}: {place}: image_id {entry.get("image_id")!r} is not among the images; it is left out',
            )
        else:
            boxes[_key(entry, 'image_id')].append(box)
            if box.crowd:
                raw.warnings.add('annotations left out', f'{path}: {place}: it is a crowd; it is left out')
    order = sorted(categories, key=lambda key: (isinstance(key, str), key))
    groups = {
        entry['supercategory']
        for entry in entries
        if isinstance(entry.get('supercategory'), str) and entry['supercategory'] != entry['name']
    }
    return CocoFile([categories[key] for key in order], list(images.values()), groups & set(categories.values()))


def _check_places(path: Path, raw: RawDataset, images: dict[Any, RawImage], names: dict[Any, str]) -> None:
    """Leave out images that were found in the place of another: `b/1.jpg` is not `1.jpg` if that is named, too."""
    by_path: dict[Path, list[Any]] = {}
    for key, image in images.items():
        by_path.setdefault(image.path, []).append(key)
    for found, keys in by_path.items():
        if len({names[key] for key in keys}) < 2 or not os.path.isfile(found):
            continue
        right = _fitting(found, {key: Path(names[key].replace('\\', '/')).parts for key in keys})
        for key in keys:
            if key not in right:
                raw.warnings.add(
                    'images left out',
                    f'{path}: the image {names[key]!r} does not exist, and {found} is another one; it is left out',
                )
                del images[key]


def _fitting(found: Path, names: dict[Any, tuple[str, ...]]) -> list[Any]:
    """Return the images whose whole name is that of a file, else those whose name differs in what copying changes."""
    exact = [key for key, parts in names.items() if found.parts[-len(parts) :] == parts]
    plain = [
        key
        for key, parts in names.items()
        if list(map(plain_name, found.parts[-len(parts) :])) == list(map(plain_name, parts))
    ]
    return exact or (plain if len({names[key] for key in plain}) == 1 else [])


def _key(entry: dict[str, Any], name: str) -> Any:
    """Return an id, '7' and 7.0 as 7; None if it is not a number or text."""
    value = entry.get(name)
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str) and value.isascii() and value.isdigit() and (value == '0' or value[0] != '0'):
        return int(value) if len(value) < 19 else value
    return value if isinstance(value, (int, str)) else None


def _box(entry: Any, place: str, categories: dict[Any, str]) -> object:
    """Return the box of an annotation, or what is wrong with it."""
    if not isinstance(entry, dict):
        return f'it is {entry!r}, no mapping'
    name = categories.get(_key(entry, 'category_id'))
    if name is None:
        return f'category_id {entry.get("category_id")!r} is not among the categories'
    bbox, shape = entry.get('bbox'), entry.get('segmentation')
    if bbox:
        try:
            x, y, w, h = (float(value) for value in bbox)
        except (TypeError, ValueError, OverflowError):
            return f'its bbox {bbox!r} is not [x, y, w, h] in numbers'
        corners = (x, y, x + w, y + h)
    elif shape:
        try:
            corners = mask_corners(shape) if isinstance(shape, dict) else _polygon_corners(shape)
        except ValueError as error:
            return str(error)
    else:
        return 'it has neither bbox nor segmentation'
    return RawBox(name, corners, place, bool(entry.get('difficult')), bool(entry.get('iscrowd')), shape)


def _polygon_corners(value: Any) -> tuple[float, float, float, float]:
    polygons = polygons_in_file(value)
    odd = next((len(polygon) for polygon in polygons if len(polygon) % 2), None)
    if odd:
        raise ValueError(f'a polygon of its segmentation has {odd} numbers; x and y of each point are needed')
    xs = [x for polygon in polygons for x in polygon[::2]]
    ys = [y for polygon in polygons for y in polygon[1::2]]
    return min(xs), min(ys), max(xs), max(ys)


def write(dataset: Dataset, folder: Path, places: ImagePlaces) -> Written:
    """Write `annotations/instances_<split>.json` beside a folder of images per split.

    Without splits they are `annotations.json` and `images`.

    Args:
        dataset: what to write.
        folder: empty.
        places: takes the images.
    """
    categories = [
        {'id': index, 'name': name, 'supercategory': 'object'} for index, name in enumerate(dataset.class_names, 1)
    ]
    for split, images in dataset.splits.items():
        entries: list[dict] = []
        annotations: list[dict] = []
        names = places.add('images' if split == 'all' else split, images)
        for number, (image, name) in enumerate(zip(images, names), 1):
            entries.append({'id': number, 'file_name': name, 'width': image.width, 'height': image.height})
            for box, crowd in (*((box, 0) for box in image.boxes), *((box, 1) for box in image.crowds)):
                annotations.append(
                    dict(
                        id=len(annotations) + 1,
                        image_id=number,
                        category_id=box.class_index + 1,
                        bbox=[box.x, box.y, box.w, box.h],
                        area=box.w * box.h,
                        iscrowd=crowd,
                        segmentation=[],
                        **({'difficult': 1} if box.difficult else {}),
                    )
                )
        file = folder / ('annotations.json' if split == 'all' else f'annotations/instances_{split}.json')
        file.parent.mkdir(exist_ok=True)
        file.write_text(
            json.dumps(
                {'images': entries, 'annotations': annotations, 'categories': categories},
                ensure_ascii=False,
                allow_nan=False,
            ),
            encoding='utf-8',
        )
    return places.written()
