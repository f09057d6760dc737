"""One file at a time, written while the training goes on.

What is written must not change meanwhile, so it is copied first, which takes a small part of the time. The file itself
is written as whole as ever (`ymir_exc.atomic`).
"""

import copy
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch


def in_main_memory(value: Any) -> Any:
    """Copy what a checkpoint holds, so that it stays what it is while the training goes on.

    Args:
        value: Tensors on any device, in mappings, lists and tuples, and other values.

    Returns:
        A copy, its tensors in main memory.
    """
    if torch.is_tensor(value):
        return value.detach().to('cpu', copy=True)
    if type(value) in (list, tuple):
        return type(value)(in_main_memory(item) for item in value)
    if isinstance(value, Mapping):
        copied = copy.copy(value)  # with the attributes that state dicts have
        copied.update((key, in_main_memory(item)) for key, item in value.items())
        return copied
    return copy.deepcopy(value)


class BackgroundSave:
    """A thread that writes, whose failures reach who waits for it; Python does not end before it has written."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._running: Future | None = None

    def start(self, write: Callable[[], None]) -> None:
        """Write, after what was started before.

        Args:
            write: Writes what nobody changes meanwhile.

        Raises:
            OSError: What was started before has failed.
        """
        self.wait()
        self._pool = self._pool or ThreadPoolExecutor(1, 'save')
        self._running = self._pool.submit(write)

    def wait(self) -> None:
        """Return when what was started is written.

        Raises:
            OSError: It has failed.
        """
        running, self._running = self._running, None
        if running is not None:
            running.result()
