"""The images of a data set as its index files name them (contract section c.3)."""

from __future__ import annotations

import logging
from typing import Iterable, Iterator

from PIL import Image

from . import env, reading
from .annotations import annotation_format, make_reader
from .attribute_dict import AttributeDict
from .env import DatasetType, EnvConfig
from .errors import DatasetError
from .util import get_class_names

logger = logging.getLogger(__name__)

_SPLITS = {
    'train': DatasetType.TRAINING,
    'training': DatasetType.TRAINING,
    'val': DatasetType.VALIDATION,
    'validation': DatasetType.VALIDATION,
    'candidate': DatasetType.CANDIDATE,
    'test': DatasetType.CANDIDATE,
    'infer': DatasetType.CANDIDATE,
}


def split_to_dataset_type(split: str) -> DatasetType:
    """Find which index file a name such as ``train`` or ``val`` means.

    Raises:
        DatasetError: an unknown name.
    """
    if split not in _SPLITS:
        raise DatasetError(f'unknown split {split!r}; there are: {", ".join(_SPLITS)}')
    return _SPLITS[split]


def index_file(dataset_type: DatasetType, current_env: EnvConfig) -> str:
    """Return the path of an index file.

    Raises:
        DatasetError: this task has no such file.
    """
    files = {
        DatasetType.TRAINING: current_env.input.training_index_file,
        DatasetType.VALIDATION: current_env.input.val_index_file,
        DatasetType.CANDIDATE: current_env.input.candidate_index_file,
    }
    path = files.get(dataset_type, '')
    if not path:
        raise DatasetError(f'this task has no index file for {dataset_type!r}: env.yaml names none')
    return path


def _items(path: str) -> Iterator[tuple[str, str]]:
    return ((line.image, line.annotation) for line in reading.read_index(path))


def read_items(cfg: AttributeDict, split: str) -> list[tuple[str, str]]:
    """Return the images of a set with their annotations.

    Args:
        cfg: what ``util.get_merged_config()`` gives.
        split: train or training, val or validation, candidate, test or infer.

    Returns:
        (path of the image, path of its annotation or '') of each line.

    Raises:
        DatasetError: an unknown split, or as :func:`~ymir_exc.reading.read_index`.
    """
    return list(_items(index_file(split_to_dataset_type(split), cfg.ymir)))


def item_paths(dataset_type: DatasetType) -> Iterator[tuple[str, str]]:
    """Yield the images of a set with their annotations.

    Args:
        dataset_type: which set.

    Yields:
        The path of an image and that of its annotation, '' if it has none.

    Raises:
        DatasetError: the task has no such set, or its index file cannot be read (also a ``ValueError``; raised at the
            first ``next``).
    """
    yield from _items(index_file(dataset_type, env.get_current_env()))


def items_count(dataset_type: DatasetType) -> int:
    """Count the images of a set; blank lines do not count.

    Raises:
        DatasetError: as :func:`item_paths`.
    """
    return sum(1 for _ in item_paths(dataset_type))


def images_count(cfg: AttributeDict, split: str) -> int:
    """Count the images of a set.

    Args:
        cfg: what ``util.get_merged_config()`` gives.
        split: train or training, val or validation, candidate, test or infer.

    Raises:
        DatasetError: an unknown split, or as :func:`item_paths`.
    """
    return sum(1 for _ in _items(index_file(split_to_dataset_type(split), cfg.ymir)))


def bboxes_count(cfg: AttributeDict, split: str) -> int:
    """Count the annotated objects of a set, in any of the annotation formats.

    Args:
        cfg: what ``util.get_merged_config()`` gives.
        split: train or training, val or validation.

    Raises:
        DatasetError: an unknown split, no annotations, or a malformed one.
    """
    items = read_items(cfg, split)
    if not items:
        return 0
    reader = make_reader(annotation_format(cfg.param.get('export_format'), items[0][1]), get_class_names(cfg))
    return sum(len(reader.read(annotation, image) or []) for image, annotation in items)


def check_unique_image_names(dataset_type: DatasetType) -> None:
    """Check that no two images of a set have the same file name, by which alone the platform knows them.

    Raises:
        DatasetError: naming the first two that do.
    """
    seen = set()
    for image, _ in item_paths(dataset_type):
        name = image.rpartition('/')[2]
        if hash(name) in seen:
            same = [path for path, _ in item_paths(dataset_type) if path.rpartition('/')[2] == name]
            raise DatasetError(
                f'{same[0]} and {same[1]} have the same file name; the platform cannot distinguish their results'
            )
        seen.add(hash(name))


def filter_broken_images(image_files: Iterable[str]) -> list[str]:
    """Keep the images that decode to the last pixel; the rest is logged.

    Args:
        image_files: paths of images.

    Returns:
        The readable ones, in their order.
    """
    good = []
    for path in image_files:
        try:
            with Image.open(path) as image:
                image.load()
        except Exception as error:  # PIL's decoders raise what they like on broken data
            logger.warning('%s is not a readable image: %s', path, error)
        else:
            good.append(path)
    return good
