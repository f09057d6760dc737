"""COCO: a JSON file of images, categories and annotations for each split.

Read are a file by itself, `annotations/instances_{train,val}2017.json` beside `train2017` and `val2017`, one or more
files in the folder with images beside them or in `images`, and `train/_annotations.coco.json`. Classes are in the order
of their ids. `bbox` counts; where it is missing, the box around the polygons. Crowds are left out.
"""
import json
import os
import re
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from ymir_exc.errors import DatasetError

from ..labels import Dataset
from .files import split_folders, split_of
from .raw import RawBox, RawDataset, RawImage
from .writing import ImagePlaces, Written

LOOKS_FOR = ('a COCO .json file with "images" and "annotations" in the folder, in annotations/ or in train/, val/ and '
             'test/')
_HEAD_BYTES = 1 << 16  # info and licences may stand first
_KEYS = re.compile(rb'"(images|annotations|categories)"\s*:')
# Files that COCO ships beside the boxes.
_OTHER_TASKS = re.compile(r'^(captions|person_keypoints|panoptic|stuff|image_info)_')


def json_files(root: Path) -> List[Path]:
    """The files that look like COCO, from their first bytes: a root that is a file, or files of the folder, its
    `annotations` and its split folders."""
    if root.is_file():
        return [root] if root.suffix.lower() == '.json' else []
    folders = [root, *(root / name for name in ('annotations', 'Annotations', 'labels')), *split_folders(root).values()]
    found: Dict[Path, None] = {}
    for folder in folders:
        if folder.is_dir():
            for path in sorted(folder.glob('*.json')):
                if path.is_file() and not path.name.startswith('.') and _looks_like_coco(path):
                    found.setdefault(path.resolve().parent / path.name)
    wanted = [path for path in found if not _OTHER_TASKS.match(path.name)]
    return wanted or list(found)


def is_coco(root: Path) -> bool:
    """Whether there is a COCO file."""
    return bool(json_files(root))


def _looks_like_coco(path: Path) -> bool:
    with open(path, 'rb') as stream:
        head = stream.read(_HEAD_BYTES)
    return head.lstrip(b'\xef\xbb\xbf \r\n\t').startswith(b'{') and bool(_KEYS.search(head))


def read(root: Path) -> RawDataset:
    """Reads all COCO files of a folder, or one file.

    Args:
        root: folder or file.

    Raises:
        DatasetError: a file is no COCO file.
    """
    raw = RawDataset()
    files = json_files(root)
    if not files:
        raise DatasetError(f'{root} holds no COCO data set; looked for {LOOKS_FOR}')
    splits = {path: split_of(path.stem) or (split_of(path.parent.name) if path.parent != root.resolve() else None)
              for path in files}
    folder = root if root.is_dir() else root.parent
    for path in files:
        split = splits[path] or ('all' if len(files) == 1 else 'train')
        names, images = read_file(path, raw, _Finder(folder, path, splits[path]))
        raw.class_names += [name for name in names if name not in raw.class_names]
        raw.splits.setdefault(split, []).extend(images)
    return raw


class _Finder:
    """Finds images where COCO data sets keep them."""

    def __init__(self, root: Path, file: Path, split: Optional[str]) -> None:
        tail = file.stem.rpartition('_')[2]  # instances_train2017 -> train2017
        names = dict.fromkeys(name for name in (tail, split, 'valid' if split == 'val' else None) if name)
        bases = [file.parent, root]
        for base in (root, file.parent.parent if file.parent.name.lower() == 'annotations' else root):
            bases += [base / name for name in names] + [base, base / 'images', base / 'JPEGImages']
            bases += [base / 'images' / name for name in names] + [base / name / 'images' for name in names]
        self._bases = [base for base in dict.fromkeys(bases) if base.is_dir()]
        self._last = self._bases[0]

    def __call__(self, file_name: str) -> Path:
        """The image; a path that does not exist if there is none."""
        name = file_name.replace('\\', '/')
        for relative in dict.fromkeys((name, os.path.basename(name))):
            for base in (self._last, *self._bases):
                path = base / relative
                if path.is_file():
                    if not os.path.isabs(relative):
                        self._last = base
                    return path
        return self._bases[-1] / os.path.basename(name)


def read_file(path: Path, raw: RawDataset, find: Any) -> Tuple[List[str], List[RawImage]]:
    """Reads one COCO file.

    Args:
        path: the file.
        raw: takes the warnings.
        find: gives the path of an image for its `file_name`.

    Returns:
        Names of the categories in the order of their ids, and the images.

    Raises:
        DatasetError: it is no COCO file.
    """
    try:
        content = json.loads(path.read_bytes().decode('utf-8-sig'))
    except OSError as error:
        raise DatasetError(f'{path} cannot be read: {error.strerror or error}') from error
    except ValueError as error:
        raise DatasetError(f'{path} is no JSON file: {error}') from error
    parts = [content.get(key) for key in ('images', 'categories')] if isinstance(content, dict) else [None]
    if not all(isinstance(part, list) for part in parts):
        raise DatasetError(f'{path} is no COCO file: it needs the lists images, annotations and categories')
    categories = {entry['id']: str(entry['name']) for entry in parts[1]
                  if isinstance(entry, dict) and _key(entry, 'id') is not None and 'name' in entry}
    boxes: Dict[Any, List[RawBox]] = {}
    images: Dict[Any, Path] = {}
    for number, entry in enumerate(parts[0]):
        if not isinstance(entry, dict) or _key(entry, 'id') is None or not isinstance(entry.get('file_name'), str):
            raw.warnings.add('images without name', f'{path}: images[{number}] has no id and file_name; it is left out')
        elif entry['id'] in images:
            raw.warnings.add('image ids that occur twice', f'{path}: images[{number}] has the id {entry["id"]!r} of an '
                             'earlier one; it is left out')
        else:
            images[entry['id']] = find(entry['file_name'])
            boxes[entry['id']] = []
    for number, entry in enumerate(content.get('annotations') or []):
        place = f'annotation {entry.get("id", number)}' if isinstance(entry, dict) else f'annotations[{number}]'
        box = _box(entry, place, categories)
        if isinstance(box, str):
            raw.warnings.add('annotations left out', f'{path}: {place}: {box}; it is left out')
        elif _key(entry, 'image_id') not in boxes:
            raw.warnings.add('annotations left out', f'{path}: {place}: image_id {entry.get("image_id")!r} is not '
                             'among the images; it is left out')
        else:
            boxes[entry['image_id']].append(box)
    order = sorted(categories, key=lambda key: (isinstance(key, str), key))
    return [categories[key] for key in order], [RawImage(images[key], path, boxes[key]) for key in images]


def _key(entry: Dict[str, Any], name: str) -> object:
    """An id; None if it is no number or text."""
    return entry.get(name) if isinstance(entry.get(name), (int, float, str)) else None


def _box(entry: Any, place: str, categories: Dict[Any, str]) -> object:
    """The box of an annotation, or what is wrong with it."""
    if not isinstance(entry, dict):
        return f'it is {entry!r}, no mapping'
    if entry.get('iscrowd'):
        return 'it is a crowd'
    name = categories.get(_key(entry, 'category_id'))
    if name is None:
        return f'category_id {entry.get("category_id")!r} is not among the categories'
    bbox, polygons = entry.get('bbox'), entry.get('segmentation')
    try:
        if bbox:
            x, y, w, h = (float(value) for value in bbox)
            corners = (x, y, x + w, y + h)
        elif isinstance(polygons, list) and polygons:
            values = [[float(value) for value in polygon] for polygon in polygons]
            xs = [x for polygon in values for x in polygon[::2]]
            ys = [y for polygon in values for y in polygon[1::2]]
            corners = (min(xs), min(ys), max(xs), max(ys))
        else:
            return 'it has neither bbox nor polygons'
    except (TypeError, ValueError):
        return f'its bbox {bbox!r} is not [x, y, w, h] in numbers'
    return RawBox(name, corners, place, bool(entry.get('difficult')))


def write(dataset: Dataset, folder: Path, places: ImagePlaces) -> Written:
    """Writes `annotations/instances_<split>.json` beside a folder of images per split; without splits
    `annotations.json` and `images`.

    Args:
        dataset: what to write.
        folder: empty.
        places: takes the images.
    """
    categories = [
        dict(id=index, name=name, supercategory='object') for index, name in enumerate(dataset.class_names, 1)
    ]
    for split, images in dataset.splits.items():
        entries: List[dict] = []
        annotations: List[dict] = []
        names = places.add('images' if split == 'all' else split, images)
        for number, (image, name) in enumerate(zip(images, names), 1):
            entries.append(dict(id=number, file_name=name, width=image.width, height=image.height))
            for box in image.boxes:
                annotations.append(dict(id=len(annotations) + 1, image_id=number, category_id=box.class_index + 1,
                                        bbox=[box.x, box.y, box.w, box.h], area=box.w * box.h, iscrowd=0,
                                        segmentation=[], **(dict(difficult=1) if box.difficult else {})))
        file = folder / ('annotations.json' if split == 'all' else f'annotations/instances_{split}.json')
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(dict(images=entries, annotations=annotations, categories=categories),
                                   ensure_ascii=False), encoding='utf-8')
    return places.written()
