"""skipped-images.tsv: the images that a task left out, and why, for whoever wants to fix them.

The platform neither reads nor deletes it; the command `ymir` shows it with the names that the user knows. One line per
image: part of the data, path as in the index file, reason.
"""

from __future__ import annotations

import os
from typing import Iterable, NamedTuple

from .atomic import atomic_file
from .reading import read_lines

SKIPPED_IMAGES_FILE = 'skipped-images.tsv'  # in the task's output folder
TRAINING, VALIDATION, CANDIDATES = 'training', 'validation', 'candidates'


class SkippedImage(NamedTuple):
    """An image that was left out.

    Attributes:
        part: ``training``, ``validation`` or ``candidates``.
        path: as in the index file.
        reason: one line.
    """

    part: str
    path: str
    reason: str


def read_skipped_images(directory: str) -> list[SkippedImage]:
    """Read the file.

    Args:
        directory: the task's output folder.

    Returns:
        The images; none if there is no such file.
    """
    lines = read_lines(os.path.join(directory, SKIPPED_IMAGES_FILE))
    return [SkippedImage(*line.split('\t', 2)) for line in lines if line.count('\t') >= 2]


def write_skipped_images(directory: str, images: Iterable[SkippedImage]) -> int:
    """Replace the file; without images there is none.

    Args:
        directory: the task's output folder.
        images: those that were left out; written as they come.

    Returns:
        How many there are.
    """
    path = os.path.join(directory, SKIPPED_IMAGES_FILE)
    count = 0
    with atomic_file(path) as stream:
        for image in images:
            stream.write('\t'.join((image.part, image.path, ' '.join(image.reason.split()))) + '\n')
            count += 1
    if not count:
        os.unlink(path)
    return count
