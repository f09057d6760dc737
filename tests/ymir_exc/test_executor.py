"""Starting the programs of a task, and what monitor.txt says when one fails."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.ymir_exc import platform_rules as rules
from ymir_exc import monitor
from ymir_exc.child_process import run_and_forward_signals
from ymir_exc.errors import ConfigError, ExecutorError
from ymir_exc.executor import Executor

ROOT = Path(__file__).resolve().parents[2]
NOTE = 'import sys; open(sys.argv[1], "a").write(sys.argv[2] + "\\n")'


@pytest.fixture
def log(task):
    """Commands that note their name, and what they have noted."""
    path = task.root / 'log of apps'

    class Log:
        apps = {name: [sys.executable, '-c', NOTE, str(path), name] for name in ('training', 'mining', 'infer')}

        @staticmethod
        def read():
            return path.read_text().split() if path.exists() else []

    return Log


def fail(program):
    return [sys.executable, '-c', program]


def state(task):
    assert rules.monitor_violations(task.monitor_file.read_text()) == []
    line = monitor.read_monitor()
    return line.percent, line.state, line.code


@pytest.mark.parametrize(
    'run, apps',
    [('training', ['training']), ('mining', ['mining']), ('infer', ['infer']), ('mining infer', ['mining', 'infer'])],
)
def test_the_order_and_the_end_of_the_bar(task, log, run, apps):
    task.write_env(run)
    assert Executor(log.apps).start() == 0
    assert log.read() == apps
    assert state(task) == (1.0, 2, 0)


def test_mining_ends_at_half_of_the_bar(task, log):
    task.write_env('mining infer')
    seen = task.root / 'seen'
    Executor({**log.apps, 'infer': ['cp', str(task.monitor_file), str(seen)]}).start()
    assert seen.read_text().split('\t')[2] == '0.50'


def test_commands_may_be_lines_with_quotes(task, log):
    line = f'{sys.executable} -c \'{NOTE}\' "{task.root}/log of apps" one'
    Executor({'training': line}).start()
    assert log.read() == ['one']


def test_default_commands_are_those_of_the_project():
    assert Executor({'mining': 'x'}).apps == {
        'training': [sys.executable, 'ymir/ymir_training.py'],
        'mining': 'x',
        'infer': [sys.executable, 'ymir/ymir_infer.py'],
    }
    with pytest.raises(ValueError, match='minig'):
        Executor({'minig': 'x'})


def test_a_failure_without_a_code_gets_the_containers(task, log):
    task.write_env('mining infer')
    monitor.write_monitor_logger(0.25)
    with pytest.raises(subprocess.CalledProcessError) as caught:
        Executor({**log.apps, 'mining': fail('raise SystemExit(3)')}).start()
    assert caught.value.returncode == 3
    assert log.read() == []  # inference is not started
    assert state(task) == (0.25, 4, 160004)
    assert monitor.read_monitor().message.endswith('ended with exit status 3')


@pytest.mark.parametrize(
    'program, code',
    [
        ('monitor.write_monitor_logger(.3, ExecutorState.ES_ERROR, 300103, "no memory", "trace"); sys.exit(1)', 300103),
        ('monitor.write_monitor_logger(.3, ExecutorState.ES_ERROR); sys.exit(1)', 160004),
        ('monitor.write_monitor_logger(.3); sys.exit(1)', 160004),
    ],
)
def test_the_programs_own_code_is_left(task, monkeypatch, program, code):
    monkeypatch.setenv('DEFAULT_ENV_FILE_PATH', str(task.root / 'in/env.yaml'))
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    program = f'import sys; from ymir_exc import monitor; from ymir_exc.code import ExecutorState; {program}'
    with pytest.raises(subprocess.CalledProcessError):
        Executor({'training': fail(program)}).start()
    assert state(task) == (0.3, 4, code)
    assert ('no memory' in task.monitor_file.read_text()) == (code == 300103)


@pytest.mark.parametrize('content', [None, b'', b'\xff\xfe', b'a b c d\n', b't\tnow\t0\t2\n'])
def test_an_unreadable_monitor_file_is_mended(task, content):
    if content is not None:
        task.monitor_file.write_bytes(content)
    with pytest.raises(subprocess.CalledProcessError):
        Executor({'training': ['false']}).start()
    assert state(task) == (0.0, 4, 160004)


def test_a_program_that_is_killed_or_does_not_exist(task):
    with pytest.raises(subprocess.CalledProcessError):
        Executor({'training': fail('import os; os.kill(os.getpid(), 9)')}).start()
    assert monitor.read_monitor().message.endswith('was ended by SIGKILL, as the system does when memory runs out')
    task.monitor_file.unlink()
    with pytest.raises(FileNotFoundError):
        Executor({'training': ['/no/such/program']}).start()
    assert state(task) == (0.0, 4, 160004)


def test_a_task_that_asks_for_nothing(task, log):
    task.write_env('')
    with pytest.raises(ConfigError, match='asks for nothing'):
        Executor(log.apps).start()
    assert state(task) == (0.0, 4, 300001)


@pytest.mark.parametrize('value', [True, 'true', 1])
def test_ymir_debug_keeps_the_work_directory(task, log, value):
    task.write_config(ymir_debug=value)
    with pytest.raises(ExecutorError, match='ymir_debug is true'):
        Executor(log.apps).start()
    assert log.read() == ['training']
    assert state(task) == (1.0, 4, 160004)


def test_executors_run_in_other_threads(task, log):
    results = []
    thread = threading.Thread(target=lambda: results.append(Executor(log.apps).start()))
    thread.start()
    thread.join()
    assert results == [0]


def test_handlers_are_put_back(task, log):
    before = [signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)]
    Executor(log.apps).start()
    assert [signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)] == before


PARENT = '''
import sys
from ymir_exc.executor import Executor
Executor({'training': [sys.executable, '-c', """
import signal, sys, time
def note(signum, frame):
    open(sys.argv[1], 'a').write(signal.Signals(signum).name)
    sys.exit(7)
for signum in (signal.SIGTERM, signal.SIGINT):
    signal.signal(signum, note)
open(sys.argv[1], 'w')
time.sleep(30)
""", sys.argv[1]]}).start()
'''


@pytest.mark.parametrize('signum', [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_the_program(task, tmp_path, signum):
    ready = tmp_path / 'ready'
    environment = dict(os.environ, DEFAULT_ENV_FILE_PATH=str(task.root / 'in/env.yaml'), PYTHONPATH=str(ROOT))
    parent = subprocess.Popen(
        [sys.executable, '-c', PARENT, str(ready)],
        env=environment,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    end = time.monotonic() + 20
    while not ready.exists():
        assert parent.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    parent.send_signal(signum)
    _, errors = parent.communicate(timeout=20)
    assert ready.read_text() == signum.name
    assert parent.returncode == 1 and 'CalledProcessError' in errors
    assert state(task) == (0.0, 4, 160004)


def test_a_signal_before_the_program_starts_is_not_lost(monkeypatch):
    real = subprocess.Popen

    def popen(arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return real(arguments)

    monkeypatch.setattr(subprocess, 'Popen', popen)
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run_and_forward_signals(['sleep', '30'])
    assert caught.value.returncode == -signal.SIGTERM
