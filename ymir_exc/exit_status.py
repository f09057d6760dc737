"""What the exit status of a process says beyond its number."""

from __future__ import annotations

import signal

OUT_OF_MEMORY = 'as the system does when memory runs out'  # of a process that got a SIGKILL


def signal_of(status: int) -> str | None:
    """Return the name of the signal that ended a process, such as 'SIGKILL'; None if it ended by itself.

    Args:
        status: negative for a signal, as Python has it, or above 128, as a shell and Docker have it.
    """
    try:
        return signal.Signals(-status if status < 0 else status - 128).name
    except ValueError:
        return None
