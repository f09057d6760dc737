"""What the C library does with memory that is freed: keep it for the next step, or return it to the system.

A training step frees what it computed, and the next one asks for as much. glibc returns large blocks to the system at
once, and the end of its heap where much of it is free, so that each page is zeroed and mapped anew in each step: on a
CPU that took 4 % of the time of a step. Memory that is kept counts as used by the process, as at the largest step.
"""

import ctypes
import functools
import os
from collections.abc import Callable, Mapping

# Of malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
KEPT = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: -1}  # no block is mapped by itself, and the heap never ends sooner
# The numbers to which glibc goes by itself, and its usual limit of mapped blocks.
RETURNED = {M_MMAP_MAX: 65536, M_MMAP_THRESHOLD: 32 * 1024**2, M_TRIM_THRESHOLD: 64 * 1024**2}


def keep_freed_memory() -> bool:
    """Keep what is freed, in this process; its forks return it: there are many workers, and each may meet large images.

    A thread that once did not get memory it asked for takes it from another heap from then on, which returns it.

    Returns:
        Whether the C library can do so.
    """
    _return_in_forks()
    return _set(_mallopt(), KEPT)


@functools.cache
def _return_in_forks() -> None:
    mallopt = _mallopt()  # not to be looked up in a fork, where a lock may be held for ever
    os.register_at_fork(after_in_child=lambda: _set(mallopt, RETURNED))


def _mallopt() -> Callable[[int, int], int] | None:
    return getattr(ctypes.CDLL(None), 'mallopt', None)


def _set(mallopt: Callable[[int, int], int] | None, values: Mapping[int, int]) -> bool:
    return mallopt is not None and all(mallopt(name, value) == 1 for name, value in values.items())
