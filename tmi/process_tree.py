"""What /proc says of processes and of those below them, and how all of them are ended; imports no torch."""

import os
import signal
from collections.abc import Iterable
from pathlib import Path

STOPPED_STATES = 'Tt'


def process_state(pid: int) -> str:
    """Return the state of a process as /proc has it, such as R, S, T or D; '-' if there is no such process.

    Args:
        pid: Of the process.
    """
    return (_fields(pid) or ['-'])[0]


def processor_seconds(pids: Iterable[int]) -> float:
    """Return how long processes have kept a processor busy, those that have ended left out.

    Args:
        pids: Of the processes.
    """
    # User and kernel mode.
    ticks = sum(int(fields[11]) + int(fields[12]) for pid in pids if (fields := _fields(pid)))
    return ticks / os.sysconf('SC_CLK_TCK')


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that it has not waited for; cheap enough for each poll.

    Args:
        pid: Of the one.
    """
    found = []
    for file in Path(f'/proc/{pid}/task').glob('*/children'):
        try:
            found.extend(map(int, file.read_text().split()))
        except OSError:  # a thread that has just ended
            pass
    return found


def descendants(pid: int) -> list[int]:
    """Return the processes below one, each before those below it; none where there is no /proc.

    All processes of the system are looked through, as the list of children may lack some while processes end.

    Args:
        pid: Of the one.
    """
    below: dict[int, list[int]] = {}
    for folder in Path('/proc').glob('[0-9]*'):
        if fields := _fields(int(folder.name)):
            below.setdefault(int(fields[1]), []).append(int(folder.name))
    found = list(below.get(pid, ()))
    for child in found:
        found.extend(below.get(child, ()))
    return found


def kill_tree(pid: int) -> None:
    """Kill a process and all below it, also those that are stopped or have a session of their own.

    Args:
        pid: Of the process.
    """
    for one in [pid, *descendants(pid)]:
        try:
            os.kill(one, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _fields(pid: int) -> list[str]:
    """Return what /proc/PID/stat holds behind the name, which may hold anything; nothing if there is no process."""
    try:
        text = Path(f'/proc/{pid}/stat').read_text(encoding='utf-8', errors='replace')
    except OSError:
        return []
    return text.rpartition(')')[2].split()
