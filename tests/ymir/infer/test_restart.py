"""A prediction goes on where an earlier run ended, and with the processes that are lost on the way."""

import json
import logging
import os
import signal
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.ymir.infer.lossy_worker import BATCH, READ_FILE
from tests.ymir.training.platform import REPOSITORY
from tmi.errors import DiskFullError, InsufficientMemoryError, SettingError, StandstillError, StoppedError, UnknownError
from tmi.inference import supervise
from tmi.inference.plan import PredictionPlan
from tmi.inference.run import predict
from tmi.inference.shards import shard_path
from tmi.process_tree import children
from tmi.processes import ERROR_FILE_VARIABLE, seconds_of
from ymir.errors import code_of

PLAN = PredictionPlan('index', 0, 'w.pth', None, ['a'], 0.1, 0.6, None, 'auto', 4, [], 1, 0, 1)


class Ended(Exception):
    """Stands for the end of the task."""


@pytest.fixture
def run(tmp_path, monkeypatch, caplog):
    """Predict images of these names with processes that have no network; gives the predictions by name."""
    python = tmp_path / 'python'
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -m tests.ymir.infer.lossy_worker "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr('sys.executable', str(python))
    monkeypatch.setenv('PYTHONPATH', str(REPOSITORY))
    (tmp_path / 'w.pth').write_bytes(b'weights')
    caplog.set_level(logging.INFO, 'tmi')

    def run(names, end_at=None, **changes):
        def on_progress(done):
            if end_at is not None and done >= end_at:
                raise Ended

        plan = replace(PLAN, num_images=len(names), checkpoint=str(tmp_path / 'w.pth'), **changes)
        found = list(predict(plan, (f'/images/{name}.jpg' for name in names), tmp_path / 'predictions', on_progress))
        assert [Path(one.path).stem for one in found] == names
        return {Path(one.path).stem: one for one in found}

    return run


def images_read(folder):
    """How often each image was read."""
    file = folder / READ_FILE
    names = Counter(Path(line).stem for line in file.read_text().splitlines())
    file.unlink()
    return names


NAMES = [f'{number}' for number in range(20)]


@pytest.mark.parametrize('world_size', [1, pytest.param(3, marks=pytest.mark.slow)])
def test_an_image_that_ends_its_process_twice_is_skipped(run, tmp_path, caplog, world_size):
    names = [*NAMES[:9], 'SIGSEGV', *NAMES[9:]]
    found = run(names, world_size=world_size)
    assert [name for name, one in found.items() if not one.readable] == ['SIGSEGV']
    assert found['SIGSEGV'].problem == 'a predicting process was ended by SIGSEGV at it, twice'
    read = images_read(tmp_path)
    assert read['SIGSEGV'] == 2 and max(read.values()) == 2 and set(read) == set(names)
    assert 'at image 10 of the list, which is skipped' in caplog.text


def test_a_process_that_is_lost_by_chance_costs_no_image(run, tmp_path):
    names = [*NAMES[:9], 'once-SIGKILL', *NAMES[9:]]
    assert all(one.readable for one in run(names).values())
    assert images_read(tmp_path) == Counter(names) + Counter(['8', 'once-SIGKILL'])  # of the batch that was not written


@pytest.mark.slow
def test_images_that_end_processes_one_after_the_other(run):
    names = [*NAMES[:5], 'SIGSEGV', 'SIGABRT', *NAMES[5:], 'SIGKILL']
    assert [name for name, one in run(names).items() if not one.readable] == ['SIGSEGV', 'SIGABRT', 'SIGKILL']


@pytest.fixture
def clock(monkeypatch):
    """A clock that runs only while a process is stopped, so that a slow machine is no standstill."""

    class Clock:
        now = 0.0
        sleep = staticmethod(supervise.time.sleep)

        def monotonic(self):
            self.now += any(state_of(pid) == 'T' for pid in children(os.getpid()))
            return self.now

    monkeypatch.setattr(supervise, 'time', Clock())
    monkeypatch.setenv('TMI_STANDSTILL_SECONDS', '5')


def state_of(pid):
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
    except OSError:  # it has just ended
        return ''


def test_a_process_that_stands_still_is_started_again(run, clock):
    found = run([*NAMES[:9], 'SIGSTOP', *NAMES[9:], 'once-SIGSTOP'])
    assert [name for name, one in found.items() if not one.readable] == ['SIGSTOP']
    assert found['SIGSTOP'].problem == 'a predicting process stood still for 5 seconds at it, twice'


@pytest.mark.parametrize(
    'name, error, code, words',
    [
        ('SIGSTOP', StandstillError, 160004, 'process 0 stood still for 5 seconds'),
        ('SIGKILL', InsufficientMemoryError, 300103, 'process 0 was killed'),
        ('SIGSEGV', UnknownError, 160004, 'process 0 crashed .SIGSEGV.'),
    ],
)
def test_a_process_that_is_lost_before_its_first_image(run, clock, monkeypatch, name, error, code, words):
    monkeypatch.setenv('AT_START', name)
    with pytest.raises(error, match=words) as caught:
        run(NAMES)
    assert code_of(caught.value) == code


def test_a_full_disk_ends_the_task_and_keeps_what_is_there(run, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv(ERROR_FILE_VARIABLE, str(tmp_path / 'error.json'))
    monkeypatch.setenv('FULL', '1')
    with pytest.raises(DiskFullError, match='No space is left on the disk') as caught:
        run(NAMES, world_size=2)
    assert code_of(caught.value) == 160004
    files = [shard_path(tmp_path / 'predictions', rank) for rank in range(2)]
    before = [file.read_bytes() if file.exists() else b'' for file in files]  # process 0 may not have begun
    assert before[1].count(b'\n') == BATCH
    monkeypatch.delenv('FULL')
    (tmp_path / 'error.json').unlink()
    assert all(one.readable for one in run(NAMES, world_size=2).values())
    after = [file.read_bytes() for file in files]
    assert 'Going on where an earlier run ended' in caplog.text
    assert all(new.startswith(old) for new, old in zip(after, before))


@pytest.mark.parametrize('count', [1, pytest.param(5, marks=pytest.mark.slow)])
def test_a_task_that_loses_every_image_has_failed(run, count):
    names = [f'SIGKILL.{number}' for number in range(count)]
    with pytest.raises(InsufficientMemoryError, match='was killed'):
        run(names)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_asked_to_end_is_not_started_again(run, tmp_path, number):
    earlier = signal.signal(number, signal.default_int_handler)  # a shell lets what it runs in the background ignore it
    try:
        check_it_is_not_started_again(run, tmp_path, number)
    finally:
        signal.signal(number, earlier)


def check_it_is_not_started_again(run, tmp_path, number):
    with pytest.raises(StoppedError, match=f'process 0 was stopped from outside .{number.name}.'):
        run([*NAMES, number.name])
    assert images_read(tmp_path)[number.name] == 1


@pytest.mark.parametrize('text', ['0', '-1', 'soon', 'nan', 'inf'])
def test_a_time_limit_that_is_none(monkeypatch, text):
    monkeypatch.setenv('TMI_STANDSTILL_SECONDS', text)
    with pytest.raises(SettingError, match='TMI_STANDSTILL_SECONDS'):
        seconds_of('TMI_STANDSTILL_SECONDS')


@pytest.mark.parametrize('world_size', [pytest.param(1, marks=pytest.mark.slow), 3])
def test_what_an_earlier_run_predicted_is_not_predicted_again(run, tmp_path, caplog, world_size):
    names, lines = [*NAMES, 'once-SIGSTOP'], {1: 20, 3: 18}[world_size]
    with pytest.raises(Ended):
        run(names, end_at=lines, world_size=world_size)
    assert set(images_read(tmp_path)) == set(names)
    folder = tmp_path / 'predictions'
    whole = {rank: shard_path(folder, rank).read_bytes() for rank in range(world_size)}
    with open(shard_path(folder, 0), 'ab') as file:
        file.write(b'[99,"half a li')
    (folder / 'rank_0.jsonl.tmp').write_text('of a process that was killed')
    run(names, world_size=2)  # a machine of other cores
    assert f'Going on where an earlier run ended: {lines} of 21 images' in caplog.text
    kept = {json.loads(line)[0] for content in whole.values() for line in content.splitlines()}
    assert images_read(tmp_path) == Counter(name for index, name in enumerate(names) if index not in kept)
    assert all(shard_path(folder, rank).read_bytes().startswith(content) for rank, content in whole.items())
    assert not list(folder.glob('*.tmp'))


def change_weights(folder):
    (folder / 'w.pth').write_bytes(b'WEIGHTS')


@pytest.mark.parametrize(
    'change',
    [
        change_weights,
        {'score_thr': 0.01},
        {'image_size': (64, 64)},
        {'class_names': ['b']},
        {'names': [*NAMES[1:], '0']},
        {'batch_size': 5},
        {'log_level': 'debug'},
        {'score_thr': 0.3},
    ],
)
def test_only_the_same_predictions_are_taken(run, tmp_path, caplog, change):
    run(NAMES)
    images_read(tmp_path)
    if callable(change):
        change(tmp_path)
        change = {}
    same = not {'score_thr', 'image_size', 'class_names', 'names'} & {*change} and bool(change)
    run(**{'names': NAMES, **change})
    if same or change.get('score_thr') == 0.3:  # the boxes above it are there
        assert not (tmp_path / READ_FILE).exists() and 'used again' in caplog.text
    else:
        assert images_read(tmp_path) == Counter(NAMES)
        assert 'are of other weights, settings or images, so all images are predicted anew' in caplog.text
