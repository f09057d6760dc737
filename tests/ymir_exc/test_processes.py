"""Work in processes: in order, equal to that in threads, and no process stays behind."""

import os
import runpy
import signal
import subprocess
import sys
import time

import pytest

from ymir_exc import dataset_convert as convert
from ymir_exc import processes, threads
from ymir_exc.processes import in_processes


@pytest.fixture
def small(monkeypatch):
    """A few items are enough for several processes."""
    monkeypatch.setattr(processes, 'LEAST_ITEMS', 5)
    monkeypatch.setattr(processes, 'CHUNK', 3)


def test_results_come_in_order_from_several_processes(small):
    results = list(in_processes(lambda chunk: (os.getpid(), [2 * item for item in chunk]), range(20), 3))
    assert [count for count, _ in results] == [3] * 6 + [2]
    assert [item for _, (_, items) in results for item in items] == list(range(0, 40, 2))
    assert len({process for _, (process, _) in results}) == 3 and os.getpid() not in {p for _, (p, _) in results}


def test_few_items_need_no_process():
    assert [process for _, process in in_processes(lambda chunk: os.getpid(), range(100))] == [os.getpid()] * 2
    assert list(in_processes(len, [])) == []


def test_an_error_is_raised_and_all_processes_end(small):
    def fail(chunk):
        if 7 in chunk:
            raise KeyError('seven')
        return os.getpid()

    seen = []
    with pytest.raises(KeyError, match='seven'):
        for _, process in in_processes(fail, range(40), 4):
            seen.append(process)
    assert len(seen) == 2
    for process in seen:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_a_process_that_is_killed_is_an_error(small):
    def die(chunk):
        if 4 in chunk:
            os.kill(os.getpid(), signal.SIGKILL)
        return chunk

    with pytest.raises(subprocess.CalledProcessError) as caught:
        list(in_processes(die, range(40), 4))
    assert caught.value.returncode == -signal.SIGKILL


def test_threads_do_the_work_where_no_process_can_be_made(small, monkeypatch):
    started = []

    def start(*arguments):
        if started:
            raise BlockingIOError('no more processes')
        started.append(real(*arguments))
        return started[0]

    real = processes._start
    monkeypatch.setattr(processes, '_start', start)
    assert [item for _, part in in_processes(list, range(200), 4) for item in part] == list(range(200))
    assert not started[0][0].is_alive()


SCRIPT = """
import os, sys
from ymir_exc import processes, threads
processes.LEAST_ITEMS, processes.CHUNK = 5, 3
results = processes.in_processes(lambda chunk: (os.getpid(), b'x' * 1_000_000), range(4000), 4)
for _, (_, (process, _)) in zip(range(4), results):
    print(process)
print('ready', flush=True)
sys.stdin.read()
"""


def test_processes_end_when_the_parent_is_killed():
    parent = subprocess.Popen([sys.executable, '-c', SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    workers = []
    for line in parent.stdout:
        if line == 'ready\n':
            break
        workers.append(int(line))
    parent.kill()
    parent.wait()
    parent.stdin.close()
    parent.stdout.close()
    until = time.monotonic() + 60
    while any(map(is_running, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert len(workers) == 4 and not any(map(is_running, workers))


def is_running(process):
    try:
        with open(f'/proc/{process}/stat') as stream:
            return stream.read().rpartition(')')[2].split()[0] != 'Z'
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_data_set_is_the_same_in_processes_and_threads(task, small, monkeypatch):
    lines = ['0, 1, 2, 30, 40', '', '0, 9, 9, 3, 3', '7, 1, 2, 3, 4', '1, 50, 50, 300, 70, -1.0, 0.5']
    rows = [task.add_image(f'{n}.jpg', '\n'.join(lines[: n % 6]), size=(100 + n, 80)) for n in range(20)]
    task.write_index('train', rows)
    task.write_index('val', rows[:2])
    results = []
    for number in (4, 1):
        found = []
        report = convert.convert_dataset_to_coco(
            num_workers=number, on_finding=lambda *one, found=found: found.append(one)
        )
        files = [open(part.ann_file).read() for part in report.splits.values()]
        results.append((report.splits, found, files, repr(vars(report.images['train']))))
    assert results[0] == results[1] and results[0][1]


def test_cores_are_counted_where_no_process_is_bound_to_some(monkeypatch):
    """MacOS has no affinity."""
    monkeypatch.delattr(os, 'sched_getaffinity')
    assert runpy.run_path(threads.__file__)['NUM_CORES'] == os.cpu_count()
