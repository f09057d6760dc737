"""The images and boxes of a training: converted, counted, shown in a table, split if there is no validation set.

The platform hands over empty index files without a word (contract section a.6), and a first data set often has no
validation part. Then a tenth of the training images becomes validation, chosen by a hash of their paths, so that the
same data gives the same split on every machine.
"""

import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import rich.box
from rich.console import Console
from rich.table import Table

from tmi.training.data import Coco, TrainingData, hold_out
from ymir_exc.atomic import write_text_atomically
from ymir_exc.dataset_convert import DataIssues, SplitReport, convert_dataset_to_coco
from ymir_exc.env import get_current_env
from ymir_exc.errors import DatasetError
from ymir_exc.skipped_images import TRAINING, VALIDATION, SkippedImage, write_skipped_images

logger = logging.getLogger('ymir')

LOG_WIDTH = 120
MAX_CLASS_ROWS = 40
MAX_FINDINGS = 5  # of each kind and set, in the log


def prepare_training_data(
    class_names: Sequence[str], annotation_dir: Path, progress: Callable[[float], None] | None = None
) -> tuple[TrainingData, Mapping[str, SplitReport]]:
    """Convert, check and count the data of the task, and print a table of it.

    Args:
        class_names: Classes of the task.
        annotation_dir: Where a split made here is written.
        progress: Called with the share of images that are read.

    Returns:
        The data, and the reports of `train` and `val`.

    Raises:
        DatasetError: 300002 if there is no training image, or no object in any; 300003 if none can be read.
    """
    report = convert_dataset_to_coco(
        cat_id_from_zero=True, progress=progress and (lambda done, total: progress(done / max(total, 1)))
    )
    splits = report.splits
    print_summary(splits, class_names)
    write_skipped_images(get_current_env().output.root_dir, _skipped(splits))
    if not splits['train'].num_boxes:
        raise DatasetError(
            f'none of the {splits["train"].num_images} training images has a labelled object of the classes '
            f'{", ".join(class_names[:MAX_CLASS_ROWS])}, so there is nothing to learn; choose the data set '
            'with the labels, or classes that it has'
        )
    train_file, val_file = Path(splits['train'].ann_file), Path(splits['val'].ann_file)
    train = _read(train_file)
    num_val, has_val_objects = splits['val'].num_images, bool(splits['val'].num_boxes)
    if not splits['val'].num_images:
        train, val = hold_out(train)
        logger.warning(
            'The validation set is empty: %d training images are validated on instead, and %d are trained on. Choose a '
            'validation data set to measure on images of your own choice.',
            len(val['images']),
            len(train['images']),
        )
        train_file, val_file = annotation_dir / 'train_split.json', annotation_dir / 'val_split.json'
        write_text_atomically(train_file, json.dumps(train, allow_nan=False))
        write_text_atomically(val_file, json.dumps(val, allow_nan=False))
        num_val, has_val_objects = len(val['images']), bool(val['annotations'])
    if not has_val_objects:
        logger.warning(
            'No validation image has a labelled object: mAP cannot be measured and is written as 0, and the '
            'best stage is the newest one.'
        )
    sizes = tuple((image['width'], image['height']) for image in train['images'])
    return TrainingData(train_file, val_file, sizes, num_val), splits


def _skipped(splits: Mapping[str, SplitReport]) -> Iterator[SkippedImage]:
    for part, split in ((TRAINING, 'train'), (VALIDATION, 'val')):
        for finding in splits[split].skipped_images.examples:
            yield SkippedImage(part, finding.place, f'{finding.reason} ({finding.detail})')


def _read(path: Path) -> Coco:
    with open(path, encoding='utf-8') as file:
        return json.load(file)


def print_summary(splits: Mapping[str, SplitReport], class_names: Sequence[str]) -> None:
    """Print one table about both sets, and what was left out of them.

    Args:
        splits: Reports of `train` and `val`.
        class_names: Classes of the task.
    """
    reports = [splits['train'], splits['val']]
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
    for split, title in zip(reports, ('training', 'validation')):
        for what, findings in (('Skipped image', split.skipped_images), ('Dropped box', split.dropped_boxes)):
            _log_findings(f'{what} of the {title} set', findings)
        missing = [name for name in class_names if not split.boxes_per_class.get(name)]
        if missing and split.num_boxes:
            logger.warning('No %s image shows: %s', title, ', '.join(missing[:MAX_CLASS_ROWS]))


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


def _log_findings(title: str, findings: DataIssues) -> None:
    for finding in findings.examples[:MAX_FINDINGS]:
        logger.warning('%s: %s', title, finding)
    if findings.count > MAX_FINDINGS:
        reasons = ', '.join(f'{reason}: {count}' for reason, count in findings.by_reason.items())
        logger.warning('%s: %d in all (%s)', title, findings.count, reasons)


def _numbers(values: Sequence[int]) -> str:
    return ', '.join(map(str, values))


def print_table(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Print a table of what and how much to the log."""
    table = Table(title=title, title_justify='left', show_header=False, box=rich.box.ASCII)
    for name, value in rows:
        table.add_row(name, value)
    print_plain(table)


def print_plain(table: Table) -> None:
    """Print a table without escape codes, since the log is shown as it is."""
    Console(width=LOG_WIDTH, no_color=True, highlight=False, force_terminal=False).print(table)
    sys.stdout.flush()
