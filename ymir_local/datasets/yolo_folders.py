"""Where YOLO data sets keep images and the text file of each."""

import os
from collections.abc import Iterable
from pathlib import Path

from .file_names import FileNames
from .files import files_below

IMAGE_FOLDERS = ('images', 'Images', 'IMAGES', 'JPEGImages', 'imgs', 'img', 'image', 'Image')
LABEL_FOLDERS = ('labels', 'Labels', 'LABELS', 'label', 'Label')


def has_labels(folder: Path) -> bool:
    """Return whether a folder has one of labels, with text files in it."""
    return any(
        (folder / name).is_dir() and next((folder / name).rglob('*.txt'), None) is not None for name in LABEL_FOLDERS
    )


def is_row(path: Path) -> bool:
    """Return whether the first line of a file is an object."""
    if not path.is_file():
        return False
    with open(path, 'rb') as stream:
        words = stream.readline(4096).split()
    try:
        return len(words) >= 5 and all(0 <= float(word) <= 1.001 for word in words[1:5]) and float(words[0]) >= 0
    except ValueError:
        return False


def image_folder(root: Path) -> Path:
    """Return the folder of the images of a data set without data.yaml.

    Args:
        root: folder of the data set.
    """
    return next((root / name for name in IMAGE_FOLDERS if (root / name).is_dir()), root)


def label_places(image: Path) -> list[Path]:
    """Return where the text file of an image may be, the best first.

    Args:
        image: its path.
    """
    places = []
    parts = list(image.parts)
    for position in range(len(parts) - 2, -1, -1):
        if parts[position] in IMAGE_FOLDERS:
            places += [_text_beside(Path(*parts[:position], name, *parts[position + 1 :])) for name in LABEL_FOLDERS]
    return [*places, _text_beside(image), image.parent / 'labels' / f'{image.stem}.txt']


def label_file(image: Path, files: FileNames) -> Path | None:
    """Return the text file of an image: in `labels` instead of the last folder `images`, or beside it; None without.

    Args:
        image: its path.
        files: finds text files whose names differ in letters.
    """
    places = label_places(image)
    found = next((path for path in places if os.path.isfile(path)), None)
    return found or next(filter(None, (files.find_labels(path, image) for path in places)), None)


def looked_for(image: Path) -> str:
    """Return where the text file of an image was looked for: the best place, and beside it.

    Args:
        image: its path.
    """
    return ' and '.join(map(str, dict.fromkeys((label_places(image)[0], _text_beside(image)))))


def rows_elsewhere(root: Path, images: Iterable[Path]) -> str:
    """Say that text files with objects lie in another folder; nothing if there are none.

    Args:
        root: folder of the data set.
        images: those whose text files were not found.
    """
    stems = {image.stem for image in images}
    found = next(
        (path for path in files_below(root) if path.suffix == '.txt' and path.stem in stems and is_row(path)), None
    )
    return f'; {found} looks like one: put such files where they are looked for' if found else ''


def _text_beside(image: Path) -> Path:
    return Path(os.path.splitext(image)[0] + '.txt')  # with_suffix fails for what a broken list may name, such as /
