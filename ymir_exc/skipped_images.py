"""skipped-images.tsv: the images that a task left out, and why, for whoever wants to fix them.

The platform neither reads nor deletes it; the command `ymir` shows it with the names that the user knows. One line per
image: part of the data, path as in the index file, reason.
"""

from __future__ import annotations

import contextlib
import os
from typing import IO, Any, Iterable, NamedTuple

from .atomic import atomic_file
from .reading import read_lines
from .spreadsheet_text import from_cell, to_cell

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
    return [SkippedImage(*map(from_cell, line.split('\t', 2))) for line in lines if line.count('\t') >= 2]


class SkippedImagesWriter:
    """Writes the file image by image; it appears, whole, when the ``with`` block ends without an error.

    Args:
        directory: the task's output folder.

    Attributes:
        count: how many images were written; where it is 0 at the end, there is no file.
    """

    def __init__(self, directory: str) -> None:
        self._path = os.path.join(directory, SKIPPED_IMAGES_FILE)
        self._context = contextlib.ExitStack()
        self._stream: IO[str] | None = None
        self.count = 0

    def __enter__(self) -> SkippedImagesWriter:
        self._stream = self._context.enter_context(atomic_file(self._path))
        return self

    def __exit__(self, *exception: Any) -> None:
        self._context.__exit__(*exception)
        if exception[0] is None and not self.count:
            os.unlink(self._path)

    def write(self, image: SkippedImage) -> None:
        """Add an image."""
        cells = map(to_cell, (image.part, image.path, ' '.join(image.reason.split())))
        self._stream.write('\t'.join(cells) + '\n')
        self.count += 1


def write_skipped_images(directory: str, images: Iterable[SkippedImage]) -> int:
    """Replace the file; without images there is none.

    Args:
        directory: the task's output folder.
        images: those that were left out; written as they come.

    Returns:
        How many there are.
    """
    with SkippedImagesWriter(directory) as writer:
        for image in images:
            writer.write(image)
        return writer.count
