"""The process that trains: on which GPUs, and how it ends with train.py."""

import os
import signal
import subprocess
from collections.abc import Sequence

from pie.texts import warn

SECONDS_TO_END = 10  # for a training that was asked to


def usable_gpus(asked: int) -> int:
    """Return how many GPUs are used: those that are there, if fewer than asked, with a warning.

    The platform's own example asks for one and goes on without.
    """
    if not asked:
        return 0
    import torch

    visible = torch.cuda.device_count()
    if visible < asked:
        warn('fewer_gpus', asked=asked, visible=visible)
    return min(asked, visible)


def run_training(command: Sequence[str], environment: dict[str, str]) -> None:
    """Run the training process to its end; whatever ends this one ends it too.

    Args:
        command: What to run.
        environment: Variables to add.

    Raises:
        subprocess.CalledProcessError: It failed; why, it has recorded.
    """
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        status = process.wait()
    except BaseException:
        _end(process)
        raise
    if status:
        raise subprocess.CalledProcessError(status, list(command))


def _end(process: subprocess.Popen) -> None:
    """End a process and those that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            continue
