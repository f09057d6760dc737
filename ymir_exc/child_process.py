"""Running a child process that gets the signals that its parent gets."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
from typing import Any, Sequence

FORWARDED_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def _terminal_reaches_child(signum: int) -> bool:
    """Return whether Ctrl-C at a terminal has already reached the child, which shares our process group."""
    try:
        return signum == signal.SIGINT and os.tcgetpgrp(0) == os.getpgrp()
    except OSError:  # no terminal
        return False


def run_and_forward_signals(command: str | Sequence[str]) -> None:
    """Run a command to its end and pass on SIGTERM and SIGINT to it meanwhile.

    Args:
        command: a list of arguments, or a line that is split as a shell would (no shell runs it).

    Raises:
        subprocess.CalledProcessError: it ended with another status than 0, or by a signal.
        OSError: it cannot be started.
    """
    arguments: list[str] = shlex.split(command) if isinstance(command, str) else [str(part) for part in command]
    early: list[int] = []
    child: Any = None

    def forward(signum: int, frame: Any) -> None:
        if child is None:
            early.append(signum)
        elif not _terminal_reaches_child(signum):
            child.send_signal(signum)

    # Python sets signal handlers in the main thread only.
    is_main = threading.current_thread() is threading.main_thread()
    previous = {signum: signal.signal(signum, forward) for signum in FORWARDED_SIGNALS} if is_main else {}
    try:
        child = subprocess.Popen(arguments)
        while early:
            child.send_signal(early.pop(0))
        return_code = child.wait()
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
    if return_code:
        raise subprocess.CalledProcessError(return_code, arguments)
