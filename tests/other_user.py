"""Doing something as another user of the system; without root's rights, as the same one, who must succeed too."""

import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

IS_ROOT = os.geteuid() == 0
SOMEBODY, ANOTHER = (12345, 54321) if IS_ROOT else (os.getuid(), os.getuid())


def give_to_somebody(path: Path, mode: int) -> Path:
    """Change owner, group and mode of a file."""
    if IS_ROOT:
        os.chown(path, SOMEBODY, SOMEBODY)
    path.chmod(mode)
    return path


def do_as(user: int, action: Callable[[], Any], group: int = -1) -> None:
    """Call something in a child process that belongs to a user (and group, the same number by default).

    Raises:
        AssertionError: it raised there; the trace stands in the output.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if IS_ROOT:
                os.setgroups([])
                os.setgid(user if group < 0 else group)
                os.setuid(user)
            action()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
