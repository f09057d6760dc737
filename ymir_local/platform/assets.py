"""Images in the platform's cache, `<last two digits of sha1>/<sha1>.<ending>`, by link or by copy.

What is written through a link changes the user's own file. So links are for whoever only reads: the executor of this
package. Every other one gets copies, which cost no space where the file system clones (Btrfs, XFS, bcachefs).
"""

import fcntl
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from ymir_exc.threads import in_threads

CLONE = 0x40049409  # FICLONE of <linux/fs.h>
# The first bytes of what the platform has an ending for; everything else is called `unknown`.
SUFFIXES = ((b'\xff\xd8', 'jpg'), (b'\x89PNG', 'png'), (b'BM', 'bmp'))


def add_assets(cache: Path, images: Mapping[str, Path], link: bool, symlink: bool) -> dict[str, str]:
    """Put images into an empty cache.

    Args:
        cache: its folder.
        images: by sha1.
        link: link instead of copying.
        symlink: where a hard link is impossible, make a symbolic one instead of a copy.

    Returns:
        Their paths in the cache, by sha1.
    """
    for name in images:
        (cache / name[-2:]).mkdir(exist_ok=True)

    def add(item: tuple[str, Path]) -> str:
        name, image = item
        with open(image, 'rb') as stream:
            head = stream.read(4)
        suffix = next((suffix for magic, suffix in SUFFIXES if head.startswith(magic)), 'unknown')
        relative = f'{name[-2:]}/{name}.{suffix}'
        if link:
            link_or_copy(image, cache / relative, symlink)
        else:
            copy(image, cache / relative)
        return relative

    return dict(zip(images, in_threads(add, list(images.items()))))


def link_or_copy(source: Path, target: Path, symlink: bool) -> None:
    """Give a file a second place without a second copy of its bytes where the file system can.

    Args:
        source: the file; a link is followed.
        target: must not exist.
        symlink: where a hard link is impossible, make a symbolic one instead of a copy.
    """
    source = Path(os.path.realpath(source))
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links, or a file of somebody else
        if symlink:
            target.symlink_to(source)
        else:
            copy(source, target)


def copy(source: Path, target: Path) -> None:
    """Copy the bytes of a file; shares them until one of both is written to, where the file system can.

    Args:
        source: the file; a link is followed.
        target: must not exist.
    """
    with open(source, 'rb') as reader, open(target, 'wb') as writer:
        try:
            fcntl.ioctl(writer, CLONE, reader.fileno())
            return
        except OSError:
            pass
    shutil.copyfile(source, target)
