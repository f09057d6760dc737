"""Where the processes of a training are, and which one holds up the others."""

import os
import signal
import subprocess
import sys

import pytest

from tests.processes import is_alive, wait_until
from tmi.process_tree import descendants, kill_tree, process_state
from tmi.training import watch as watch_module
from tmi.training.watch import (
    COMPUTING,
    EVALUATING,
    LENGTH,
    LOADING,
    SAVING,
    STARTING,
    VALIDATING,
    RankReport,
    Watch,
    rank_place,
)


@pytest.fixture
def clock(monkeypatch):
    """Stand in for the module `time`."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(watch_module, 'time', clock)
    return clock


@pytest.fixture
def watch(tmp_path, clock):
    return Watch(tmp_path / 'watch')


def test_a_report_keeps_its_length_and_is_read_as_it_was_written(watch):
    report = RankReport(str(watch.folder), 3)
    for epoch in (1, 10**6):
        report.write(COMPUTING, epoch, 7, 1)
        (state,) = watch.states()
        assert (state.rank, state.pid, state.doing, state.epoch, state.step) == (3, os.getpid(), COMPUTING, epoch, 7)
        assert (watch.folder / 'rank_3').stat().st_size == LENGTH
    assert state.steps == 2 and rank_place(watch.folder, 3) == ' (epoch 1000000, step 7)'
    assert rank_place(watch.folder, 4) == ''


def test_without_a_folder_nothing_is_written(monkeypatch, tmp_path):
    monkeypatch.delenv(watch_module.FOLDER_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    report = RankReport()
    report.write(COMPUTING, 1, 1)
    assert report.stop_signal() == 0 and not list(tmp_path.iterdir())


def test_the_processes_learn_that_they_shall_stop(watch):
    report = RankReport(str(watch.folder), 0)
    assert report.stop_signal() == 0
    watch.ask_to_stop(signal.SIGTERM)
    assert report.stop_signal() == signal.SIGTERM


@pytest.mark.parametrize(
    'doing, seconds, stands',
    [(COMPUTING, 599, False), (COMPUTING, 601, True), (LOADING, 601, True), (VALIDATING, 601, False)]
    + [(SAVING, 1799, False), (STARTING, 1799, False), (VALIDATING, 1801, True)],
)
def test_how_long_is_waited(watch, clock, doing, seconds, stands):
    clock.now += 1
    RankReport(str(watch.folder), 0).write(doing, 1, 2, 1)
    clock.now += seconds
    assert bool(watch.standstill(None, 600)) == stands


@pytest.mark.parametrize(
    'state, busy, seconds, stands',
    [('R', True, 17999, False), ('R', True, 18001, True), ('R', False, 1801, True), ('T', True, 1801, True)],
)
def test_a_metric_that_is_computed_takes_as_long_as_it_takes(watch, clock, monkeypatch, state, busy, seconds, stands):
    """It says nothing until it is done; one that waits or is stopped stands still."""
    began = clock.now
    monkeypatch.setattr(watch_module, 'processor_seconds', lambda pids: (clock.now - began) * busy)
    monkeypatch.setattr(watch_module, 'process_state', lambda pid: state)
    RankReport(str(watch.folder), 0).write(EVALUATING, 1, 2, 1)
    assert not watch.standstill(None, 600)
    clock.now += seconds
    found = watch.standstill(None, 600)
    assert bool(found) == stands and ('computes the metric in epoch 1' in found) == stands


def test_the_first_step_may_take_longer(watch, clock):
    RankReport(str(watch.folder), 0).write(COMPUTING, 1, 1)
    clock.now += 1799
    assert not watch.standstill(None, 600)
    clock.now += 2
    assert watch.standstill(None, 600)


def test_slow_steps_are_waited_for(watch, clock):
    report = RankReport(str(watch.folder), 0)
    for step in range(10):
        clock.now += 60
        report.write(COMPUTING, 1, step, 1)
    clock.now += 50 * 60 - 1
    assert not watch.standstill(None, 600)
    clock.now += 2
    assert 'rank 0 computes in epoch 1, step 9. Nothing was done for 3001 s' in watch.standstill(None, 600)
    assert watch.standstill(2000, 600)
    watch.forgive(clock.now)
    assert not watch.standstill(2000, 600)


def test_nothing_stands_while_one_goes_on(watch, clock):
    """One that waits for another is not the one that stands."""
    RankReport(str(watch.folder), 1).write(COMPUTING, 1, 1, 1)
    clock.now += 1000
    RankReport(str(watch.folder), 0).write(VALIDATING, 1, 1)
    assert not watch.standstill(None, 600)


def test_processes_that_never_begin(watch, clock):
    clock.now += 1799
    assert not watch.standstill(None, 600)
    clock.now += 2
    assert 'no process of the training began to work in 1801 s' in watch.standstill(None, 600)


@pytest.mark.parametrize(
    'first, second, words',
    [
        ((COMPUTING, 1, 8), (LOADING, 1, 8), 'rank 1 waits for its data in epoch 1, step 8'),
        ((COMPUTING, 2, 1), (COMPUTING, 1, 9), 'rank 1 computes in epoch 1, step 9'),
        ((COMPUTING, 1, 9), (COMPUTING, 1, 9), 'rank 0 computes in epoch 1, step 9; rank 1 computes'),
    ],
)
def test_the_one_that_is_behind_is_named(watch, clock, first, second, words):
    for rank, place in enumerate((first, second)):
        RankReport(str(watch.folder), rank).write(*place, 1)
    clock.now += 1000
    sentence = watch.standstill(None, 600)
    assert words in sentence and ('rank 0' in sentence) == ('rank 0' in words)


SLEEPER = 'import subprocess, sys; p = subprocess.Popen(["sleep", "1000"]); print(p.pid, flush=True); p.wait()'


@pytest.fixture
def tree():
    """A process with a child."""
    process = subprocess.Popen([sys.executable, '-c', SLEEPER], stdout=subprocess.PIPE, text=True)
    child = int(process.stdout.readline())
    yield process.pid, child
    kill_tree(process.pid)
    process.wait()
    wait_until(lambda: not is_alive(child))


@pytest.mark.parametrize('is_child', [False, True])
def test_a_stopped_process_is_named_whoever_waits_for_it(watch, clock, tree, is_child):
    pid = tree[is_child]
    assert tree[1] in descendants(tree[0])
    for rank, (other, doing) in enumerate(((-1, LOADING), (tree[0], COMPUTING))):
        report = RankReport(str(watch.folder), rank)
        report.state = report.state._replace(pid=other)
        report.write(doing, 1, 1, 1)
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: process_state(pid) == 'T')
    clock.now += 1000
    sentence = watch.standstill(None, 600)
    what = f'has a stopped loader process ({pid})' if is_child else 'is stopped'
    assert sentence.startswith(f'rank 1 {what} (SIGSTOP) and computes in epoch 1, step 1.')
