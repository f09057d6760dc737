"""A file that a process shares with its forks, without a name and in memory where the system has such, and its lock."""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator


def open_anonymous(name: str) -> int:
    """Open a new file that is gone with the last process that has it.

    Args:
        name: What it is for, as /proc shows it.

    Returns:
        The file descriptor.
    """
    if hasattr(os, 'memfd_create'):
        return os.memfd_create(name)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


@contextlib.contextmanager
def locked(fd: int) -> Iterator[None]:
    """Keep other processes out of such blocks of the same file meanwhile; the lock of a killed process goes with it.

    Args:
        fd: The file descriptor.
    """
    fcntl.lockf(fd, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.lockf(fd, fcntl.LOCK_UN)
