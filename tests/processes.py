"""Waiting for processes, and whether they live."""

import time
from collections.abc import Callable
from pathlib import Path


def is_alive(pid: int | str) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return (Path('/proc') / str(pid) / 'stat').read_text().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False


def wait_until(condition: Callable[[], object], seconds: float = 120) -> None:
    """Wait for something; the limit is far above what a slow machine needs."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
