"""Files are whole at every instant, also when the writer is killed."""

import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.ymir_exc import platform_rules as rules
from ymir_exc.atomic import TEMPORARY_SUFFIX, atomic_file, write_text_atomically


def test_text_and_bytes_are_written_as_given(tmp_path):
    path = tmp_path / 'new/folder/file.txt'
    write_text_atomically(path, 'Gerät\r\n\udcff')
    assert path.read_bytes() == 'Gerät\r\n'.encode() + b'\xff'
    with atomic_file(path, 'wb') as stream:
        stream.write(b'\x00\xff')
    assert path.read_bytes() == b'\x00\xff'
    assert os.listdir(path.parent) == ['file.txt']


def test_permissions_are_those_of_any_new_file(tmp_path):
    old = os.umask(0o002)
    try:
        write_text_atomically(tmp_path / 'a', 'x')
        os.umask(0o027)
        write_text_atomically(tmp_path / 'b', 'x')
    finally:
        os.umask(old)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in 'ab'] == [0o664, 0o640]


def test_devices_and_pipes_are_not_replaced(tmp_path):
    """As root, the rename would put a file in the place of the device."""
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'link').symlink_to('/dev/null')
    for path in (tmp_path / 'pipe', tmp_path / 'link', '/dev/null', '/dev/stdout'):
        with pytest.raises(OSError, match='device or a pipe'):
            write_text_atomically(path, 'x')
    assert stat.S_ISFIFO((tmp_path / 'pipe').stat().st_mode) and stat.S_ISCHR(os.stat('/dev/null').st_mode)
    assert sorted(os.listdir(tmp_path)) == ['link', 'pipe']


def test_an_error_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / 'file'
    path.write_text('old')
    with pytest.raises(KeyboardInterrupt):
        with atomic_file(path) as stream:
            stream.write('new')
            stream.flush()
            assert path.read_text() == 'old'
            raise KeyboardInterrupt
    assert path.read_text() == 'old' and os.listdir(tmp_path) == ['file']


def test_the_name_appears_only_when_the_block_ends(tmp_path):
    with atomic_file(tmp_path / 'file', 'wb') as stream:
        stream.write(b'abc')
        stream.flush()
        assert not (tmp_path / 'file').exists()
        assert [name[-4:] for name in os.listdir(tmp_path)] == [TEMPORARY_SUFFIX]
    assert (tmp_path / 'file').read_bytes() == b'abc'


def test_the_content_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    steps = []
    for name in ('fsync', 'replace'):
        monkeypatch.setattr(
            os, name, lambda *args, name=name, real=getattr(os, name): steps.append(name) or real(*args)
        )
    write_text_atomically(tmp_path / 'file', 'x')
    assert steps == ['fsync', 'replace', 'fsync']  # the file, its name, the directory


def test_the_longest_names_work(tmp_path):
    for name in ('x' * 255, '図' * 85):
        write_text_atomically(tmp_path / name, 'x')
        assert (tmp_path / name).read_text() == 'x'


def test_another_mode_is_rejected(tmp_path):
    with pytest.raises(ValueError, match="'a'"):
        with atomic_file(tmp_path / 'file', 'a'):
            pass


WRITER = """
import itertools
from ymir_exc import monitor, result_writer as rw
for n in itertools.count():
    monitor.write_monitor_logger((n % 100) / 100, message='step %d' % n, trace=['line'] * 50)
    rw.write_model_stage('stage_%d' % (n % 15), ['a.pth', 'b.py'], dict(mAP=(n % 7) / 7), evaluate_config=dict(iou=.5))
    rw.write_mining_result([('/in/assets/%d.jpg' % i, i) for i in range(n % 300 + 1)])
    box = rw.Annotation(class_name='cat', score=.5, box=rw.Box(x=1, y=2, w=3, h=4))
    rw.write_infer_result({'/in/assets/%d.jpg' % i: [box] * (i % 5) for i in range(n % 300 + 1)})
"""


def all_violations(task):
    found = []
    if task.monitor_file.exists():
        found += rules.monitor_violations(task.monitor_file.read_text())
    if task.result_file.exists():
        found += rules.result_yaml_violations(task.result_file)
    if task.mining_file.exists():
        text = task.mining_file.read_text()
        found += rules.mining_result_violations(text, [f'/in/assets/{i}.jpg' for i in range(text.count('\n'))])
    if task.infer_file.exists():
        found += rules.infer_result_violations(task.infer_file.read_text())
    return found


def test_a_process_killed_at_any_instant_leaves_whole_files(task):
    for name in ('a.pth', 'b.py'):
        task.add_model(name)
    environment = dict(
        os.environ,
        DEFAULT_ENV_FILE_PATH=str(task.root / 'in/env.yaml'),
        PYTHONPATH=str(Path(__file__).resolve().parents[2]),
    )
    instants = random.Random(0)
    for _ in range(8):
        child = subprocess.Popen([sys.executable, '-c', WRITER], env=environment)
        try:
            # The clock starts with the first write of this process, not with Python's start.
            before = task.infer_file.stat().st_mtime_ns if task.infer_file.exists() else 0
            end = time.monotonic() + 20
            while not task.infer_file.exists() or task.infer_file.stat().st_mtime_ns == before:
                assert child.poll() is None and time.monotonic() < end
                assert all_violations(task) == []
            end = time.monotonic() + instants.uniform(0, 0.15)
            while time.monotonic() < end:
                assert all_violations(task) == []
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()
        assert all_violations(task) == []
    assert len(yaml.safe_load(task.result_file.read_text())['model_stages']) > 1
