"""A small disk of its own below a folder, to fill it up; where this user may not mount one, there is none."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

FILLER = 'filler'  # the file that takes what is free


def mount(folder: Path, size: int) -> bool:
    """Make a folder on a disk of so many bytes; returns whether it is one."""
    folder.mkdir()
    try:
        command = ['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', str(folder)]
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def unmount(folder: Path) -> None:
    """Take the disk away; what still has files there open keeps them."""
    subprocess.run(['umount', '--lazy', str(folder)], check=True)


@contextlib.contextmanager
def mounted(folder: Path, size: int) -> Iterator[Path | None]:
    """Give a folder on a disk of so many bytes for a while, or None."""
    if not mount(folder, size):
        yield None
        return
    try:
        yield folder
    finally:
        unmount(folder)


def fill(folder: Path, free: int = 0) -> None:
    """Leave so many bytes."""
    filler = folder / FILLER
    with open(filler, 'wb', buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b'\0' * 4096)
    with open(filler, 'r+b') as file:
        file.truncate(filler.stat().st_size - free)


def make_room(folder: Path) -> None:
    """Undo `fill`."""
    (folder / FILLER).unlink(missing_ok=True)
