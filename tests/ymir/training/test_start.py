"""start.py before torch, in any directory, for any user."""

import os
import runpy
import subprocess
import sys
import tempfile

import pytest

from tmi.devices import select_devices
from tmi.errors import MEMORY_ADVICE_VARIABLE, killed_process
from ymir import start
from ymir.environment import CACHE_FOLDERS, prepare_environment
from ymir_exc import settings

from .platform import REPOSITORY, environment, read_monitor, tiny_task

UP_TO_THE_TASK = """
import runpy, sys
from ymir_exc import executor
def stop(command):
    raise SystemExit(f'{len([m for m in sys.modules if m in ("torch", "mmengine", "cv2", "numpy")])} {command}')
executor.run_and_forward_signals = stop
runpy.run_path(sys.argv[1], run_name='__main__')
"""


def test_the_first_progress_line_comes_before_torch(tmp_path):
    task = tiny_task(tmp_path, 1, 1)
    task.monitor_file.unlink()
    script = REPOSITORY / 'ymir' / 'start.py'
    done = subprocess.run(
        [sys.executable, '-c', UP_TO_THE_TASK, str(script)],
        env=environment(task),
        cwd=tmp_path,
        text=True,
        capture_output=True,
    )
    assert done.stderr.strip() == f'0 {[sys.executable, str(script.with_name("ymir_training.py"))]}'
    assert read_monitor(task)[:3] == (0.0, 2, 0)


def test_a_training_killed_for_memory_is_told_of_the_image_cache(tmp_path, monkeypatch):
    task = tiny_task(tmp_path, 1, 1)
    monkeypatch.setattr(os, 'environ', dict(os.environ))
    monkeypatch.setattr(settings, 'DEFAULT_ENV_FILE_PATH', str(task.in_dir / 'env.yaml'))
    assert 'cache: off' not in killed_process('The task', -9).sentence  # of a mining
    start.begin()
    assert 'cache: off' in killed_process('The task', -9).sentence
    assert os.environ[MEMORY_ADVICE_VARIABLE] == 'training'  # for the processes below


@pytest.mark.parametrize('wanted, words', [(False, 'nothing is to do here'), (True, 'MASTER_ADDR is missing')])
def test_a_node_behind_the_first_writes_nothing_and_follows(tmp_path, monkeypatch, capsys, wanted, words):
    task = tiny_task(tmp_path, 1, 1)
    task.monitor_file.unlink()
    env_file = task.in_dir / 'env.yaml'
    env_file.write_text(env_file.read_text().replace('run_training: true', f'run_training: {wanted}'.lower()))
    monkeypatch.setattr(os, 'environ', dict(os.environ, NNODES='2', NODE_RANK='1'))
    monkeypatch.setattr(settings, 'DEFAULT_ENV_FILE_PATH', str(env_file))
    before = sorted(task.out_dir.rglob('*'))
    monkeypatch.setattr(os, 'execv', lambda program, words: runpy.run_path(words[1], run_name='__main__'))
    with pytest.raises(SystemExit) as ended:
        start.main()
    output = ''.join(capsys.readouterr())
    assert words in output and ended.value.code == int(wanted) == output.count('code:  300001')
    assert sorted(task.out_dir.rglob('*')) == before and not task.monitor_file.exists()


def test_an_environment_of_an_unknown_user(monkeypatch):
    def unknown():
        raise KeyError('getpwuid(): uid not found')

    monkeypatch.setattr('getpass.getuser', unknown)
    environ = {'HOME': '/nowhere', 'TORCH_HOME': '/nowhere/torch', 'PYTHONPATH': '/other'}
    prepare_environment(environ)
    for name in ('HOME', *CACHE_FOLDERS):
        assert os.path.isdir(environ[name]) and os.access(environ[name], os.W_OK), name
        assert environ[name].startswith(tempfile.gettempdir())
    assert environ['USER'] == environ['LOGNAME'] == 'ymir'
    assert environ['PYTHONPATH'] == f'{REPOSITORY}{os.pathsep}/other'
    again = dict(environ)
    prepare_environment(again)
    assert again == environ


def test_what_works_is_left_alone(tmp_path):
    environ = {'HOME': str(tmp_path), 'TORCH_HOME': str(tmp_path), 'USER': 'me'}
    prepare_environment(environ)
    assert (environ['HOME'], environ['TORCH_HOME'], environ['USER']) == (str(tmp_path), str(tmp_path), 'me')


@pytest.mark.parametrize(
    'gpu_ids, outer, visible', [([], '0,1', ''), ([0, 1], None, '0,1'), ([1], '4,7', '7'), ([0], '', '0')]
)
def test_torch_sees_the_gpus_of_the_task(gpu_ids, outer, visible):
    environ = {} if outer is None else {'CUDA_VISIBLE_DEVICES': outer}
    select_devices(gpu_ids, environ)
    assert environ['CUDA_VISIBLE_DEVICES'] == visible


def test_without_env_yaml_the_log_says_so(tmp_path):
    env = dict(os.environ, DEFAULT_ENV_FILE_PATH=str(tmp_path / 'env.yaml'))
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / 'ymir' / 'start.py')],
        env=env,
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 1
    lines = done.stdout.splitlines()[-5:]
    assert lines[0] == '---- the task failed ----' and '300001' in lines[1] and 'env.yaml' in lines[2]
