"""Images that cannot be read while a training or a test runs: skipped by name, once, and counted at the end.

Headers are checked before a training begins, but that a photo is cut off in the middle shows only when it is decoded,
by one of several loader processes, in one of many epochs. So all processes that are forked from one share a list of
what was found: an append-only file in memory, as the image cache is.

In training another image takes the place of an unreadable one, wherever it was to be used. In a test a blank one does,
so that batches and processes keep in step; it is marked `unreadable`, and `ReadableOnly` leaves it out of the
evaluation.
"""

import errno
import json
import logging
import os
from typing import NamedTuple

import numpy as np
from mmengine.dist import get_rank
from mmengine.logging import print_log

from mmyolo.errors import UnreadableImageError

from .shared_file import locked, open_anonymous

MAX_NAMED = 100  # in the log
BLANK_SHAPE = (32, 32, 3)
# Faults of the machine, not of an image.
_MACHINE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.EINTR)


class UnreadableImage(NamedTuple):
    """One entry.

    Args:
        part: 'training' or 'validation'.
        path: The file.
        reason: Why it cannot be read.
    """

    part: str
    path: str
    reason: str


class UnreadableImages:
    """The list, shared by a process and its forks."""

    def __init__(self) -> None:
        self._fd = open_anonymous('unreadable-images')
        self._seen = 0
        self._found: dict[tuple[str, str], UnreadableImage] = {}

    def add(self, image: UnreadableImage) -> bool:
        """Add an entry.

        Args:
            image: What cannot be read.

        Returns:
            Whether it is new.
        """
        with locked(self._fd):
            self._catch_up()
            if image[:2] in self._found:
                return False
            os.pwrite(self._fd, json.dumps(image).encode() + b'\n', self._seen)
            self._catch_up()
            return True

    def has(self, part: str, path: str) -> bool:
        """Return whether an image is known to be unreadable."""
        self._catch_up()
        return (part, path) in self._found

    def all(self, *parts: str) -> list[UnreadableImage]:
        """Return the entries of some parts, of all by default, in the order in which they were found."""
        self._catch_up()
        return [image for image in self._found.values() if not parts or image.part in parts]

    def clear(self) -> None:
        """Forget everything; only before there are forks."""
        os.ftruncate(self._fd, 0)
        self._seen = 0
        self._found = {}

    def _catch_up(self) -> None:
        size = os.fstat(self._fd).st_size
        if size <= self._seen:
            return
        data = os.pread(self._fd, size - self._seen, self._seen)
        whole = data[: data.rfind(b'\n') + 1]  # another process may be writing the last line
        self._seen += len(whole)
        for line in whole.splitlines():
            image = UnreadableImage(*json.loads(line))
            self._found[image[:2]] = image


UNREADABLE = UnreadableImages()


def skip_unreadable(part: str, path: str, error: OSError) -> None:
    """Take note of an image that cannot be read, and warn if nobody did before.

    Args:
        part: 'training' or 'validation'.
        path: The file.
        error: What reading it raised.

    Raises:
        OSError: The error itself, if it is the machine's fault: no memory, no file handles.
    """
    if error.errno in _MACHINE:
        raise error
    reason = getattr(error, 'reason', '') or error.strerror or str(error)
    if not UNREADABLE.add(UnreadableImage(part, path, reason)):
        return
    count = len(UNREADABLE.all(part))
    if count <= MAX_NAMED:
        _log(f'Skipped an image of the {part} set, which cannot be read: {path} ({reason})')
    elif count == MAX_NAMED + 1:
        _log(f'Further images of the {part} set that cannot be read are counted at the end')


def printable(text: str) -> str:
    """Return a text that any stream takes: bytes of file names that are not UTF-8 are escaped."""
    return text.encode('utf-8', 'backslashreplace').decode('utf-8')


def _log(text: str) -> None:
    # Loggers of other ranks are silent, and these have images of their own.
    print_log(printable(text), logger='current' if get_rank() == 0 else None, level=logging.WARNING)


def none_readable(part: str, tried: int) -> UnreadableImageError:
    """Return the error for a set in which nothing can be read.

    Args:
        part: 'training' or 'validation'.
        tried: How many images were tried in vain.
    """
    examples = ', '.join(f'{image.path} ({image.reason})' for image in UNREADABLE.all(part)[:3])
    return UnreadableImageError(
        printable(
            f'{tried} images of the {part} set were tried and none can be read: {examples}. Check that the paths of '
            'the data set are right and that the files are JPEG, PNG or BMP images'
        )
    )


def blank_image() -> np.ndarray:
    """Return what stands for an unreadable image in a test: (h, w, 3) uint8."""
    return np.full(BLANK_SHAPE, 114, np.uint8)


class ReadableImagesMixin:
    """A data set of mmengine that skips images which cannot be read; it comes before the data set in the bases.

    Whatever reading a file raises is an OSError; the loading transforms of this package take care of that.
    """

    _in_vain = 0  # images tried one after the other

    @property
    def part(self) -> str:
        """'training' or 'validation'."""
        return 'validation' if self.test_mode else 'training'

    def describe(self, idx: int) -> dict:
        """Return what the pipeline gets of one image; a dict of its own at every call.

        Args:
            idx: Index of the image.
        """
        return self.get_data_info(idx)

    def prepare_data(self, idx: int) -> dict | None:
        """Run the pipeline on one image.

        Args:
            idx: Index of the image.

        Returns:
            What the pipeline gives, of a blank image where a test cannot read it; None asks for another index.

        Raises:
            UnreadableImageError: Too many images in a row cannot be read.
        """
        info = self.describe(idx)
        path = info.get('img_path')
        if self.test_mode or not UNREADABLE.has(self.part, path):
            try:
                data = self.pipeline(info)
            except OSError as error:
                skip_unreadable(self.part, path, error)
            else:
                self._in_vain = 0
                return data
        if self.test_mode:
            return self._blank(idx)
        self._in_vain += 1
        if self._in_vain > self.max_refetch:
            raise none_readable(self.part, min(self._in_vain, len(self)))
        return None

    def _blank(self, idx: int) -> dict:
        data = self.pipeline(dict(self.describe(idx), unreadable=True))
        samples = data['data_samples']
        for sample in samples if isinstance(samples, list) else [samples]:
            sample.set_metainfo({'unreadable': True})
        return data
