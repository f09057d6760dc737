"""What an executor changed below `in` (contract section a.3): a listing from before the task against one from after.

The image cache behind in/assets is not read-only, and here its files are often the user's own by a hard or symbolic
link, so what is written through the path of an image is seen by size and time of the file that it leads to.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

ADDED, REMOVED, CHANGED = 'added', 'removed', 'changed'
Listing = dict[str, tuple[int, ...]]


def listing(folder: str | Path) -> Listing:
    """List everything below a folder, what links lead to included.

    Args:
        folder: usually `in`; one that does not exist is empty.

    Returns:
        Relative path to kind, size and time of change; a folder has its kind alone.
    """
    found: Listing = {}
    _list(os.fspath(folder), '', [], found)
    return found


def _list(path: str, prefix: str, parents: list[tuple[int, int]], found: Listing) -> None:
    try:
        status = os.stat(path)
        identity = status.st_dev, status.st_ino
        entries = [] if identity in parents else list(os.scandir(path))  # a link may lead back up
    except OSError:
        return
    for entry in entries:
        try:
            status = entry.stat()
        except OSError:  # a link to nothing
            status = entry.stat(follow_symlinks=False)
        kind = stat.S_IFMT(status.st_mode)
        if stat.S_ISDIR(kind):
            found[prefix + entry.name] = (kind,)
            _list(entry.path, f'{prefix}{entry.name}/', [*parents, identity], found)
        else:
            found[prefix + entry.name] = (kind, status.st_size, status.st_mtime_ns)


def changes_since(before: Mapping[str, tuple[int, ...]], folder: str | Path) -> dict[str, str]:
    """Compare a folder with what it was.

    Args:
        before: its `listing` from then.
        folder: its path.

    Returns:
        Relative path to ADDED, REMOVED or CHANGED, by path.
    """
    after = listing(folder)
    return {
        name: REMOVED if name not in after else ADDED if name not in before else CHANGED
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    }


def files_below(folder: Path) -> list[tuple[str, int]]:
    """List the plain files of a folder with their sizes, links left out.

    Args:
        folder: where to look.
    """
    return sorted(
        (str(path.relative_to(folder)), path.stat().st_size)
        for path in Path(folder).rglob('*')
        if path.is_file() and not path.is_symlink()
    )
