"""Finding images and the names of splits in folders."""
import os
from pathlib import Path
from typing import Dict, Iterator, List, Optional

from ymir_exc.errors import DatasetError

# What OpenCV reads. The platform itself names every image by its content, so endings count only where folders are read.
IMAGE_SUFFIXES = frozenset(
    ('.jpg', '.jpeg', '.jpe', '.png', '.bmp', '.dib', '.webp', '.tif', '.tiff', '.jp2', '.ppm', '.pgm', '.avif'))
SPLITS = ('train', 'val', 'test')
SPLIT_WORDS = {'train': 'train', 'training': 'train', 'val': 'val', 'valid': 'val', 'validation': 'val', 'test': 'test',
               'testing': 'test'}


def is_image(path: Path) -> bool:
    """Whether the ending of a path is that of an image."""
    return os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES


def files_below(folder: Path) -> Iterator[Path]:
    """Yields all files of a folder and its sub-folders in order; hidden ones are left out, links are followed once."""
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        for name in sorted(names):
            if not name.startswith('.'):
                yield Path(parent, name)


def images_below(folder: Path) -> List[Path]:
    """All images of a folder and its sub-folders, in order."""
    return [path for path in files_below(folder) if is_image(path)]


def split_of(name: str) -> Optional[str]:
    """The split that a file or folder is named after: 'val' for `instances_val2017.json` and `valid`, else None."""
    for word in ''.join(letter if letter.isalpha() else ' ' for letter in name.lower()).split():
        if word in SPLIT_WORDS:
            return SPLIT_WORDS[word]
    return None


def split_folders(root: Path) -> Dict[str, Path]:
    """The sub-folders that are named after a split, by split."""
    found: Dict[str, Path] = {}
    for path in sorted(child for child in root.iterdir() if child.is_dir()):
        split = split_of(path.name)
        if split:
            found.setdefault(split, path)
    return {split: found[split] for split in SPLITS if split in found}


class ImagesByStem:
    """Finds the image that belongs to a file of labels of the same name.

    Args:
        folder: where to look, without its sub-folders.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths: Dict[str, Path] = {}
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if is_image(path):
                    self.paths.setdefault(path.stem, path)

    def __getitem__(self, stem: str) -> Path:
        """The image; a path that does not exist if there is none."""
        return self.paths.get(stem, self.folder / f'{stem}.jpg')


def read_lines(path: Path) -> List[str]:
    """The lines of a text file without those that are blank.

    Raises:
        DatasetError: it cannot be read.
    """
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def read_text(path: Path) -> str:
    """A text file, UTF-8 with or without mark, or GB18030 as older Windows tools write it in China.

    Raises:
        DatasetError: it cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f'{path} cannot be read: {error.strerror or error}') from error
    try:
        return data.decode('utf-8-sig')
    except UnicodeDecodeError:
        return data.decode('gb18030', 'replace')
