"""A data set of the platform in a folder: which task it is for, and its classes as the parameter `label` has them.

DATA/train|valid/images/NAME.jpg  labels/NAME.xml        detection
DATA/train|valid/images/NAME.tif  labels/NAME.png        segmentation
DATA/train|valid/A/NAME.tif  B/NAME.tif  labels/NAME.png change detection
DATA/label.json                                          the classes; for detection it may be missing
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from .causes import ContentError, cause_of
from .judge import ClassOfLabel
from .texts import PieError

LABEL_FILE = 'label.json'
COLOURS = ('255,0,0', '0,0,255', '0,255,0', '255,255,0', '255,0,255', '0,255,255', '255,128,0', '128,0,255')


@dataclass(frozen=True)
class DataSet:
    """A data set in a folder.

    Attributes:
        folder: With train/ and valid/.
        task: 'detection', 'segmentation' or 'change'.
        label: Entries of the parameter `label`: class_name, class_value, class_title, class_color.
    """

    folder: Path
    task: str
    label: list[dict[str, Any]]


def read_data_set(folder: Path) -> DataSet:
    """Find task and classes of a data set.

    Args:
        folder: With train/ and valid/.

    Raises:
        PieError: It is no data set, or label.json is missing or wrong.
    """
    folder = Path(folder)
    for part in ('train', 'valid'):
        if not (folder / part).is_dir():
            raise PieError('data.no_part', folder=folder, part=part)
        if not (folder / part / 'labels').is_dir():
            raise PieError('data.no_part', folder=folder, part=f'{part}/labels')
    if (folder / 'train/A').is_dir():
        task = 'change'
    else:
        if not (folder / 'train/images').is_dir():
            raise PieError('data.no_part', folder=folder, part='train/images')
        is_xml = any(path.suffix.lower() == '.xml' for path in (folder / 'train/labels').iterdir())
        task = 'detection' if is_xml else 'segmentation'
    file = folder / LABEL_FILE
    if file.is_file():
        return DataSet(folder, task, _read_label(file))
    if task != 'detection':
        raise PieError('data.no_label', file=file)
    return DataSet(folder, task, _label_of_xml(folder))


def classes_of(label: Any) -> tuple[ClassOfLabel, ...]:
    """Return the classes of a parameter `label`.

    Args:
        label: The list, or the text that holds it as JSON.

    Raises:
        ValueError: It is neither; the text says why.
    """
    if isinstance(label, str):
        label = json.loads(label)
    if not isinstance(label, list) or not label:
        raise ContentError('cause.no_list')
    classes = []
    for index, entry in enumerate(label):
        if not isinstance(entry, dict):
            raise ContentError('cause.entry_no_object', index=index)
        missing = [key for key in ('class_name', 'class_value', 'class_color') if key not in entry]
        if missing:
            raise ContentError('cause.entry_lacks', index=index, key=missing[0])
        try:
            value = int(entry['class_value'])
            colour = tuple(int(part) for part in str(entry['class_color']).split(','))
        except (TypeError, ValueError):
            colour = ()
        if len(colour) != 3 or not all(0 <= part <= 255 for part in colour):
            raise ContentError('cause.entry_wrong', index=index)
        classes.append(ClassOfLabel(str(entry['class_name']), value, (colour[0], colour[1], colour[2])))
    return tuple(classes)


def _read_label(file: Path) -> list[dict[str, Any]]:
    try:
        label = json.loads(file.read_text(encoding='utf-8'))
        classes_of(label)
    except (OSError, ValueError, RecursionError) as error:
        raise PieError('data.bad_label', file=file, cause=cause_of(error)) from None
    return label


def _label_of_xml(folder: Path) -> list[dict[str, Any]]:
    names: set[str] = set()
    for file in sorted(folder.glob('*/labels/*.xml')):
        try:
            names |= {(name.text or '').strip() for name in ElementTree.parse(file).iterfind('object/name')}
        except (ElementTree.ParseError, OSError, ValueError):
            continue  # the script has to say so
    names -= {''}
    if not names:
        raise PieError('data.no_classes', folder=folder)
    return [
        {
            'class_name': name,
            'class_value': index + 1,
            'class_title': name,
            'class_color': COLOURS[index % len(COLOURS)],
        }
        for index, name in enumerate(sorted(names))
    ]
