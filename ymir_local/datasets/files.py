"""Finding images and the names of splits in folders."""

import codecs
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from ymir_exc.errors import DatasetError
from ymir_exc.reading import decode, split_lines

# What OpenCV reads. The platform itself names every image by its content, so endings count only where folders are read.
IMAGE_SUFFIXES = frozenset('.jpg .jpeg .jpe .jfif .png .bmp .dib .webp .tif .tiff .jp2 .ppm .pgm .avif .gif'.split())
HEAD_BYTES = 1 << 16  # of a JSON file; info and licences may stand before what tells its format
SPLITS = ('train', 'val', 'test')
SPLIT_WORDS = {
    'train': 'train',
    'training': 'train',
    'val': 'val',
    'valid': 'val',
    'validation': 'val',
    'test': 'test',
    'testing': 'test',
}


def is_image(path: Path) -> bool:
    """Return whether the ending of a path is that of an image."""
    return os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES


def files_below(folder: Path) -> Iterator[Path]:
    """Yield all files of a folder and its sub-folders in order.

    Hidden ones and runs are left out, links are followed once.

    Raises:
        DatasetError: a folder cannot be read.
    """

    def reject(error: OSError) -> NoReturn:
        raise DatasetError(f'{error.filename} cannot be read: {error.strerror}; grant the right to list it') from error

    seen = set()
    for parent, folders, names in os.walk(folder, onerror=reject, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        if parent != os.fspath(folder) and {'in', 'asset_cache'} <= set(folders):  # a run, made in the data set
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        for name in sorted(names):
            if not name.startswith('.'):
                yield Path(parent, name)


def images_below(folder: Path) -> list[Path]:
    """Return all images of a folder and its sub-folders, in order."""
    return [path for path in files_below(folder) if is_image(path)]


def split_of(name: str) -> str | None:
    """Return the split that a file or folder is named after, such as 'val' for `instances_val2017.json`; else None."""
    for word in ''.join(letter if letter.isalpha() else ' ' for letter in name.lower()).split():
        if word in SPLIT_WORDS:
            return SPLIT_WORDS[word]
    return None


def split_folders(root: Path) -> list[tuple[str, Path]]:
    """Return (split, folder) of the sub-folders that are named after a split; several may have the same."""
    found = [(split_of(path.name), path) for path in sorted(root.iterdir()) if path.is_dir()]
    return [(split, path) for wanted in SPLITS for split, path in found if split == wanted]


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file without those that are blank.

    Raises:
        DatasetError: it cannot be read.
    """
    return [line.strip() for line in split_lines(read_text(path)) if line.strip()]


def read_text(path: Path) -> str:
    """Read a text file: UTF-8 with or without BOM, UTF-16 with one, or GB18030 as older Windows tools write in China.

    Raises:
        DatasetError: it cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f'{path} cannot be read: {error.strerror or error}') from error
    return decode_text(data)


def read_head(path: Path) -> bytes:
    """Read the beginning of a file, which tells its format."""
    with open(path, 'rb') as stream:
        return stream.read(HEAD_BYTES)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DatasetError: it cannot be read, or is none.
    """
    try:
        return json.loads(read_text(path))
    except DatasetError:
        raise
    except (ValueError, RecursionError) as error:
        raise DatasetError(f'{path} is not a JSON file ({error}); export it again') from error


def decode_text(data: bytes, errors: str = 'strict') -> str:
    """Decode a text file; see `read_text`.

    Args:
        data: the file, or its beginning.
        errors: 'strict', or 'ignore' for a beginning that may end within a character.
    """
    try:
        return decode(data, errors)
    except UnicodeError:
        is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return data.decode('utf-16' if is_utf16 else 'gb18030', 'replace')
