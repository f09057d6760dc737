"""The data set of a segmentation or change detection: fetched, paired, checked, counted and shown."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from mmyolo.utils.files import replacing
from pie.dataset import cache_folder, print_table, show_faults
from pie.labels import Label
from pie.layout import PARTS, Part, check_layout, pair_files, table
from pie.pixel_labels import read_label
from pie.raster import plain_picture
from pie.storage import Storage, split_url
from pie.texts import PieError, UnusableError, Words, say, warn

HELD_OUT = 10  # where there is no valid part, each so many-th training sample is validated on


@dataclass
class PixelSplit:
    """What was read of one part.

    Args:
        samples: Pictures and the label of each sample, the label as training values.
        pixels: Of each class.
        unknown: Value or colour that is no class -> in how many labels it occurs.
        faults: What is wrong with samples that cannot be used.
    """

    samples: list[list[str]] = field(default_factory=list)
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    unknown: Counter = field(default_factory=Counter)
    faults: list[Words] = field(default_factory=list)


def prepare_pixels(
    storage: Storage, url: str, labels: Sequence[Label], base: Path, run_dir: Path, task: str, model_name: str
) -> dict[str, PixelSplit]:
    """Fetch and read the data set.

    Args:
        storage: Where it is.
        url: Of the data set, with a slash at its end.
        labels: Classes, background included.
        base: Folder of train.py.
        run_dir: Where the labels go as training values.
        task: 'segmentation' or 'change'.
        model_name: The network, for messages.

    Returns:
        `train` and `valid`, both with samples.

    Raises:
        PieError: There is nothing to train on, or it has the layout of another task.
    """
    bucket, prefix = split_url(url, storage.bucket)
    say('listing', url=url)
    listed = {name: storage.list(f'{prefix}{name}/', bucket) for name in PARTS}
    check_layout(listed['train'], f'{prefix}train/', url, task, model_name)
    parts = {name: pair_files(files, f'{prefix}{name}/', task) for name, files in listed.items()}
    print_table('数据文件 Files', [('', '训练 train', '验证 valid'), *table(parts)])
    if not parts['train'].samples:
        raise PieError('no_pairs', url=f'{url}train/')
    folder = cache_folder(base, bucket, prefix)
    wanted = [one for part in parts.values() for sample in part.samples for one in sample]
    places = storage.fetch(wanted, prefix, folder, bucket)
    splits = {
        name: read_pixels(part, places, labels, folder / 'prepared' / name, run_dir / 'labels' / name)
        for name, part in parts.items()
    }
    _show(splits, labels)
    train, valid = splits['train'], splits['valid']
    if not train.samples:
        raise PieError('nothing_readable', url=f'{url}train/', first=train.faults[0])
    if np.count_nonzero(train.pixels) < 2:
        found = ', '.join(name for name, _ in train.unknown.most_common(10)) or labels[int(train.pixels.argmax())].name
        raise PieError('one_class_only', url=f'{url}train/labels/', found=found)
    if not valid.samples:
        held = train.samples[::HELD_OUT]
        train.samples = [one for one in train.samples if one not in held] or held
        valid.samples = held
        warn('no_valid', held=len(held), rest=len(train.samples))
    return splits


def read_pixels(
    part: Part, places: dict[str, Path], labels: Sequence[Label], prepared: Path, indices: Path
) -> PixelSplit:
    """Read the samples of one part.

    Args:
        part: What belongs together.
        places: Key -> local file.
        labels: Classes.
        prepared: Folder for pictures that had to be converted.
        indices: Folder for labels as training values.

    Returns:
        What can be used, and what is wrong with the rest.
    """
    split = PixelSplit(pixels=np.zeros(len(labels), np.int64))
    indices.mkdir(parents=True, exist_ok=True)
    for number, (*pictures, label) in enumerate(part.samples):
        key = label.key
        try:
            values, unknown = read_label(places[key], labels)
            files = []
            for one in pictures:
                key, path = one.key, places[one.key]
                plain, size = plain_picture(path, prepared / f'{path.parent.name}.{path.name}.{one.etag[:8]}.png')
                if size != values.shape[::-1]:
                    height, width = values.shape
                    raise UnusableError(
                        'sizes_differ', width=size[0], height=size[1], label_width=width, label_height=height
                    )
                files.append(str(plain))
        except UnusableError as error:
            split.faults.append(Words('of_file', key=key, what=error.words))
            continue
        target = indices / f'{number}.png'
        with replacing(target) as temporary:
            cv2.imwrite(str(temporary), values)
        split.unknown.update(unknown)
        split.pixels += np.bincount(values.ravel(), minlength=len(labels))
        split.samples.append([*files, str(target)])
    return split


def _show(splits: dict[str, PixelSplit], labels: Sequence[Label]) -> None:
    def share(split: PixelSplit, index: int) -> str:
        return f'{100 * split.pixels[index] / max(split.pixels.sum(), 1):.2f} %'

    rows = [
        ('', '训练 train', '验证 valid'),
        ('样本 samples', *(str(len(split.samples)) for split in splits.values())),
        ('读不出 left out', *(str(len(split.faults)) for split in splits.values())),
        *((f'  {one.name}', *(share(split, index) for split in splits.values())) for index, one in enumerate(labels)),
    ]
    print_table('数据 Data', rows)
    for name, split in splits.items():
        show_faults(name, split.faults)
        if split.unknown:
            values = '; '.join(value for value, _ in split.unknown.most_common(10))
            warn('unknown_values', part=name, values=values, first=labels[0].name)
        absent = [one.name for index, one in enumerate(labels) if not split.pixels[index]]
        if absent and split.samples:
            warn('class_absent', part=name, names=', '.join(absent))
