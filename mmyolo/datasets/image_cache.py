"""A memory of decoded images that processes share.

It is one append-only log in a file: 16 bytes of header with the length in use, then records of a key, the sizes and
the pixels. A writer holds a file lock, writes the record behind the end and only then moves the end, so a process
killed at any instant leaves the log whole; its lock goes with it. Readers map the file and index what was appended
since they last looked. Without a folder the file is an anonymous one in memory, which forked processes inherit and
which is gone when the last of them is.
"""

import contextlib
import errno
import functools
import hashlib
import logging
import mmap
import os
import struct
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from .shared_file import locked, open_anonymous

_HEADER = struct.Struct('<8sq')  # magic, end of the log
_RECORD = struct.Struct('<16s4i')  # key; height, width of the pixels; height, width of the image in its file
_MAGIC = b'imgcache'
FILE_NAME = 'images-v1.cache'


class ImageCache:
    """An append-only store of images.

    Args:
        fd: A file open for reading and writing; empty or a log. It is closed with this object.
        capacity: Largest size of the file in bytes.
    """

    def __init__(self, fd: int, capacity: int) -> None:
        self._fd = fd
        self._index: dict[bytes, tuple[int, int, int, tuple[int, int]]] = {}
        self._seen = _HEADER.size
        self._writable = True
        with locked(self._fd):
            size = os.fstat(fd).st_size
            if size < _HEADER.size or os.pread(fd, len(_MAGIC), 0) != _MAGIC:
                os.ftruncate(fd, 0)
                size = max(capacity, _HEADER.size)
                os.ftruncate(fd, size)
                os.pwrite(fd, _HEADER.pack(_MAGIC, _HEADER.size), 0)
            elif size < capacity:
                size = capacity
                os.ftruncate(fd, size)
        self.capacity = size
        self._map = mmap.mmap(fd, size, access=mmap.ACCESS_READ)

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._fd)

    def __len__(self) -> int:
        self._catch_up()
        return len(self._index)

    def get(self, key: bytes) -> tuple[np.ndarray, tuple[int, int]] | None:
        """Look an image up.

        Args:
            key: 16 bytes.

        Returns:
            (h, w, 3) uint8, read-only and without a copy, and the size (h, w) of the image in its file; None if
            missing.
        """
        entry = self._index.get(key)
        if entry is None:
            self._catch_up()
            entry = self._index.get(key)
            if entry is None:
                return None
        start, height, width, ori_shape = entry
        pixels = np.frombuffer(self._map, np.uint8, height * width * 3, start)
        return pixels.reshape(height, width, 3), ori_shape

    def put(self, key: bytes, image: np.ndarray, ori_shape: tuple[int, int]) -> bool:
        """Store an image if it fits and is not there yet.

        Args:
            key: 16 bytes.
            image: (h, w, 3) uint8.
            ori_shape: Size (h, w) of the image in its file.

        Returns:
            Whether it is stored now, by whomever.
        """
        if not self._writable:
            return False
        with locked(self._fd):
            log_end = self._read_records()
            if key in self._index:
                return True
            end = self._seen + _RECORD.size + image.nbytes
            if self._seen != log_end or end > self.capacity:
                return False
            try:
                os.pwrite(self._fd, _RECORD.pack(key, *image.shape[:2], *ori_shape), self._seen)
                os.pwrite(self._fd, np.ascontiguousarray(image).data, self._seen + _RECORD.size)
                os.pwrite(self._fd, _HEADER.pack(_MAGIC, end), 0)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM):
                    raise
                self._writable = False
                print_log(
                    f'No room left for the image cache ({error}): further images are decoded each time.',
                    logger='current',
                    level=logging.WARNING,
                )
                return False
            self._read_records()
        return True

    def _catch_up(self) -> None:
        with locked(self._fd):
            self._read_records()

    def _read_records(self) -> int:
        """Indexes what was appended and gives the end of the log, which a process with a larger capacity may have moved
        behind what is mapped here.
        """
        end = _HEADER.unpack_from(self._map)[1]
        while self._seen < min(end, self.capacity - _RECORD.size):
            key, height, width, ori_height, ori_width = _RECORD.unpack_from(self._map, self._seen)
            start = self._seen + _RECORD.size
            if start + height * width * 3 > self.capacity:
                break
            self._index[key] = (start, height, width, (ori_height, ori_width))
            self._seen = start + height * width * 3
        return end


def open_image_cache(cache_bytes: int, cache_dir: str | None = None) -> ImageCache:
    """Open the cache of this process and its forks.

    Args:
        cache_bytes: Largest size. Without `cache_dir` it is divided by LOCAL_WORLD_SIZE and at most half of the memory
            that is free now.
        cache_dir: Folder of the file, made if missing; None for memory without a file.

    Returns:
        The cache, the same for the same arguments.
    """
    return _open(cache_bytes, cache_dir)


@functools.cache
def _open(cache_bytes: int, cache_dir: str | None) -> ImageCache:
    if cache_dir is not None:
        os.makedirs(cache_dir, exist_ok=True)
        return ImageCache(os.open(os.path.join(cache_dir, FILE_NAME), os.O_RDWR | os.O_CREAT, 0o644), cache_bytes)
    free = available_memory()
    if free is not None:
        cache_bytes = min(cache_bytes, free // 2)
    capacity = cache_bytes // int(os.environ.get('LOCAL_WORLD_SIZE', 1))
    return ImageCache(open_anonymous('image-cache'), capacity)


def image_key(path: str, max_size: int) -> bytes:
    """Name an image by its path, state and size.

    Args:
        path: The file; its length and time of change are part of the key if it is a local one.
        max_size: What the image is shrunk to.

    Returns:
        16 bytes.
    """
    try:
        status = os.stat(path)
        state = (status.st_size, status.st_mtime_ns)
    except OSError:
        state = ()
    return hashlib.blake2b(repr((path, max_size, state)).encode(), digest_size=16).digest()


def available_memory() -> int | None:
    """Memory in bytes that can be taken without swapping or hitting the container's limit; None if unknown."""
    amounts = []
    with contextlib.suppress(OSError, StopIteration):
        lines = Path('/proc/meminfo').read_text().splitlines()
        amounts.append(int(next(line for line in lines if line.startswith('MemAvailable')).split()[1]) * 1024)
    group = Path('/sys/fs/cgroup')
    for limit, used, stat, cached in (
        ('memory.max', 'memory.current', 'memory.stat', 'inactive_file'),
        ('memory/memory.limit_in_bytes', 'memory/memory.usage_in_bytes', 'memory/memory.stat', 'total_inactive_file'),
    ):
        with contextlib.suppress(OSError, ValueError, KeyError):  # missing, or 'max'
            reclaimable = int(dict(line.split() for line in (group / stat).read_text().splitlines())[cached])
            amounts.append(int((group / limit).read_text()) - int((group / used).read_text()) + reclaimable)
    return max(min(amounts), 0) if amounts else None
