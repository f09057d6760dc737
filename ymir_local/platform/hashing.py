"""The platform's name of an image, the sha1 of its bytes, for many images at once."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

Progress = Callable[[int, int], Any]

CHUNK = 64
READ_BYTES = 1 << 20
NUM_THREADS = min(16, 4 * (os.cpu_count() or 1))  # most of the time is spent waiting for the disk

# By path, size and time of change: reading, splitting and preparing a data set need the same names.
_known: dict[tuple[str, int, int], str] = {}


def asset_id(image: Path) -> str:
    """Return the platform's name of an image: the sha1 of its bytes.

    Args:
        image: its path.

    Raises:
        OSError: it cannot be read.
    """
    path = os.fspath(image)
    status = os.stat(path)
    key = (os.path.abspath(path), status.st_size, status.st_mtime_ns)
    if key not in _known:
        digest = hashlib.sha1()
        with open(path, 'rb') as stream:
            while block := stream.read(READ_BYTES):
                digest.update(block)
        _known[key] = digest.hexdigest()
    return _known[key]


def asset_ids(images: Iterable[Path], on_progress: Progress | None = None) -> list[str]:
    """Return the names of many images, in their order; see `asset_id`.

    Args:
        images: their paths.
        on_progress: called now and then with the number of images done and of all.
    """
    return list(in_threads(asset_id, list(images), on_progress))


def in_threads(function: Callable[[Any], Any], items: list[Any], on_progress: Progress | None = None) -> Iterator[Any]:
    """Yield `function` of each item, in order; the function is called in several threads.

    Args:
        function: reads or writes files.
        items: what to call it with.
        on_progress: called now and then with the number of items done and of all.
    """
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    done = 0
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        try:
            for results in pool.map(lambda chunk: [function(item) for item in chunk], chunks):
                yield from results
                done += len(results)
                if on_progress is not None:
                    on_progress(done, len(items))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
