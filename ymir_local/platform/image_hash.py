"""The platform's name of an image, the sha1 of its bytes, for many images at once."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from ymir_exc.threads import OnProgress, in_threads

READ_BYTES = 1 << 20

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


def asset_ids(images: Iterable[Path], on_progress: OnProgress | None = None) -> list[str]:
    """Return the names of many images, in their order; see `asset_id`.

    Args:
        images: their paths.
        on_progress: called now and then with the number of images done and of all.
    """
    return list(in_threads(asset_id, list(images), on_progress))
