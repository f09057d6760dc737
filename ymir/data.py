"""The images and boxes of a training: converted, counted, shown in a table, split if there is no validation set.

The platform hands over empty index files without a word (contract section a.6), and a first data set often has no
validation part. Then a tenth of the training images becomes validation, chosen by a hash of their paths, so that the
same data gives the same split on every machine.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import rich.box
from rich.table import Table

from tmi.training.data import TrainingData, held_out
from tmi.training.needs import decodable_pixels
from ymir.log_tables import print_plain
from ymir.preflight import check_and_convert
from ymir_exc.dataset_convert import SplitReport
from ymir_exc.dataset_convert.coco_file import write_coco
from ymir_exc.dataset_convert.compact import LabelledImages
from ymir_exc.dataset_convert.image_size import MAX_PIXELS
from ymir_exc.errors import DatasetError

logger = logging.getLogger('ymir')

MAX_CLASS_ROWS = 40


def prepare_training_data(
    class_names: Sequence[str],
    annotation_dir: Path,
    progress: Callable[[int, int], None] | None = None,
    masks: bool = False,
) -> tuple[TrainingData, Mapping[str, SplitReport]]:
    """Convert, check and count the data of the task, and print a table of it.

    Args:
        class_names: Classes of the task.
        annotation_dir: Where a split made here is written.
        progress: Called with the number of images that are read, and of all.
        masks: Whether each object needs a mask.

    Returns:
        The data, and the reports of `train` and `val`.

    Raises:
        DatasetError: 300002 if there is no training image, or no object in any; 300003 if none can be read.
    """
    report = check_and_convert(class_names, min(MAX_PIXELS, decodable_pixels() or MAX_PIXELS), progress, masks)
    splits, train = report.splits, report.images['train']
    print_summary(splits, class_names)
    _check_something_to_learn(splits['train'], train, class_names)
    files = {split: Path(splits[split].ann_file) for split in ('train', 'val')}
    num_val, has_val_objects = splits['val'].num_images, bool(splits['val'].num_boxes)
    if not num_val:
        rest, held = held_out(train.paths, lambda chosen: any(train.counts[index] for index in chosen))
        listed = splits['val'].num_listed
        logger.warning(
            'The validation set %s: %d training images are validated on instead, and %d are trained on. Choose a '
            'validation data set to measure on images of your own choice.',
            f'has no usable image of {listed}' if listed else 'is empty',
            len(held),
            len(rest),
        )
        validated, train = train.subset(held), train.subset(rest)
        for split, images in (('train', train), ('val', validated)):
            files[split] = annotation_dir / f'{split}_split.json'
            write_coco(files[split], images, class_names, cat_id_from_zero=True)
        num_val, has_val_objects = len(validated), bool(validated.class_ids)
    if not has_val_objects:
        logger.warning(
            'No validation image has a labelled object: %s cannot be measured and is written as 0, and the '
            'best stage is the newest one.',
            'maskAP' if masks else 'mAP',
        )
    sizes = tuple(zip(train.widths, train.heights))
    return TrainingData(files['train'], files['val'], sizes, num_val), splits


def _check_something_to_learn(report: SplitReport, images: LabelledImages, class_names: Sequence[str]) -> None:
    """Check that a training image has an object that is learnt."""
    names = ', '.join(class_names[:MAX_CLASS_ROWS])
    if not report.num_boxes:
        raise DatasetError(
            f'none of the {report.num_images} training images has a labelled object of the classes {names}, so there '
            'is nothing to learn; choose the data set with the labels, or classes that it has'
        )
    if sum(crowd for crowd, _, _ in images.others.values()) == report.num_boxes:
        raise DatasetError(
            f'all {report.num_boxes} labelled objects of the training images are marked as crowds (iscrowd 1), which '
            'are not learnt; set iscrowd to 0 for single objects'
        )


def print_summary(splits: Mapping[str, SplitReport], class_names: Sequence[str]) -> None:
    """Print one table about both sets.

    Args:
        splits: Reports of `train` and `val`.
        class_names: Classes of the task.
    """
    table = Table(title='Data', title_justify='left', box=rich.box.ASCII)
    for name in ('', 'training', 'validation'):
        table.add_column(name, justify='right' if name else 'left')
    for row in data_rows(splits):
        table.add_row(*map(str, row))
    for name, counts in list(zip(class_names, class_objects(splits, class_names)))[:MAX_CLASS_ROWS]:
        table.add_row(f'  {name}', *map(str, counts))
    if len(class_names) > MAX_CLASS_ROWS:
        table.add_row(f'  and {len(class_names) - MAX_CLASS_ROWS} more classes', '', '')
    print_plain(table)


def data_rows(splits: Mapping[str, SplitReport]) -> list[list[Any]]:
    """Return what was found in the data: name, and number or text of `train` and of `val`."""
    values = [
        ('images listed', lambda split: split.num_listed),
        ('images used', lambda split: split.num_images),
        ('images without objects', lambda split: split.num_empty_images),
        ('images skipped', lambda split: split.skipped_images.count),
        ('width (min, median, max)', lambda split: _numbers(split.image_widths)),
        ('height (min, median, max)', lambda split: _numbers(split.image_heights)),
        ('boxes', lambda split: split.num_boxes),
        ('boxes dropped', lambda split: split.dropped_boxes.count),
        ('boxes clipped', lambda split: split.clipped_boxes.count),
    ]
    return [[name, *(value(splits[part]) for part in ('train', 'val'))] for name, value in values]


def class_objects(splits: Mapping[str, SplitReport], class_names: Sequence[str]) -> list[list[int]]:
    """Return the number of objects of each class in `train` and in `val`."""
    return [[splits[part].boxes_per_class.get(name, 0) for part in ('train', 'val')] for name in class_names]


def _numbers(values: Sequence[int]) -> str:
    return ', '.join(map(str, values))
