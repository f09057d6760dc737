"""What the C library does with memory that is freed: keep it for the next step, or return it to the system.

A training step frees what it computed, and the next one asks for as much. glibc returns large blocks to the system at
once, and the end of its heap where much of it is free, so that each page is zeroed and mapped anew in each step: on a
CPU that took 4 % of the time of a step. Memory that is kept counts as used by the process, as at the largest step.
"""

import ctypes

# Of malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
# The numbers to which glibc goes by itself, and its usual limit of mapped blocks.
USUAL_MMAP_THRESHOLD, USUAL_TRIM_THRESHOLD, USUAL_MMAP_MAX = 32 * 1024**2, 64 * 1024**2, 65536
NEVER = -1


def keep_freed_memory() -> bool:
    """Keep what is freed, in this process and those that it forks.

    Returns:
        Whether the C library can do so.
    """
    return _set({M_MMAP_MAX: 0, M_TRIM_THRESHOLD: NEVER})


def return_freed_memory() -> bool:
    """Return what is freed as usual, in a process whose parent keeps it.

    Returns:
        Whether the C library can do so.
    """
    usual = {M_MMAP_MAX: USUAL_MMAP_MAX, M_MMAP_THRESHOLD: USUAL_MMAP_THRESHOLD, M_TRIM_THRESHOLD: USUAL_TRIM_THRESHOLD}
    return _set(usual)


def _set(values: dict[int, int]) -> bool:
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    return mallopt is not None and all(mallopt(name, value) == 1 for name, value in values.items())
