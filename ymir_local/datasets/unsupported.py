"""Files of other programs that hold labels which are not read: so that nobody wonders where the boxes are."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from .files import files_below

_HEAD_BYTES = 1 << 16
# Of a file's ending: what its first bytes hold, what that is, and what to do. All words of a rule must be there.
_RULES = (
    (
        '.xml',
        (b'<annotations', b'<version>'),
        'the own format of CVAT',
        'export the task as COCO 1.0, Pascal VOC 1.1 or YOLO 1.1',
    ),
    (
        '.json',
        (b'"annotations"', b'"data"', b'"id"'),
        'the own format of Label Studio',
        'export the project as COCO, Pascal VOC XML or YOLO',
    ),
    (
        '.json',
        (b'"objects"', b'"classTitle"'),
        'the format of Supervisely',
        'export the project as COCO, Pascal VOC or YOLO',
    ),
)
_ARCHIVES = ('.zip', '.tar', '.gz', '.tgz', '.bz2', '.xz', '.7z', '.rar')
_LOOKED_AT = 1000


def foreign_labels(root: Path) -> list[str]:
    """Return which files hold labels in a form that is not read, and what to do; one sentence per form.

    Args:
        root: a folder, or a file.
    """
    found = {}
    for path in _files(root):
        suffix = path.suffix.lower()
        if suffix in ('.xml', '.json') and path.is_file():
            with open(path, 'rb') as stream:
                head = stream.read(_HEAD_BYTES)
            for ending, words, what, remedy in _RULES:
                if suffix == ending and all(word in head for word in words):
                    found.setdefault(what, f'{path} is {what}, which is not read; {remedy}')
                    break
    return list(found.values())


def archives(root: Path) -> list[str]:
    """Return which files may hold the data set that is not there, and what to do.

    Args:
        root: a folder, or a file.
    """
    found = [path for path in _files(root) if path.suffix.lower() in _ARCHIVES]
    return [f'{path} is an archive; unpack it and name the folder' for path in found[:1]]


def _files(root: Path) -> Iterator[Path]:
    return islice([root] if root.is_file() else files_below(root), _LOOKED_AT)
