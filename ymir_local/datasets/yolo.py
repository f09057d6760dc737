"""YOLO: a text file per image, a line per object, in shares of the image's sides.

    class centre_x centre_y width height               a box; a sixth value, a score, is passed over
    class x1 y1 x2 y2 x3 y3 ...                        a polygon or a turned box; the box around it counts

Read are `data.yaml` (train, val and test as a folder, a list or a text file of images; names as a list or mapping),
trees `images/train` with `labels/train` or `train/images` with `train/labels`, lists `train.txt`, and text files beside
images. An image without a text file is one without objects, as YOLO's own tools take it.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ymir_exc.errors import DatasetError
from ymir_exc.reading import split_lines
from ymir_exc.threads import in_threads
from ymir_exc.yaml_text import load_yaml, yaml_fault

from ..platform.labels import Dataset
from .file_names import FileNames
from .files import SPLITS, images_below, is_image, read_lines, read_text, split_folders
from .image_writer import ImagePlaces, Written
from .raw import RawBox, RawDataset, RawImage, Warnings
from .yolo_folders import has_labels, image_folder, is_row, label_file, looked_for, rows_elsewhere

LOOKS_FOR = (
    'data.yaml with train and val, folders images and labels (or train/images and train/labels), train.txt, '
    'or .txt files beside images'
)
_NAME_FILES = (
    'classes.txt',
    'obj.names',
    'labels/classes.txt',
    'labels/train/classes.txt',
    'predefined_classes.txt',
    'train/labels/classes.txt',
    'train/classes.txt',
    'names.txt',
)
_SPLIT_KEYS = {'train': ('train',), 'val': ('val', 'valid', 'validation'), 'test': ('test',)}


def yaml_file(root: Path) -> Path | None:
    """Return the file that describes the data set; None if there is none."""
    if root.is_file():
        return root if root.suffix.lower() in ('.yaml', '.yml') else None
    files = sorted((*root.glob('*.yaml'), *root.glob('*.yml')))
    for path in sorted(files, key=lambda path: path.stem not in ('data', 'dataset')):
        try:
            content = _load(path)
        except DatasetError:
            if path.stem == 'data':
                raise
            continue
        if 'names' in content and any(key in content for keys in _SPLIT_KEYS.values() for key in keys):
            return path
    return None


def is_yolo(root: Path) -> bool:
    """Return whether there is a YOLO data set."""
    if yaml_file(root):
        return True
    if not root.is_dir():
        return False
    if any(has_labels(folder) for folder in (root, *(folder for _, folder in split_folders(root)))):
        return True
    if any(_lists(root).values()):
        return True
    return any(is_row(path.with_suffix('.txt')) for path in images_below(root))


def _lists(root: Path) -> dict[str, Path]:
    """Return `train.txt`, `val.txt`, `test.txt` that name images."""
    found = {}
    for split in SPLITS:
        for name in (f'{split}.txt', 'valid.txt' if split == 'val' else f'{split}.txt'):
            path = root / name
            if path.is_file() and split not in found:
                lines = read_lines(path)
                if lines and (is_image(Path(lines[0])) or _is_stem(lines[0], root)):
                    found[split] = path
    return found


def _is_stem(line: str, root: Path) -> bool:
    """Return whether a line is the name of an image without its ending, as the lists of VOC have them."""
    stem = line.replace('\\', '/').rpartition('/')[2]
    return any(path.stem == stem for path in images_below(image_folder(root)))


def _load(path: Path) -> dict[str, Any]:
    """Return a YAML mapping with all values as text: a class may be called `no` or `007`."""
    try:
        content = load_yaml(read_text(path), yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise DatasetError(f'{path} is not a YAML file, {yaml_fault(error)}') from error
    return content if isinstance(content, dict) else {}


def read(root: Path, class_names: Sequence[str] | None = None) -> RawDataset:
    """Read a YOLO data set; see the module.

    Args:
        root: its folder, or its data.yaml.
        class_names: names by class index where the data set has none of its own.

    Raises:
        DatasetError: there is none, or data.yaml is wrong.
    """
    raw = RawDataset()
    files = FileNames()
    file = yaml_file(root)
    folder = root if root.is_dir() else root.parent
    num_points = 0
    if file:
        content = _load(file)
        names = _names_of_yaml(content, file, raw.warnings)
        num_points = _keypoints(content)
        images = _images_of_yaml(content, file, raw.warnings, files)
        source = file
    else:
        source = next(filter(None, (files.find_written(name, [folder], folder) for name in _NAME_FILES)), None)
        names = read_lines(source) if source else None
        images = _images_of_tree(folder, files)
        _warn_of_others(images, image_folder(folder), raw.warnings)
        source = source or folder
    if not any(images.values()):
        raise DatasetError(f'{root} holds no YOLO data set with images; looked for {LOOKS_FOR}')
    listed = [(split, path) for split, paths in images.items() for path in paths]
    labels = in_threads(lambda item: _read_labels(item[1], num_points, files), listed)
    rows = list(zip(listed, labels))
    files.report(raw.warnings)
    if file is None and names and len(names) == 1:  # all names on one line, perhaps
        if ',' in names[0]:
            names = [name.strip() for name in names[0].split(',') if name.strip()]
        elif any(index > 0 for _, (_, boxes, _) in rows for index, _, _ in boxes):
            names = names[0].split()
    if names is None:
        names = list(class_names) if class_names else _numbered(rows, folder, raw.warnings)
    raw.class_names = names
    for split in images:
        raw.splits[split] = []
    missing = 0
    for (split, path), (file, boxes, wrong) in rows:
        missing += file is None and os.path.isfile(path)
        for text in wrong:
            raw.warnings.add('lines left out', f'{file}: {text}; it is left out')
        kept = []
        for index, corners, place in boxes:
            if 0 <= index < len(names):
                kept.append(RawBox(names[index], corners, place))
            else:
                raw.warnings.add(
                    'boxes without a known class',
                    f'{file}: {place}: class {index} is unknown, {source} '
                    f'names {f"0 to {len(names) - 1}" if names else "no class"}; the box is left out',
                )
        raw.splits[split].append(RawImage(path, file or source, kept, relative=True))
    if missing:
        kind = 'images without label file' if missing < len(listed) else 'no label file'
        first = next(path for (_, path), (file, _, _) in rows if file is None and os.path.isfile(path))
        hint = rows_elsewhere(folder, [path for _, path in listed]) if missing == len(listed) else ''
        raw.warnings.add(
            kind,
            f'{root}: {missing} of {len(listed)} images have no label file and count as images without '
            f'objects; for {first} looked for {looked_for(first)}{hint}',
        )
    return raw


def _warn_of_others(images: dict[str, list[Path]], folder: Path, warnings: Warnings) -> None:
    """Warn of images in no list and in no folder of a part, where others are."""
    listed = {os.path.normpath(path) for paths in images.values() for path in paths}
    others = [path for path in images_below(folder) if os.path.normpath(path) not in listed]
    if listed and others:
        warnings.add(
            'images in no part',
            f'{len(others)} images below {folder} are in none of the lists or folders of the '
            f'parts {", ".join(images)} and are left out, such as {others[0]}',
        )


def _numbered(rows: Sequence[Any], folder: Path, warnings: Warnings) -> list[str]:
    highest = max((index for _, (_, boxes, _) in rows for index, _, _ in boxes), default=-1)
    names = [f'class_{index}' for index in range(min(highest + 1, 1000))]
    warnings.add(
        'no class names',
        f'{folder} names no classes (looked for names in data.yaml, '
        f'{", ".join(_NAME_FILES)}); they are called {", ".join(names[:3])} ...',
    )
    return names


def _names_of_yaml(content: dict[str, Any], file: Path, warnings: Warnings) -> list[str]:
    names = content.get('names')
    if isinstance(names, dict):
        try:
            by_index = {int(index): str(name) for index, name in names.items()}
        except (TypeError, ValueError):
            raise DatasetError(f'{file}: names must map a class index to a name, found {names}') from None
        wrong = [index for index in by_index if not 0 <= index < 100000]
        if wrong:
            raise DatasetError(f'{file}: names holds the class index {wrong[0]}; they count from 0')
        names = [by_index.get(index, f'class_{index}') for index in range(max(by_index, default=-1) + 1)]
    elif isinstance(names, str):  # the path of a file, as Darknet has it
        path = file.parent / names
        names = read_lines(path) if os.path.isfile(path) else [name.strip() for name in names.split(',')]
    elif not isinstance(names, list):
        raise DatasetError(f'{file}: names must be a list of class names or map class indexes to them, found {names!r}')
    names = [str(name) for name in names]
    if str(content.get('nc', '')).isdigit() and int(content['nc']) != len(names):
        warnings.add('nc', f'{file}: nc is {content["nc"]}, but there are {len(names)} names; the names count')
    return names


def _keypoints(content: dict[str, Any]) -> int:
    """Return how many numbers of key points follow each box."""
    shape = content.get('kpt_shape')
    return (
        int(shape[0]) * int(shape[1])
        if isinstance(shape, list) and [isinstance(side, str) and side.isdigit() for side in shape] == [True, True]
        else 0
    )


def _images_of_yaml(content: dict[str, Any], file: Path, warnings: Warnings, files: FileNames) -> dict[str, list[Path]]:
    here = file.parent
    base = Path(str(content.get('path') or '.')).expanduser()
    bases = list(dict.fromkeys((base if base.is_absolute() else here / base, here, here / base.name)))
    images: dict[str, list[Path]] = {}
    entries_of: dict[str, Any] = {}
    for split, keys in _SPLIT_KEYS.items():
        entries = next((content[key] for key in keys if content.get(key) not in (None, '', [], '~', 'null')), None)
        if entries is None:
            continue
        entries = entries if isinstance(entries, list) else [entries]
        try:
            images[split] = [
                path for entry in entries for path in _images_of_entry(str(entry), bases, file, split, files)
            ]
        except DatasetError as error:
            if split != 'test':  # Roboflow names one where there is none
                raise
            warnings.add('no test images', f'{error}; there are no test images')
        entries_of[split] = entries
    if entries_of.get('train') == entries_of.get('val'):  # no split, and tools that insist on one
        images = {
            **({'all': images['train']} if 'train' in images else {}),
            **{split: paths for split, paths in images.items() if split == 'test'},
        }
    return images


def _images_of_entry(entry: str, bases: Sequence[Path], file: Path, split: str, files: FileNames) -> list[Path]:
    found = files.find_written(entry, bases, file, os.path.exists, in_split=True)
    if found is None:
        raise DatasetError(
            f'{file}: {split} is {entry!r}, which does not exist; write there a folder or list of images, from '
            f'{" or ".join(map(str, bases))} on'
        )
    if found.is_dir():
        return images_below(found)
    return [found] if is_image(found) else _images_of_list(found, bases, files)


def _images_of_list(file: Path, bases: Sequence[Path], files: FileNames) -> list[Path]:
    bases = list(dict.fromkeys((file.parent, *bases)))
    return [files.find_written(line, bases, file) or file.parent / line for line in read_lines(file)]


def _images_of_tree(root: Path, files: FileNames) -> dict[str, list[Path]]:
    lists = _lists(root)
    folder = image_folder(root)
    if lists:
        return {split: _images_of_list(path, [root, folder], files) for split, path in lists.items()}
    splits: dict[str, list[Path]] = {}
    for split, path in split_folders(folder):
        splits.setdefault(split, []).extend(images_below(path))
    return splits if any(splits.values()) else {'all': images_below(folder)}


def _read_labels(
    image: Path, num_points: int, files: FileNames
) -> tuple[Path | None, list[tuple[int, Any, str]], list[str]]:
    """Return the text file, (class index, corners, place) of each object, and what is wrong with other lines."""
    file = label_file(image, files)
    if file is None:
        return None, [], []
    boxes, wrong = [], []
    try:
        lines = split_lines(read_text(file))
    except DatasetError as error:
        return file, [], [str(error)]
    for number, line in enumerate(lines, 1):
        words = line.replace(',', ' ').split()
        if not words:
            continue
        try:
            index, values = float(words[0]), [float(word) for word in words[1:]]
        except ValueError:
            wrong.append(f'line {number}: {line.strip()[:60]!r} is not a class index and numbers')
            continue
        if not index.is_integer():
            wrong.append(f'line {number}: the class index {words[0]} is not a whole number')
            continue
        if not all(-1 <= value <= 2 for value in values[:4]):  # a little outside happens; NaN is rejected, too
            wrong.append(
                f"line {number}: {line.strip()[:60]!r} holds no shares of the image's sides, 0 to 1; divide "
                'pixels by width and height'
            )
            continue
        if len(values) in (4, 5) or num_points and len(values) == 4 + num_points:
            x, y, w, h = values[:4]
            corners = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        elif len(values) >= 6 and len(values) % 2 == 0:
            corners = (min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2]))
        else:
            wrong.append(f'line {number}: {len(words)} values; a box has 5, a polygon 7, 9, 11 ...')
            continue
        boxes.append((int(index), corners, f'line {number}'))
    return file, boxes, wrong


def write(dataset: Dataset, folder: Path, places: ImagePlaces) -> Written:
    """Write `data.yaml`, `images/<split>` and `labels/<split>`.

    Args:
        dataset: what to write.
        folder: empty.
        places: takes the images.
    """
    paths = {}
    for split, images in dataset.splits.items():
        paths[split] = f'images/{split}'
        labels = folder / 'labels' / split
        labels.mkdir(parents=True)
        for image, name in zip(images, places.add(paths[split], images)):
            lines = (
                f'{box.class_index} {(box.x + box.w / 2) / image.width:.6f} '
                f'{(box.y + box.h / 2) / image.height:.6f} '
                f'{box.w / image.width:.6f} {box.h / image.height:.6f}\n'
                for box in image.boxes
            )
            (labels / f'{Path(name).stem}.txt').write_text(''.join(lines))
    difficult = sum(box.difficult for image in dataset.images() for box in image.boxes)
    if difficult:
        places.warnings.append(f'{folder}: YOLO has no mark for difficult objects; {difficult} lose theirs')
    if 'all' in paths:  # tools insist on a val; the same folder twice says that there is no split
        folder_of_all = paths.pop('all')
        paths = dict(train=folder_of_all, val=folder_of_all, **paths)
    content = dict(**paths, names=dict(enumerate(dataset.class_names)))
    (folder / 'data.yaml').write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding='utf-8')
    return places.written()
