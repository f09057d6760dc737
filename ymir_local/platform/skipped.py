"""The images that a run left out, before the task and in it, by the names that the user knows.

What the reader leaves out stands in a file of its own beside `in` and `out`, in the form in which the executor of this
package reports what it left out (`ymir_exc.skipped_images`); other executors report nothing.
"""

from collections.abc import Iterable
from pathlib import Path

from ymir_exc.reading import read_index, read_lines
from ymir_exc.skipped_images import (
    CANDIDATES,
    TRAINING,
    VALIDATION,
    SkippedImage,
    read_skipped_images,
    write_skipped_images,
)

from .labels import Dataset
from .prepare import SOURCES_FILE

MAX_NAMED = 100  # on a terminal and a page


def write_left_out(work_dir: Path, dataset: Dataset, training: bool) -> None:
    """Write what the reader of a data set left out.

    Args:
        work_dir: of the task.
        dataset: what was read.
        training: the images are for training and validation, not candidates.
    """
    parts = {'all': TRAINING, 'train': TRAINING, 'val': VALIDATION} if training else {}
    left_out = [(split, path, reason) for split, path, reason in dataset.left_out if split in parts or not training]
    if left_out:
        write_skipped_images(
            str(work_dir),
            (SkippedImage(parts.get(split, CANDIDATES), _name(path), reason) for split, path, reason in left_out),
        )


def skipped_images(work_dir: Path, out_dir: Path) -> list[SkippedImage]:
    """Return the images that a run left out.

    Args:
        work_dir: holds `in` and `out`.
        out_dir: the latter.

    Returns:
        Part, path as the user knows it and reason of each, those of the reader first.
    """
    in_task = read_skipped_images(str(out_dir))
    owners = owners_of_images(work_dir) if in_task else {}
    named = [image._replace(path=owners.get(Path(image.path).name, image.path)) for image in in_task]
    return list(dict.fromkeys([*read_skipped_images(str(work_dir)), *named]))


def as_lines(images: Iterable[SkippedImage]) -> list[str]:
    """Return a line of each of the first images, and the number of the others.

    Args:
        images: what `skipped_images` gives.
    """
    lines = [f'{image.path}: {image.reason} ({image.part})' for image in images]
    return lines if len(lines) <= MAX_NAMED else [*lines[:MAX_NAMED], f'... +{len(lines) - MAX_NAMED}']


def owners_of_images(work_dir: Path) -> dict[str, str]:
    """Return the user's file of each file name in the cache of a run, as far as it is known.

    Args:
        work_dir: holds `in` and `out`.
    """
    in_dir = work_dir / 'in'
    owners = {}
    if (in_dir / 'candidate-index.tsv').exists():
        images = (Path(line.image).name for line in read_index(in_dir / 'candidate-index.tsv'))
        owners = dict(zip(images, read_lines(in_dir / 'candidate-src-index.tsv')))
    for folder in (work_dir.parent, work_dir):  # validation images are candidates of a run within that of the training
        owners.update(line.split('\t', 1) for line in read_lines(folder / SOURCES_FILE) if '\t' in line)
    return owners


def _name(path: Path) -> str:
    """Return a path as one line of text."""
    return str(path) if not set('\t\n\r') & set(str(path)) else repr(str(path))[1:-1]
