"""Data sets in the formats that people have them in: read, split, written.

    dataset = read_dataset('folder')                 # COCO, VOC, YOLO, labelme, VIA, a task of YMIR, or images alone
    dataset = with_validation(dataset)               # splits 'train' and 'val'
    write_dataset(dataset, 'other', 'yolo')

What is wrong with a data set never stops its reading half-way: the table in `assemble.py` says what happens, and
`Dataset.warnings` names every file and place.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ymir_exc.errors import DatasetError
from ymir_exc.threads import OnProgress

from ..platform.labels import Dataset
from . import coco, image_folder, labelme, via, voc, ymir_in, yolo
from .assemble import assemble, platform_name
from .image_writer import ImagePlaces, Written
from .split import with_validation
from .unsupported import archives, foreign_labels

__all__ = [
    'FORMATS',
    'WRITTEN_FORMATS',
    'detect_format',
    'found_formats',
    'platform_name',
    'read_dataset',
    'check_unused',
    'check_has_boxes',
    'with_validation',
    'write_dataset',
]

# In the order in which they are looked for: what is most particular first.
_FORMATS = {
    'ymir': (ymir_in.is_ymir, ymir_in),
    'coco': (coco.is_coco, coco),
    'voc': (voc.is_voc, voc),
    'yolo': (yolo.is_yolo, yolo),
    'labelme': (labelme.is_labelme, labelme),
    'via': (via.is_via, via),
    'images': (image_folder.is_images, image_folder),
}
FORMATS = tuple(_FORMATS)
WRITTEN_FORMATS = ('coco', 'voc', 'yolo', 'ymir')


def found_formats(path: Path) -> list[str]:
    """Return the formats that a folder or file may be read in, the one to take first.

    Args:
        path: folder of a data set, a COCO .json file or a data.yaml.

    Raises:
        DatasetError: there is none, or nothing is there.
    """
    path = Path(path)
    if not path.exists():
        raise DatasetError(f'{path} does not exist')
    found = []
    for name, (is_format, _) in _FORMATS.items():
        if is_format(path) and not (name == 'images' and found):
            found.append(name)
        if found == ['ymir']:
            break
    if not found:
        looked = ''.join(f'\n  {name}: {module.LOOKS_FOR}' for name, (_, module) in _FORMATS.items())
        hints = ''.join(f' {sentence}.' for sentence in (*foreign_labels(path), *archives(path)))
        raise DatasetError(f'{path} holds no data set that can be read.{hints} Looked for{looked}')
    return found


def detect_format(path: Path) -> str:
    """Return in which format a data set is, by what is there.

    Args:
        path: folder of a data set, a COCO .json file or a data.yaml.

    Returns:
        One of `FORMATS`.

    Raises:
        DatasetError: nothing is there that is known; the message says what was looked for where.
    """
    return found_formats(path)[0]


def read_dataset(
    path: Path,
    format: str | None = None,
    class_names: Sequence[str] | None = None,
    on_progress: OnProgress | None = None,
    masks: bool = False,
) -> Dataset:
    """Read a data set.

    Args:
        path: its folder, a COCO .json file or a data.yaml.
        format: one of `FORMATS`; None: by what is there.
        class_names: the classes to keep, in this order; None: all.
        on_progress: called now and then with the number of images done and of all.
        masks: keep the masks of objects: polygons and run-length codes of COCO, polygons of labelme.

    Returns:
        Its images with whole-pixel boxes inside them, and warnings for all that was left out or changed.

    Raises:
        DatasetError: there is no such data set, a file of it that stands for all images is broken, or no image can be
            read.
    """
    path = Path(os.path.abspath(os.path.expanduser(path)))
    if format is not None and format not in _FORMATS:
        raise DatasetError(f'unknown format {format!r}; there are: {", ".join(FORMATS)}')
    found = found_formats(path) if format is None else [format]
    if not path.exists():
        raise DatasetError(f'{path} does not exist')
    module = _FORMATS[found[0]][1]
    raw = module.read(path, class_names) if module is yolo else module.read(path)
    for other in found[1:]:
        raw.warnings.add(
            'other formats', f'{path} is read as {found[0]}, but looks like {other} too; name the format to choose'
        )
    if not any(raw.splits.values()) and not raw.unlabelled:
        raise DatasetError(
            f'{path}, read as {found[0]}, has no images; looked for {module.LOOKS_FOR}.'
            + ''.join(f'\n  {sentence}' for sentence in raw.warnings.sentences())
        )
    return replace(assemble(raw, path, class_names, on_progress, masks=masks), labelled=module is not image_folder)


def check_has_boxes(dataset: Dataset, sentence: str) -> None:
    """Reject a data set of which no box could be read; one whose images are known to be empty is none.

    Args:
        dataset: read.
        sentence: what is wrong.

    Raises:
        DatasetError: with the sentence, and why.
    """
    if not dataset.num_boxes() and (dataset.losses or not dataset.labelled):
        looked = (
            ()
            if dataset.labelled
            else (
                'there are images alone; looked for labels in these places:',
                *(f'{name}: {module.LOOKS_FOR}' for name, (_, module) in _FORMATS.items() if name in WRITTEN_FORMATS),
            )
        )
        raise DatasetError('\n  '.join((sentence, *dataset.losses, *looked)))


def write_dataset(
    dataset: Dataset, folder: Path, format: str, link: bool = False, on_progress: OnProgress = lambda done, count: None
) -> Written:
    """Write a data set.

    Args:
        dataset: what to write.
        folder: created; must be empty where it exists.
        format: one of `WRITTEN_FORMATS`.
        link: link to the images instead of copying them.
        on_progress: called now and then with the number of images done and of all of a split.

    Returns:
        What could not be written, one sentence each.

    Raises:
        DatasetError: the format is unknown, the folder holds something, or the format cannot hold the data set.
    """
    folder = Path(os.path.abspath(os.path.expanduser(folder)))
    if format not in WRITTEN_FORMATS:
        raise DatasetError(f'unknown format {format!r} to write; there are: {", ".join(WRITTEN_FORMATS)}')
    check_unused(folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return _FORMATS[format][1].write(dataset, folder, ImagePlaces(folder, link, on_progress))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def check_unused(folder: Path) -> None:
    """Raise an error where a file would be written over.

    Args:
        folder: to write to.

    Raises:
        DatasetError: it holds something, or is not a folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DatasetError(f'{folder} is not empty, so nothing was written; name a new folder')
