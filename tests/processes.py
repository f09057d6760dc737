"""Waiting for processes, whether they live, and checks in a process of their own."""

import os
import time
import traceback
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


def check_in_fork(check: Callable[[], object]) -> None:
    """Run a check that changes limits or memory in a fork, and fail if it fails."""
    child = os.fork()
    if child == 0:
        try:
            check()
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
