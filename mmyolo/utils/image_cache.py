"""Decoded images that the processes of one machine share.

A cache is one file: a header, a table that finds an image by its key, and the pixels, appended. Processes map it, so
that what all have read stands in memory once, and nothing about its images is kept in each of them. Whoever adds an
image reserves its place under a file lock, writes the pixels and only then marks them ready: a process killed at any
instant leaves a whole cache, in which at most the image that it was adding is missing.

The file has no name: it is in memory, or on a disk and unlinked. Other processes open it through /proc (`path`), and
it is gone with the last of them, however they end. Each place is allocated before it is written, so that mapped pixels
cannot turn out to have no room. Adding ends as soon as less is free than the cache has taken.
"""

import contextlib
import functools
import hashlib
import logging
import mmap
import os
import stat
import struct
import tempfile
from typing import Any

import numpy as np
from mmengine.dist import get_rank
from mmengine.logging import print_log

from mmyolo.utils.free_memory import available_memory

from .shared_file import locked, open_anonymous

_MAGIC = b'imgcach2'
_HEADER = struct.Struct('<8s3q2i')  # magic, slots of the table, end of what is taken, images, in memory, closed
_END_OFFSET, _CLOSED_OFFSET = 16, 36
_END = struct.Struct('<2q')
_SLOT = struct.Struct('<16sq4i20si')  # key, where the pixels begin, their (h, w), the file's (h, w), unused, ready
_TABLE = 64  # where the table begins; slots of 64 bytes never cross a page, so each is written whole
_YES = struct.pack('<i', 1)
CHECK_EVERY = 64 * 1024**2
# Images for which a cache has room that is not made for a known number.
BYTES_AN_IMAGE = 16 * 1024


def cache_size(num_images: int, pixel_bytes: int) -> int:
    """Return the size of a cache.

    Args:
        num_images: How many images.
        pixel_bytes: Of all their pixels.

    Returns:
        Bytes.
    """
    return _TABLE + _num_slots(num_images) * _SLOT.size + pixel_bytes


def _num_slots(num_images: int) -> int:
    return 2 * num_images + 1  # half of them stay empty, so that a search is short and ends


class ImageCache:
    """A cache in a file.

    Args:
        fd: The file, open for reading and writing; it is closed with this object.

    Raises:
        ValueError: It is no cache.
        OSError: It cannot be mapped.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.capacity = os.fstat(fd).st_size
        header = os.pread(fd, _HEADER.size, 0)
        if len(header) < _HEADER.size or header[: len(_MAGIC)] != _MAGIC:
            raise ValueError('the file is no image cache')
        _, self._slots, _, _, self._in_memory, _ = _HEADER.unpack(header)
        self._map = mmap.mmap(fd, self.capacity, access=mmap.ACCESS_READ)

    @classmethod
    def create(cls, capacity: int, num_images: int, folder: str | os.PathLike | None = None) -> 'ImageCache':
        """Make an empty cache.

        Args:
            capacity: Largest size of the file in bytes.
            num_images: Largest number of images.
            folder: Where on a disk; None is memory.

        Returns:
            The cache.

        Raises:
            OSError: There is no room for it.
        """
        if folder is None:
            fd = open_anonymous('image-cache')
        else:
            with tempfile.TemporaryFile(dir=folder) as file:
                fd = os.dup(file.fileno())
        try:
            start = cache_size(num_images, 0)
            os.ftruncate(fd, max(capacity, start))
            os.posix_fallocate(fd, 0, start)
            os.pwrite(fd, _HEADER.pack(_MAGIC, _num_slots(num_images), start, 0, folder is None, False), 0)
            return cls(os.dup(fd))
        finally:
            os.close(fd)

    @classmethod
    def open(cls, path: str) -> 'ImageCache':
        """Open a cache that another process has made.

        Args:
            path: As its `path` says there.

        Returns:
            The cache.

        Raises:
            ValueError: The file is no cache.
            OSError: It is not there, or cannot be opened or mapped.
        """
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ValueError('the file is no image cache')
        return cls(os.open(path, os.O_RDWR | os.O_CLOEXEC))

    def __del__(self, suppress: Any = contextlib.suppress, close: Any = os.close) -> None:
        with suppress(OSError):  # arguments, as the modules may be gone when Python ends
            close(self._fd)

    @property
    def num_images(self) -> int:
        """Images that have been added."""
        return self._end()[1]

    @property
    def path(self) -> str:
        """Where other processes of this machine and user find the file, as long as this one has it open."""
        return f'/proc/{os.getpid()}/fd/{self._fd}'

    @property
    def used(self) -> int:
        """Bytes taken."""
        return self._end()[0]

    @property
    def closed(self) -> bool:
        """Whether no further image is added."""
        return self._map[_CLOSED_OFFSET] != 0

    def get(self, key: bytes) -> tuple[np.ndarray, tuple[int, int]] | None:
        """Look an image up.

        Args:
            key: 16 bytes.

        Returns:
            (h, w, 3) uint8, read-only and without a copy, and the size (h, w) of the image in its file; None if
            missing.
        """
        _, start, height, width, ori_height, ori_width, _, ready = self._find(key)[1]
        if not ready:
            return None
        pixels = np.frombuffer(self._map, np.uint8, height * width * 3, start)
        return pixels.reshape(height, width, 3), (ori_height, ori_width)

    def put(self, key: bytes, image: np.ndarray, ori_shape: tuple[int, int]) -> None:
        """Add an image if there is room and no process has added it before.

        Args:
            key: 16 bytes.
            image: (h, w, 3) uint8.
            ori_shape: Size (h, w) of the image in its file.
        """
        if self.closed:
            return
        try:
            with locked(self._fd):
                offset, slot = self._find(key)
                if slot[1] or self.closed:
                    return
                start, count = self._end()
                end = start + image.nbytes
                reason = self._no_room(start, end, count)
                if reason:
                    self._close(reason, logging.INFO if end > self.capacity else logging.WARNING)
                    return
                os.posix_fallocate(self._fd, start, image.nbytes)
                os.pwrite(self._fd, _END.pack(end, count + 1), _END_OFFSET)
                os.pwrite(self._fd, _SLOT.pack(key, start, *image.shape[:2], *ori_shape, b'', False), offset)
            pixels = memoryview(np.ascontiguousarray(image)).cast('B')
            if os.pwrite(self._fd, pixels, start) == len(pixels):
                os.pwrite(self._fd, _YES, offset + _SLOT.size - len(_YES))
        except OSError as error:  # no room, a quota, a limit of this process, a broken disk: none is worth a training
            with contextlib.suppress(OSError), locked(self._fd):
                self._close(str(error), logging.WARNING)

    def _find(self, key: bytes) -> tuple[int, tuple]:
        """Return the offset of the slot of a key, or of the empty one where it would stand, and its content."""
        index = int.from_bytes(key[:8], 'little') % self._slots
        while True:
            offset = _TABLE + index * _SLOT.size
            slot = _SLOT.unpack_from(self._map, offset)
            if slot[0] == key or not slot[1]:
                return offset, slot
            index = (index + 1) % self._slots

    def _end(self) -> tuple[int, int]:
        """Return the end of what is taken and the number of images."""
        return _END.unpack_from(self._map, _END_OFFSET)

    def _no_room(self, start: int, end: int, count: int) -> str:
        if end > self.capacity or count >= self._slots // 2:
            return 'it is full'
        if start // CHECK_EVERY == end // CHECK_EVERY:
            return ''
        if self._in_memory:
            free, where = available_memory(), 'memory'
        else:
            status = os.fstatvfs(self._fd)
            free, where = status.f_bavail * status.f_frsize, 'space'
        return f'only {free / 1024**2:.0f} MB of {where} are free' if free is not None and free < end else ''

    def _close(self, reason: str, level: int) -> None:
        """Let no process add further images, and say so if none has yet."""
        if self.closed:
            return
        os.pwrite(self._fd, _YES, _CLOSED_OFFSET)
        end, count = self._end()
        say(
            f'The image cache ends at {count} images and {end / 1024**2:.0f} MB, as {reason}: further images are '
            'decoded each time.',
            level,
        )


def say(text: str, level: int) -> None:
    """Log a message, of other ranks too, whose loggers are silent.

    Args:
        text: The message.
        level: Of `logging`.
    """
    print_log(text, logger='current' if get_rank() == 0 else None, level=level)


def open_image_cache(cache_bytes: int, cache_file: str | None = None) -> ImageCache | None:
    """Open the cache of this process and its forks.

    Args:
        cache_bytes: Largest size of a cache in memory; it is divided by LOCAL_WORLD_SIZE and at most half of the memory
            that is free now. 0 is none.
        cache_file: The `path` of a cache that another process has made, which is used instead.

    Returns:
        The cache, the same for the same arguments; None for none, or if there cannot be one, which is said.
    """
    return _open(cache_bytes, cache_file)


@functools.cache
def _open(cache_bytes: int, cache_file: str | None) -> ImageCache | None:
    if not cache_bytes and cache_file is None:
        return None
    try:
        if cache_file is not None:
            return ImageCache.open(cache_file)
        free = available_memory()
        if free is not None:
            cache_bytes = min(cache_bytes, free // 2)
        capacity = cache_bytes // int(os.environ.get('LOCAL_WORLD_SIZE', 1))
        return ImageCache.create(capacity, capacity // BYTES_AN_IMAGE + 1)
    except (OSError, ValueError) as error:
        say(f'There is no image cache ({error}): every image is decoded each time.', logging.WARNING)
        return None


def image_key(path: str, max_size: int) -> bytes:
    """Name an image by its path and size.

    Args:
        path: The file, which does not change while a cache lives.
        max_size: What the image is shrunk to.

    Returns:
        16 bytes.
    """
    return hashlib.blake2b(f'{max_size} {path}'.encode('utf-8', 'surrogateescape'), digest_size=16).digest()
