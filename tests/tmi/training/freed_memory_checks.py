"""Checks of `tmi/training/freed_memory.py` for a new process, which imports no more than they need."""

import resource

from tests.processes import check_in_fork
from tmi.training.freed_memory import keep_freed_memory

STEPS, BYTES = 8, 48 * 1024**2


def faults_of_steps(size=BYTES):
    """Take, fill and free as much memory in each step; return the pages that the system had to map for it."""
    filled = bytes(size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(STEPS):
        bytearray(filled)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def check_kept_memory():
    returned = faults_of_steps()
    assert keep_freed_memory()
    faults_of_steps()
    assert faults_of_steps() < 0.1 * returned


def check_worker():
    returned = faults_of_steps()
    keep_freed_memory()
    faults_of_steps()

    def in_the_worker():
        assert faults_of_steps(2 * BYTES) > 0.5 * returned  # more than what was kept before the fork

    check_in_fork(in_the_worker)
