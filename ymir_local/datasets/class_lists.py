"""Lists of class names beside files of labels that name their classes themselves."""

from collections.abc import Container, Iterable
from pathlib import Path

from .files import read_lines

_BACKGROUND = ('background', '__background__', '_background_', '__ignore__')
_CLASS_FILES = ('classes.txt', 'labels.txt', 'labelmap.txt')


def listed_classes(folders: Iterable[Path], used: Container[str]) -> list[str]:
    """Return the names in the first list of classes that is found; none if there is none.

    Args:
        folders: to look in.
        used: names that objects have: others that mean no object are left out.
    """
    file = next(
        (folder / name for folder in dict.fromkeys(folders) for name in _CLASS_FILES if (folder / name).is_file()), None
    )
    if file is None:
        return []
    lines = read_lines(file)
    if file.name == 'labelmap.txt':  # of CVAT: name:colour:parts:actions
        lines = [line.split(':')[0] for line in lines if not line.startswith('#')]
    return [line for line in lines if line in used or line.lower() not in _BACKGROUND]
