"""What is known of processes below a process."""

import os
import subprocess
import sys

import pytest

from tests.processes import is_alive, wait_until
from tmi.process_tree import children, descendants, kill_tree, process_state, processor_seconds

# A process with a child, which computes without end and has a child that sleeps in a session of its own.
TREE = """
import subprocess, sys
child = "import subprocess; subprocess.Popen(['sleep', '1000'], start_new_session=True)\\nwhile True: pass"
subprocess.Popen([sys.executable, '-c', child]).wait()
"""


@pytest.fixture
def tree():
    process = subprocess.Popen([sys.executable, '-c', TREE])
    wait_until(lambda: len(descendants(process.pid)) == 2)
    yield process.pid, *descendants(process.pid)
    kill_tree(process.pid)
    process.wait()


def test_what_is_below_a_process(tree):
    top, busy, sleeping = tree
    assert children(top) == [busy] and children(busy) == [sleeping] and descendants(busy) == [sleeping]
    assert {busy, sleeping} < set(descendants(os.getpid())) and not descendants(sleeping)


def test_the_time_of_processors_counts(tree):
    top, busy, sleeping = tree
    wait_until(lambda: processor_seconds([top, busy]) > 0.3)
    assert processor_seconds([sleeping]) < 0.3 and not processor_seconds([])


def test_all_are_killed(tree):
    top, *below = tree
    kill_tree(top)
    wait_until(lambda: not any(map(is_alive, below)))
    assert process_state(below[1]) in 'Z-' and processor_seconds(below) < 1e6
