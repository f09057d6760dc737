"""Lists of class names beside files of labels that name their classes themselves."""

from collections.abc import Iterable
from pathlib import Path

from .files import read_lines
from .raw import RawDataset

_BACKGROUND = ('background', '__background__', '_background_', '__ignore__')
_CLASS_FILES = ('classes.txt', 'labels.txt', 'labelmap.txt')


def take_classes(raw: RawDataset, folders: Iterable[Path]) -> None:
    """Set the classes of a data set: those of the first list that is found, then others that objects have, by name.

    Args:
        raw: read, but for its classes.
        folders: to look in for a list; names in it that mean no object are left out unless an object has them.
    """
    used = raw.used_classes()
    files = (folder / name for folder in dict.fromkeys(folders) for name in _CLASS_FILES)
    file = next((file for file in files if file.is_file()), None)
    lines = read_lines(file) if file else []
    if file and file.name == 'labelmap.txt':  # of CVAT: name:colour:parts:actions
        lines = [line.split(':')[0] for line in lines if not line.startswith('#')]
    names = [line for line in lines if line in used or line.lower() not in _BACKGROUND]
    raw.class_names = names + sorted(used - set(names))
