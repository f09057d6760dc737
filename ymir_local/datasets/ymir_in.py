"""YMIR: the folder `in` of a task as the platform prepares it (contract section c), read and written.

The paths of its index files begin with `/in`, which stands for the folder itself.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ymir_exc.annotations import ArkReader
from ymir_exc.annotations.objects import INVALID_VALUE, whole
from ymir_exc.errors import ConfigError, DatasetError
from ymir_exc.reading import read_index, read_mapping

from ..platform.labels import Dataset
from ..platform.prepare import Host, hyper_parameters, prepare_training
from . import coco, voc
from .image_writer import ImagePlaces, Written
from .raw import UNLABELLED, RawBox, RawDataset, RawImage

LOOKS_FOR = 'in/config.yaml with in/train-index.tsv or in/candidate-index.tsv'
_INDEXES = {'train': 'train-index.tsv', 'val': 'val-index.tsv', 'all': 'candidate-index.tsv'}


def in_folder(root: Path) -> Path | None:
    """Return the folder `in`: the root or below it; None if it is not a work directory."""
    for folder in (root, root / 'in'):
        if (folder / 'config.yaml').is_file() and any((folder / name).is_file() for name in _INDEXES.values()):
            return folder
    return None


def is_ymir(root: Path) -> bool:
    """Return whether there is a folder that the platform prepared."""
    return in_folder(root) is not None


def read(root: Path) -> RawDataset:
    """Read the images and labels of a task.

    Args:
        root: the folder `in`, or the one that holds it.

    Raises:
        DatasetError: there is none, or config.yaml has no class names.
    """
    folder = in_folder(root)
    if folder is None:
        raise DatasetError(f'{root} holds no task of YMIR; looked for {LOOKS_FOR}')
    raw = RawDataset(class_names=_class_names(folder / 'config.yaml'))
    readers: dict[Path, dict[str, RawImage]] = {}
    for split, name in _INDEXES.items():
        if not (folder / name).is_file():
            continue
        images = []
        for number, image, annotation in read_index(folder / name):
            image = _inside(folder, image)
            if split == 'all':
                images.append(RawImage(image, folder / name, ()))
                continue
            labelled = _read_annotation(raw, image, _inside(folder, annotation), readers) if annotation else None
            if labelled is None:
                raw.unlabelled.append(RawImage(image, folder / name, ()))
                raw.warnings.add(
                    'images without annotation',
                    f'{folder / name}:{number}: '
                    f'{annotation or "no annotation"} does not exist or cannot be read; {UNLABELLED}',
                )
            else:
                images.append(labelled)
        raw.splits[split] = images
    for part in ('train', 'val'):  # an empty index file is a missing part
        if not raw.splits.get(part) and len(raw.splits) > 1:
            raw.splits.pop(part, None)
    return raw


def _class_names(file: Path) -> list[str]:
    try:
        names = read_mapping(file).get('class_names')
    except ConfigError as error:
        raise DatasetError(str(error)) from error
    if not isinstance(names, list):
        raise DatasetError(f'{file}: class_names must be a list, found {names!r}')
    return [str(name) for name in names]


def _inside(folder: Path, path: str) -> Path:
    """Return a path of an index file on this machine, also where the folder of the run was moved or renamed."""
    rest = path.rpartition('/in/')[2]
    places = [folder / path, folder / rest]
    if rest.startswith('assets/'):  # a link to the cache beside `in`
        places.append(folder.parent / 'asset_cache' / rest[len('assets/') :])
    return next((place for place in places if os.path.isfile(place)), places[1])


def _read_annotation(raw: RawDataset, image: Path, file: Path, readers: dict[Path, Any]) -> RawImage | None:
    if not os.path.isfile(file):
        return None
    readers_of: dict[str, Callable[[], RawImage | None]] = {
        '.txt': lambda: RawImage(image, file, _read_ark(raw, file)),
        '.xml': lambda: _read_voc(raw, image, file),
        '.json': lambda: _read_coco(raw, image, file, readers),
    }
    if file.suffix not in readers_of:
        return None
    return readers_of[file.suffix]()


def _read_ark(raw: RawDataset, file: Path) -> list[RawBox]:
    found = ArkReader(raw.class_names).rows(os.fspath(file), '')
    for fault in found.faults:
        if found.rows is None:
            raise DatasetError(f'{file} {fault.detail}')
        what = 'it is ignored' if fault.kind == INVALID_VALUE else 'it is left out'
        raw.warnings.add('lines left out', f'{file}: line {fault.line}: {fault.detail}; {what}')
    return [
        RawBox(raw.class_names[class_id], tuple(map(whole, box)), f'line {line}')
        for class_id, *box, line, _, _, _ in found.rows or ()
    ]


def _read_voc(raw: RawDataset, image: Path, file: Path) -> RawImage | None:
    result = voc.read_xml(file)
    if isinstance(result, str):
        raw.warnings.add('annotations left out', f'{file}: {result}')
        return None
    return result._replace(path=image)


def _read_coco(raw: RawDataset, image: Path, file: Path, readers: dict[Path, dict[str, RawImage]]) -> RawImage | None:
    if file not in readers:
        readers[file] = {item.path.name: item for item in coco.read_file(file, raw, Path).images}
    found = readers[file].get(image.name)
    return found and found._replace(path=image)


def write(dataset: Dataset, folder: Path, places: ImagePlaces) -> Written:
    """Write the work directory of a training with ark annotations, as for a container.

    Args:
        dataset: 'train' and 'val', or 'all', which is taken for 'train'.
        folder: empty; gets `in`, `out` and `asset_cache`.
        places: says whether to link; `prepare` decides on names.

    Raises:
        DatasetError: there are no classes, which the platform never allows.
    """
    if not dataset.class_names:
        raise DatasetError(f'{dataset.root} has no classes; the platform trains on one class at least')
    train = [*dataset.splits.get('all', ()), *dataset.splits.get('train', ())]
    prepare_training(
        folder,
        dataset.class_names,
        train,
        dataset.splits.get('val', ()),
        hyper_parameters('training', {'export_format': 'ark:raw'}),
        on_progress=places.on_progress,
        host=Host(in_container=True, link_assets=places.link),
    )
    if dataset.splits.get('test'):
        places.warnings.append(
            f'{folder}: a training of the platform has no test set; {len(dataset.splits["test"])} '
            'images are not written'
        )
    return places.written()
