"""The data set of a detection: fetched, paired, read, counted, shown, and made the COCO files of the core."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rich.box
from rich.console import Console
from rich.table import Table

from mmyolo.utils.files import write_json
from pie.labels import Label
from pie.layout import PARTS, Part, check_layout, pair_files, table
from pie.raster import plain_picture
from pie.storage import Storage, split_url
from pie.texts import PieError, UnusableError, Words, say, warn
from pie.voc import read_voc
from tmi.training.data import Coco, TrainingData, hold_out

CACHE_VARIABLE = 'PIE_CACHE_DIR'
LOG_WIDTH = 140
MAX_SHOWN = 5
TRAIN_SAMPLE = 100  # training images that are measured after each epoch, at most; no more than validation images


@dataclass
class Split:
    """What was read of one part.

    Args:
        coco: Images and boxes of the chosen classes, category ids from 0 in the order of the classes.
        boxes: Class -> how many.
        unchosen: Class that was not chosen -> how many boxes.
        faults: About files and objects that cannot be used, with the key of the file.
        clipped: Boxes that reached beyond their image.
        unread: How many samples are left out.
    """

    coco: Coco
    boxes: Counter = field(default_factory=Counter)
    unchosen: Counter = field(default_factory=Counter)
    faults: list[Words] = field(default_factory=list)
    clipped: int = 0
    unread: int = 0


@dataclass(frozen=True)
class DetectionData:
    """The data of a training.

    Args:
        training: For the core.
        sample_file: COCO file of the training images that are measured after each epoch.
    """

    training: TrainingData
    sample_file: Path


def cache_folder(base: Path, bucket: str, prefix: str) -> Path:
    """Return where the files of a data set are kept between trainings."""
    root = Path(os.environ.get(CACHE_VARIABLE) or base / 'data' / 'cache')
    return root.joinpath(bucket, *(part for part in prefix.split('/') if part not in ('', '.', '..')))


def prepare_detection(
    storage: Storage, url: str, labels: Sequence[Label], base: Path, run_dir: Path, model_name: str
) -> DetectionData:
    """Fetch and read the data set of a detection.

    Args:
        storage: Where it is.
        url: Of the data set, with a slash at its end.
        labels: Chosen classes without background.
        base: Folder of train.py.
        run_dir: Where the COCO files go.
        model_name: The network, for messages.

    Returns:
        The data.

    Raises:
        PieError: It has no image or object to train on, or the layout of another task.
    """
    bucket, prefix = split_url(url, storage.bucket)
    say('listing', url=url)
    listed = {name: storage.list(f'{prefix}{name}/', bucket) for name in PARTS}
    check_layout(listed['train'], f'{prefix}train/', url, 'detection', model_name)
    parts = {name: pair_files(files, f'{prefix}{name}/', 'detection') for name, files in listed.items()}
    print_table('数据文件 Files', [('', '训练 train', '验证 valid'), *table(parts)])
    if not parts['train'].samples:
        raise PieError('no_pairs', url=f'{url}train/')
    folder = cache_folder(base, bucket, prefix)
    wanted = [one for part in parts.values() for sample in part.samples for one in sample]
    places = storage.fetch(wanted, prefix, folder, bucket)
    names = [one.name for one in labels]
    splits = {name: read_split(part, places, names, folder / 'prepared') for name, part in parts.items()}
    _show(splits, names)
    _check(splits['train'], names, url)
    return _write(splits, run_dir)


def read_split(part: Part, places: dict[str, Path], names: Sequence[str], prepared: Path) -> Split:
    """Read the samples of one part.

    Args:
        part: What belongs together.
        places: Key -> local file.
        names: Chosen classes in their order.
        prepared: Folder for pictures that had to be converted.

    Returns:
        Images, boxes and what is wrong with others.
    """
    categories = [{'id': index, 'name': name} for index, name in enumerate(names)]
    split = Split({'images': [], 'annotations': [], 'categories': categories})
    for image, label in part.samples:
        try:
            file = places[label.key]
            found = read_voc(file.read_bytes())
        except UnusableError as error:
            _leave_out(split, label.key, error)
            continue
        try:
            path = places[image.key]
            target = prepared / path.parent.parent.name / f'{path.name}.{image.etag[:8]}.png'
            path, size = plain_picture(path, target)
        except UnusableError as error:
            _leave_out(split, image.key, error)
            continue
        split.faults += [Words('of_file', key=label.key, what=fault) for fault in found.faults]
        number = len(split.coco['images'])
        split.coco['images'].append({'id': number, 'file_name': str(path), 'width': size[0], 'height': size[1]})
        for name, box in found.objects:
            if name in names:
                _add_box(split, number, label.key, name, names.index(name), box, size)
            else:
                split.unchosen[name] += 1
    return split


def _leave_out(split: Split, key: str, error: UnusableError) -> None:
    split.unread += 1
    split.faults.append(Words('of_file', key=key, what=error.words))


def _add_box(
    split: Split, image: int, key: str, name: str, category: int, box: Sequence[float], size: tuple[int, int]
) -> None:
    """Add a box, cut at the borders of its image; the corners are taken as they are, so a width is x2 - x1."""
    x1, x2 = (min(max(value, 0.0), float(size[0])) for value in box[::2])
    y1, y2 = (min(max(value, 0.0), float(size[1])) for value in box[1::2])
    if x1 >= x2 or y1 >= y2:
        outside = Words('box_outside', name=name, width=size[0], height=size[1])
        split.faults.append(Words('of_file', key=key, what=outside))
        return
    split.clipped += (x1, y1, x2, y2) != tuple(box)
    split.boxes[name] += 1
    split.coco['annotations'].append(
        {
            'id': len(split.coco['annotations']) + 1,
            'image_id': image,
            'category_id': category,
            'bbox': [x1, y1, x2 - x1, y2 - y1],
            'area': (x2 - x1) * (y2 - y1),
            'iscrowd': 0,
        }
    )


def _check(train: Split, names: Sequence[str], url: str) -> None:
    if not train.coco['images']:
        raise PieError('nothing_readable', url=f'{url}train/', first=train.faults[0])
    if not train.coco['annotations']:
        found = ', '.join(f'{name} ({count})' for name, count in train.unchosen.most_common(10)) or '0'
        raise PieError('no_objects', names=', '.join(names), found=found, url=f'{url}train/labels/')


def _write(splits: dict[str, Split], run_dir: Path) -> DetectionData:
    """Write the COCO files: both sets, and the training images that are measured after each epoch."""
    train, valid = splits['train'].coco, splits['valid'].coco
    if not valid['images']:
        train, valid = hold_out(train)
        warn('no_valid', held=len(valid['images']), rest=len(train['images']))
    if not valid['annotations']:
        warn('no_valid_objects')
    count = min(len(valid['images']), len(train['images']), TRAIN_SAMPLE)
    step = len(train['images']) / count
    images = [train['images'][int(index * step)] for index in range(count)]
    ids = {image['id'] for image in images}
    sample = dict(train, images=images, annotations=[one for one in train['annotations'] if one['image_id'] in ids])
    files = {name: run_dir / f'{name}.json' for name in ('train', 'valid', 'train_sample')}
    for name, coco in (('train', train), ('valid', valid), ('train_sample', sample)):
        write_json(files[name], coco)
    sizes = tuple((image['width'], image['height']) for image in train['images'])
    data = TrainingData(files['train'], files['valid'], sizes, len(valid['images']))
    return DetectionData(data, files['train_sample'])


def _show(splits: dict[str, Split], names: Sequence[str]) -> None:
    """Show a summary of both parts and of what was left out of them."""

    def row(title: str, value: Any) -> tuple[str, ...]:
        return (title, *(str(value(split)) for split in splits.values()))

    rows = [
        ('', '训练 train', '验证 valid'),
        row('图像 images', lambda split: len(split.coco['images'])),
        row('读不出 left out', lambda split: split.unread),
        row('目标 boxes', lambda split: len(split.coco['annotations'])),
        row('裁到边界 clipped boxes', lambda split: split.clipped),
        *(row(f'  {name}', lambda split, name=name: split.boxes[name]) for name in names),
        row('未选类别的目标 boxes of other classes', lambda split: sum(split.unchosen.values())),
    ]
    print_table('数据 Data', rows)
    for name, split in splits.items():
        show_faults(name, split.faults)
        absent = [one for one in names if not split.boxes[one]]
        if absent and split.coco['images']:
            warn('class_absent', part=name, names=', '.join(absent))


def print_table(title: str, rows: Sequence[Sequence[str]]) -> None:
    """Print a table without escape codes, since the log is shown as it is; the first row is the head."""
    shown = Table(title=title, title_justify='left', box=rich.box.ASCII)
    for name in rows[0]:
        shown.add_column(name, justify='right' if name else 'left')
    for row in rows[1:]:
        shown.add_row(*row)
    Console(width=LOG_WIDTH, no_color=True, highlight=False, markup=False, force_terminal=False).print(shown)


def show_faults(part: str, faults: Sequence[Words]) -> None:
    """Name the first things that are left out of a part, and how many there are."""
    for fault in faults[:MAX_SHOWN]:
        warn('left_out', part=part, what=fault)
    if len(faults) > MAX_SHOWN:
        warn('left_out_more', part=part, count=len(faults))
