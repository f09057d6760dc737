"""COCO files as the public tools for data sets write them: yolo2coco, labelme2coco and balloon2coco.

What is read, and what is left out with a warning, is decided by the readers that `ymir convert` has, too. Other than
there, classes keep their names and ids, boxes their fractions of pixels, and images that occur twice stay. Nothing read
is an error, and no file is written then.
"""

import json
import os
import sys
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ymir_exc.atomic import write_text_atomically
from ymir_exc.errors import DatasetError

from ..platform.labels import Dataset, LabelledBox, LabelledImage
from . import check_has_boxes, labelme, via, yolo
from .assemble import assemble
from .clip_box import fit
from .file_names import FileNames, plain_name, without_address
from .files import SPLITS, images_below, read_lines
from .raw import RawDataset, RawImage
from .yolo_folders import image_folder

Warn = Callable[[str], None]
_SHOWN = 5


@contextmanager
def reporting() -> Iterator[Warn]:
    """Print warnings on standard error; an error in the data ends the process with its sentence and exit code 1."""
    try:
        yield lambda sentence: print(f'warning: {sentence}', file=sys.stderr)
    except (DatasetError, OSError) as error:
        sys.exit(f'error: {error}')


def _annotation(number: int, image_id: int, category_id: int, box: LabelledBox) -> dict:
    """Return an annotation; its segmentation is the outline of the box, clockwise from the upper left.

    Ids begin with 1, for pycocotools takes 0 for "not matched".
    """
    x1, y1, x2, y2 = box.x, box.y, box.x + box.w, box.y + box.h
    return {
        'id': number,
        'image_id': image_id,
        'category_id': category_id,
        'bbox': [box.x, box.y, box.w, box.h],
        'area': box.w * box.h,
        'iscrowd': 0,
        'segmentation': [[x1, y1, x2, y1, x2, y2, x1, y2]],
    }


def _coco(
    images: Iterable[tuple[int, str, LabelledImage]],
    categories: Sequence[dict],
    category_ids: Sequence[int],
    first: int,
) -> dict:
    """Return the content of a file; ids of annotations begin with `first`."""
    entries: list[dict] = []
    annotations: list[dict] = []
    for image_id, name, image in images:
        entries.append({'id': image_id, 'file_name': name, 'width': image.width, 'height': image.height})
        for box in image.boxes:
            annotations.append(_annotation(first + len(annotations), image_id, category_ids[box.class_index], box))
    return {'images': entries, 'annotations': annotations, 'categories': list(categories)}


def write_coco(files: dict[Path, dict], indent: int | None = None) -> None:
    """Write COCO files, each as a whole.

    Args:
        files: path to content.
        indent: of nested lines.
    """
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(path, json.dumps(content, ensure_ascii=False, indent=indent, allow_nan=False))


def _relative(path: Path, bases: Iterable[Path]) -> str:
    """Return the path from the first of the folders that it lies in."""
    path = Path(os.path.normpath(path))
    base = next((base for base in bases if path.is_relative_to(base)), None)
    return (path if base is None else path.relative_to(base)).as_posix()


def convert_yolo(root: Path, warn: Warn) -> dict[Path, dict]:
    """Write root/annotations/{train,val,test}.json where lists or folders say so, else result.json.

    Args:
        root: folder of a YOLO data set, or its data.yaml.
        warn: called with one sentence for all that is left out.

    Returns:
        File to its content: category ids from 0 in the order of the classes, image ids from 0 in the order of names
        over all files, names of images from `images` on. Images without labels are kept as images without objects.

    Raises:
        DatasetError: there is no such data set, or nothing of it can be read.
    """
    root = Path(os.path.abspath(root))
    raw = yolo.read(root)
    dataset = _assembled(raw, root, warn)
    root = root if root.is_dir() else root.parent
    folder = image_folder(root)
    names = {path: _relative(path, (folder, root)) for path in {image.path for image in dataset.images()}}
    ids = {path: number for number, path in enumerate(sorted(names, key=lambda path: Path(names[path])))}
    categories = [{'id': number, 'name': name} for number, name in enumerate(dataset.class_names)]
    written, first = {}, 1
    for split in ('all', *SPLITS):
        if split in dataset.splits:
            images = sorted((ids[image.path], names[image.path], image) for image in dataset.splits[split])
            content = _coco(images, categories, range(len(categories)), first)
            first += len(content['annotations'])
            written[root / 'annotations' / f'{"result" if split == "all" else split}.json'] = content
    write_coco(written)
    return written


def _assembled(raw: RawDataset, root: Path, warn: Warn) -> Dataset:
    dataset = assemble(raw, root, as_written=True)
    check_has_boxes(dataset, f'no box was read from {root}')
    for sentence in dataset.warnings:
        warn(sentence)
    return dataset


def read_class_ids(path: Path) -> dict[str, int]:
    """Read lines of an id and a name, such as `1 traffic light`.

    Args:
        path: the file.

    Raises:
        DatasetError: a line is something else, or a name or an id occurs twice.
    """
    ids: dict[str, int] = {}
    for number, line in enumerate(read_lines(path), 1):
        index, _, name = line.replace('\t', ' ').partition(' ')
        name = name.strip()
        if not (index.isascii() and index.isdecimal()) or not name:
            raise DatasetError(f'{path}, line {number}: {line!r} must be an id and a name, such as "1 cat"')
        if name in ids or int(index) in ids.values():
            raise DatasetError(f'{path}, line {number}: {line!r} has an id or a name of an earlier line')
        ids[name] = int(index)
    if not ids:
        raise DatasetError(f'{path} names no classes; write lines such as "1 cat"')
    return ids


def convert_labelme(img_dir: Path, labels_dir: Path, out: Path, class_id_txt: Path | None, warn: Warn) -> dict:
    """Write the rectangles of labelme as a COCO file, and class_with_id.txt beside it unless classes are given.

    Args:
        img_dir: the images, also in sub-folders.
        labels_dir: <name of the image>.json for each, in the same sub-folder or in none. Images without are left out.
        out: the file.
        class_id_txt: see `read_class_ids`; None: classes are numbered from 1 as they are met.
        warn: called with one sentence for all that is left out.

    Returns:
        The content of the COCO file; ids of images begin with 1.

    Raises:
        DatasetError: nothing can be read, or a class is not in the list.
    """
    img_dir, labels_dir = (Path(os.path.abspath(folder)) for folder in (img_dir, labels_dir))
    ids = None if class_id_txt is None else read_class_ids(class_id_txt)
    raw = _labelme_rectangles(img_dir, labels_dir)
    used = list(dict.fromkeys(box.class_name for image in raw.splits['all'] for box in image.boxes))
    if ids is None:
        ids = {name: number for number, name in enumerate(used, 1)}
        is_listed = False
    else:
        is_listed = True
        for image in raw.splits['all']:
            for box in image.boxes:
                if box.class_name not in ids:
                    raise DatasetError(
                        f'{image.source}: {box.place}: the class {box.class_name!r} is not in {class_id_txt}, '
                        f'which has {sorted(ids)}'
                    )
    raw.class_names = list(ids)
    dataset = _assembled(raw, labels_dir, warn)
    images = [
        (number, _relative(image.path, (img_dir,)), image) for number, image in enumerate(dataset.splits['all'], 1)
    ]
    content = _coco(images, [{'id': number, 'name': name} for name, number in ids.items()], list(ids.values()), 1)
    write_coco({out: content}, indent=4)
    if not is_listed:
        write_text_atomically(
            out.parent / 'class_with_id.txt', ''.join(f'{number} {name}\n' for name, number in ids.items())
        )
    return content


def _labelme_rectangles(img_dir: Path, labels_dir: Path) -> RawDataset:
    for folder, option in (img_dir, '--img-dir'), (labels_dir, '--labels-dir'):
        if not folder.is_dir():
            raise DatasetError(f'{option}: {folder} is not a folder')
    raw, files = RawDataset(splits={'all': []}), FileNames()
    paths = images_below(img_dir)
    if not paths:
        raise DatasetError(f'{img_dir} holds no image')
    found = {path: _file_of(path, img_dir, labels_dir, files) for path in paths}
    without = [path for path in paths if found[path] is None]
    found.update(_files_by_image_path(without, labels_dir, set(found.values())))
    without = [path for path in without if found[path] is None]
    for path in paths:
        if found[path] is None:
            continue
        try:
            content = labelme.read_file(found[path])
        except DatasetError as error:
            raw.warnings.add('annotations left out', f'{error}; the image is left out')
            continue
        boxes = labelme.take_boxes(content, found[path], raw, ('rectangle',))
        raw.splits['all'].append(RawImage(path, found[path], boxes, size=content.size))
    files.report(raw.warnings)
    if without:
        examples = ', '.join(map(str, without[:_SHOWN]))
        raw.warnings.add(
            'images without annotation',
            f'{len(without)} of {len(paths)} images have no file of labels '
            f'<name of the image>.json in {labels_dir} and are left out: {examples}',
        )
    if not raw.splits['all']:
        raise DatasetError(
            '\n  '.join(
                (f'no file of labels was read for the {len(paths)} images of {img_dir}', *raw.warnings.sentences())
            )
        )
    return raw


def _file_of(image: Path, img_dir: Path, labels_dir: Path, files: FileNames) -> Path | None:
    """Return the file of an image by its name, in the same sub-folder or in none."""
    places = [labels_dir / image.relative_to(img_dir).with_suffix('.json'), labels_dir / f'{image.stem}.json']
    found = next((place for place in places if place.is_file()), None)
    return found or next(filter(None, (files.find_labels(place, image) for place in places)), None)


def _files_by_image_path(images: Sequence[Path], labels_dir: Path, used: Container[Path | None]) -> dict[Path, Path]:
    """Return the files of images that are named in them only, in `imagePath`."""
    by_name: dict[str, Path] = {}
    for file in labelme.label_files(labels_dir) if images else ():
        if file not in used:
            try:
                name = without_address(labelme.read_file(file).image_name).rpartition('/')[2]
            except DatasetError:
                continue
            by_name.setdefault(plain_name(name), file)
    return {image: by_name[plain_name(image.name)] for image in images if plain_name(image.name) in by_name}


def convert_balloon(root: Path, warn: Warn) -> dict[Path, dict]:
    """Write root/train.json and root/val.json from root/{train,val}/via_region_data.json.

    Args:
        root: folder of the data set.
        warn: called with one sentence for all that is left out.

    Returns:
        File to its content, with the category 0, 'balloon'. Points of polygons are centres of pixels, so they are moved
        by half of one; boxes are those of the points as they stand.

    Raises:
        DatasetError: a file is missing or broken, or nothing of it can be read.
    """
    written = {Path(root) / f'{split}.json': _balloons(Path(root) / split, warn) for split in ('train', 'val')}
    write_coco(written)
    return written


def _balloons(folder: Path, warn: Warn) -> dict:
    file = folder / 'via_region_data.json'
    entries = list(via.read_file(file))
    files, raw = FileNames(), RawDataset(class_names=['balloon'])
    regions: dict[Path, list[via.Region]] = {}
    for entry in entries:
        path = files.find_written(entry.file_name, (folder,), file) or folder / entry.file_name
        regions.setdefault(path, []).extend(entry.regions)
    raw.splits['all'] = [RawImage(path, file, ()) for path in regions]
    files.report(raw.warnings)
    if not regions:
        raise DatasetError(f'{file} names no images')
    dataset = assemble(raw, folder, as_written=True)
    content = _coco(
        ((number, _relative(image.path, (folder,)), image) for number, image in enumerate(dataset.images())),
        [{'id': 0, 'name': 'balloon'}],
        [0],
        1,
    )
    for number, image in enumerate(dataset.images()):
        for region in regions[image.path]:
            annotation, problem = _polygon(region, (image.width, image.height))
            if problem:
                raw.warnings.add('annotations left out', f'{file}: {region.place}: {problem}')
            if annotation:
                content['annotations'].append(dict(annotation, id=len(content['annotations']) + 1, image_id=number))
    if not content['annotations'] and any(regions.values()):
        raise DatasetError('\n  '.join((f'no region was read from {file}', *raw.warnings.sentences())))
    for sentence in raw.warnings.sentences():
        warn(sentence)
    return content


def _polygon(region: via.Region, size: tuple[int, int]) -> tuple[dict | None, str]:
    if not region.points:
        return None, f'{region.problem}; it is left out'
    fitted, problem = fit(region.corners(), size, whole_pixels=False)
    if fitted is None:
        return None, f'the box around it {problem}; it is left out'
    points = [min(max(value + 0.5, 0), side) for point in region.points for value, side in zip(point, size)]
    return {
        'category_id': 0,
        'bbox': list(fitted),
        'area': fitted[2] * fitted[3],
        'iscrowd': 0,
        'segmentation': [points],
    }, f'the box around it {problem}; it is clipped' if problem else ''
