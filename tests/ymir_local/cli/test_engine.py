"""What ran a task is found again from its run.yaml, and from the options that are printed."""

import os
import shlex

import pytest

from ymir_local.cli.engine import Engine
from ymir_local.cli.options import TaskOptions

CALLER = f'{os.getuid()}:{os.getgid()}'


@pytest.mark.parametrize(
    'image, executor, img_man, user, options',
    [
        (None, None, None, None, []),
        ('a:b', None, None, None, ['--image', 'a:b']),
        ('a:b', None, None, 'root', ['--image', 'a:b', '--user', 'root']),
        ('a:b', None, None, '7:8', ['--image', 'a:b', '--user', '7:8']),
        ('a:b', None, None, CALLER, ['--image', 'a:b']),
        (None, "bash -c 'exec x'", 'templates', None, ['--executor', "bash -c 'exec x'", '--img-man', 'templates']),
    ],
)
def test_the_same_executor_again(tmp_path, monkeypatch, image, executor, img_man, user, options):
    monkeypatch.chdir(tmp_path)
    folder = img_man and tmp_path / img_man
    how = Engine.of(TaskOptions(image=image, executor=executor, img_man=folder, gpus='0', user=user))
    record = {'image': how.image, 'user': how.user, 'executor': how.describe(), 'img_man': how.own_templates()}
    assert Engine.of_record(record, '0') == how
    assert shlex.split(how.options()) == options


def test_runs_without_a_record_are_of_this_package():
    assert Engine.of_record({}, '0') == Engine.of(TaskOptions(gpus='0'))
    assert Engine.of_record({'image': 'a:b', 'executor': 'a:b'}, '0').user == CALLER
