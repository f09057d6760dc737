"""Bad inputs of every kind through the real entry points: a code or a valid result, nothing elsewhere, no end of time.

A few cases run by default. `FUZZ_CASES=2000 pytest -m slow tests/fuzz` runs so many, `FUZZ_SEED` others than usual;
`python -m tests.fuzz.run_cases FOLDER SEED PYTHON FIRST STOP` runs some alone and keeps the folders of those that fail.
"""

import collections
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.materials import TASKS
from tests.warm_python import ROOT, warm_python

SEED = os.environ.get('FUZZ_SEED', 's2')
CASES = int(os.environ.get('FUZZ_CASES', '100'))
SAMPLE = range(282, 306)  # of the usual seed, of every kind; among the 30 in a row that take the least time
STREAMS = 2  # how many run at a time


def run(folder: Path, seed: str, first: int, stop: int, *kinds: str) -> subprocess.Popen:
    """Start cases on one core, so that no process waits for threads of another."""
    command = [warm_python(), '-m', 'tests.fuzz.run_cases', folder, seed, sys.executable, first, stop, *kinds]
    cores = sorted(os.sched_getaffinity(0))
    folder.mkdir()
    with open(f'{folder}.err', 'w') as errors:
        return subprocess.Popen(
            list(map(str, command)),
            cwd=ROOT,
            env=dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT)),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {cores[first % len(cores)]}),
        )


def rows_of(process: subprocess.Popen, folder: Path) -> Iterator[dict[str, Any]]:
    """What came of each case."""
    with process:
        for line in process.stdout:
            if line.startswith('{'):
                yield json.loads(line)
    assert process.returncode == 0, Path(f'{folder}.err').read_text()[-3000:]


def check(rows: list[dict[str, Any]], count: int) -> None:
    assert len(rows) == count
    wrong = [row for row in rows if row['faults']]
    assert not wrong, '\n'.join(map(json.dumps, wrong))


def test_a_few(open_folder):
    rows = list(rows_of(run(open_folder / 'cases', 's2', SAMPLE.start, SAMPLE.stop), open_folder / 'cases'))
    check(rows, len(SAMPLE))
    assert len({row['kind'] for row in rows}) == 10 and len({row['task'] for row in rows}) == 5


@pytest.mark.slow
@pytest.mark.integration
def test_tasks_as_they_were(open_folder):
    """Without a fault each task ends well, so what ends badly does so for its bad input; and it writes nowhere else."""
    rows = list(rows_of(run(open_folder / 'cases', 's0', 0, 4, 'none'), open_folder / 'cases'))
    check(rows, 4)
    assert [(row['task'], row['outcome']) for row in rows] == [(task, 'done') for task in TASKS]


@pytest.mark.slow
@pytest.mark.integration
def test_output_folders_that_hold_something(open_folder):
    rows = list(rows_of(run(open_folder / 'cases', SEED, 0, CASES // 20, 'output'), open_folder / 'cases'))
    check(rows, CASES // 20)


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.timeout(0)
def test_many(open_folder):
    parts = [range(CASES * part // STREAMS, CASES * (part + 1) // STREAMS) for part in range(STREAMS)]
    folders = [open_folder / str(part.start) for part in parts]
    running = [run(folder, SEED, part.start, part.stop) for folder, part in zip(folders, parts)]
    rows = [row for process, folder in zip(running, folders) for row in rows_of(process, folder)]
    table = collections.Counter((row['kind'], row['outcome']) for row in rows)
    print('\n'.join(f'{kind}\t{outcome}\t{count}' for (kind, outcome), count in sorted(table.items())))
    check(rows, CASES)
