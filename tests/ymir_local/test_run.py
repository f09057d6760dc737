"""Running a task and watching it, with stand-ins for start.py and for Docker."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from process_guard import guard
from process_guard.guard import kill_all_with, remove_container
from tests.processes import is_alive, wait_until
from ymir_exc.reading import MonitorLine, read_monitor_file
from ymir_local.platform import run
from ymir_local.platform.prepare import Task, prepare_training
from ymir_local.platform.run import TaskFailed, TaskStopped, docker_command, log_tail, run_as_process, run_in_container

ROOT = Path(__file__).resolve().parents[2]

WRITE = """
import os, sys, time, yaml
env = yaml.safe_load(open(os.environ['DEFAULT_ENV_FILE_PATH']))
def write(percent, state, code):
    path = env['output']['monitor_file']
    with open(path + '.new', 'w') as file:
        file.write(f"{env['task_id']}\\t{time.time()}\\t{percent}\\t{state}\\t{code}\\n")
    os.replace(path + '.new', path)
"""


@pytest.fixture
def task(tmp_path, images, class_names):
    return prepare_training(tmp_path / 'work', class_names, images[:4], images[4:], {'export_format': 'ark:raw'})


@pytest.fixture
def executor(tmp_path, monkeypatch):
    """Installs a script in the place of ymir/start.py."""
    monkeypatch.setattr(run, 'REPOSITORY', tmp_path)
    (tmp_path / 'ymir').mkdir()
    return lambda body: (tmp_path / 'ymir' / 'start.py').write_text(WRITE + body)


def test_success(task, executor):
    executor("write(0.5, 2, 0)\ntime.sleep(1)\nwrite(1.0, 2, 0)\nprint('all done')")
    seen = []
    outcome = run_as_process(task, seen.append)
    assert (outcome.exit_code, outcome.progress[2:]) == (0, (1.0, 2, 0, ''))
    assert outcome.tail == ('all done',)
    assert seen[-2:] == [0.5, 1.0]
    outcome.raise_for_failure('training')


def test_failure_shows_code_and_last_five_lines(task, executor):
    executor("write(0.5, 4, 300002)\nprint(*range(9), sep='\\n')\nsys.exit(1)")
    outcome = run_as_process(task)
    assert outcome.exit_code == 1
    with pytest.raises(TaskFailed, match='training failed: exit code 1, error code 300002\n4\n5\n6\n7\n8'):
        outcome.raise_for_failure('training')


def test_state_error_counts_even_with_exit_code_0(task, executor):
    executor('write(0.5, 4, 300002)')
    with pytest.raises(TaskFailed, match='error code 300002'):
        run_as_process(task).raise_for_failure('training')


@pytest.mark.parametrize(
    'line, expected',
    [
        ('t1\t1.5\t0.37\t2', MonitorLine('t1', 1.5, 0.37, 2)),
        ('t1\t1.5\t0.37\t4\t300103\tout of memory\ntrace', MonitorLine('t1', 1.5, 0.37, 4, 300103, 'out of memory')),
    ],
)
def test_read_progress(tmp_path, line, expected):
    path = tmp_path / 'monitor.txt'
    path.write_text(line)
    assert read_monitor_file(path).line() == expected


@pytest.mark.parametrize('line', ['', 't1 1.5 0.37 2 0', 't1\t1.5\t0.37', 't1\t1.5\t0.37\t2\t'])
def test_what_the_platform_cannot_parse(tmp_path, line):
    path = tmp_path / 'monitor.txt'
    path.write_text(line)
    if line.endswith('\t'):  # stripped before it is split, as the platform does
        assert read_monitor_file(path).line().code == 0
    else:
        with pytest.raises(ValueError, match='4 to 6 columns'):
            read_monitor_file(path).line()


@pytest.mark.parametrize(
    'options, expected',
    [
        ({}, 'docker run --rm -v{work}/in:/in:ro -v{work}/out:/out -v{cache}:{cache} --shm-size=16G --name t123 a:b'),
        (
            {'gpu_ids': (1, 4), 'user': '12345:23456', 'tensorboard': True},
            'docker run --rm -v{work}/in:/in:ro -v{work}/out:/out -v{cache}:{cache} -v{tb}:{tb} --user 12345:23456 '
            '--gpus \'"device=1,4"\' --shm-size=32G --name t123 a:b',
        ),
        (
            {'gpu_ids': (3,), 'shm_size': '8G', 'models': True, 'tensorboard': True, 'options': ['--network=none']},
            'docker run --rm -v{work}/in:/in:ro -v{work}/out:/out -v{cache}:{cache} -v{models}:{models} -v{tb}:{tb} '
            '--gpus \'"device=3"\' --shm-size=8G --name t123 --network=none a:b',
        ),
    ],
    ids=['inference on the CPU', 'training on two GPUs', 'all links'],
)
def test_docker_command_is_the_platforms(tmp_path, options, expected):
    """Word by word as contract section a.3 has it; `options` exist for tests only."""
    task = Task(tmp_path, 't123', True)
    places = {'work': tmp_path, 'cache': tmp_path / 'cache', 'tb': tmp_path / 'tb', 'models': tmp_path / 'stage'}
    for folder in (*places.values(), task.in_dir, task.out_dir):
        folder.mkdir(exist_ok=True)
    (task.in_dir / 'assets').symlink_to(places['cache'])
    for name, link, target in (
        ('models', task.in_dir / 'models', places['models']),
        ('tensorboard', task.out_dir / 'tensorboard', places['tb']),
    ):
        link.symlink_to(target) if options.pop(name, False) else link.mkdir()
    assert docker_command(task, 'a:b', **options) == shlex.split(expected.format(**places))


def test_log_tail_reads_the_end_only(tmp_path):
    path = tmp_path / 'log'
    for text, expected in (
        ('', ()),
        ('a', ('a',)),
        ('a\n', ('a',)),
        ('1\n2\n3\n4\n5\n6\n', tuple('23456')),
        ('x' * 3_000_000 + '\nend\n', ('x' * (run.MAX_TAIL_BYTES - 5), 'end')),
    ):
        path.write_text(text)
        assert log_tail(path) == expected


WATCHER = """
import sys
from pathlib import Path
from ymir_local.platform.prepare import Task
from ymir_local.platform.run import run_as_process, run_in_container
work, in_container, *command = sys.argv[1:]
task = Task(Path(work), 't123', bool(in_container))
run_in_container(task, 'a:b') if in_container else run_as_process(task, command=command)
"""
LEAVES_ITS_GROUP = (
    'import subprocess, sys, time; child = subprocess.Popen(["sleep", "600"], start_new_session=True); '
    'print(child.pid, flush=True); time.sleep(600)'
)


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """A stand-in for Docker that notes its command lines; `container` exists while there is a container."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    (folder / 'docker').write_text(f"""#!/bin/bash
echo "$@" >> {folder}/calls
case $1 in
run) touch {folder}/container; echo $$; exec sleep 600;;
rm) if [ -e {folder}/container ]; then rm {folder}/container; else echo "Error: No such container: $3" >&2; exit 1; fi;;
esac
""")
    (folder / 'docker').chmod(0o755)
    monkeypatch.setenv('PATH', f'{folder}:{os.environ["PATH"]}')
    return folder


@pytest.fixture
def bare_task(tmp_path):
    task = Task(tmp_path / 'work', 't123', False)
    task.in_dir.mkdir(parents=True)
    task.out_dir.mkdir()
    return task


@pytest.mark.skipif(not Path('/proc/self/environ').exists(), reason='only Linux shows the environment of a process')
@pytest.mark.parametrize('in_container', [False, True])
def test_nothing_is_left_when_the_watcher_is_killed(bare_task, docker, in_container):
    command = [
        sys.executable,
        '-c',
        WATCHER,
        str(bare_task.work_dir),
        'yes' if in_container else '',
        sys.executable,
        '-c',
        LEAVES_ITS_GROUP,
    ]
    watcher = subprocess.Popen(command, env=dict(os.environ, PYTHONPATH=str(ROOT)))
    wait_until(lambda: bare_task.log_file.is_file() and bare_task.log_file.read_text().strip())
    pid = bare_task.log_file.read_text().strip()
    assert is_alive(pid)
    watcher.send_signal(signal.SIGKILL)
    watcher.wait()
    wait_until(lambda: not is_alive(pid))
    if in_container:
        wait_until(lambda: not (docker / 'container').exists())
        assert (docker / 'calls').read_text().splitlines()[-1] == 'rm -f t123'


@pytest.mark.parametrize('mark', ['', '=', 'A=', '=a', 'A'])
def test_what_could_be_in_every_process_is_no_mark(mark, monkeypatch):
    monkeypatch.setattr(os, 'kill', lambda *_: pytest.fail('killed something'))
    with pytest.raises(ValueError, match='not a NAME=value'):
        kill_all_with(mark)


def test_a_process_that_was_loading_its_program_is_killed(monkeypatch):
    """Its environment is empty until then, so that the first look does not find it."""
    found, killed = iter([[], [7], [], []]), []
    monkeypatch.setattr(guard, 'processes_with', lambda mark: next(found))
    monkeypatch.setattr(os, 'kill', lambda pid, _: killed.append(pid))
    kill_all_with('A=b')
    assert killed == [7] and not list(found)


def test_a_docker_that_is_killed_leaves_no_container(bare_task, docker):
    def kill(progress):
        text = bare_task.log_file.read_text().strip()
        if text and is_alive(text):
            os.kill(int(text), signal.SIGKILL)

    outcome = run_in_container(bare_task, 'a:b', on_poll=kill)
    assert (outcome.exit_code, outcome.left) == (-9, '')
    assert not (docker / 'container').exists()


def test_a_container_that_cannot_be_removed_is_named(bare_task, docker):
    (docker / 'docker').write_text('#!/bin/bash\necho Cannot connect to the Docker daemon. >&2\nexit 125\n')
    assert run_in_container(bare_task, 'a:b').left == 'Cannot connect to the Docker daemon.'

    def stop(progress):
        raise KeyboardInterrupt

    (docker / 'docker').write_text('#!/bin/bash\n[ $1 = rm ] || exec sleep 600\necho No answer. >&2\nexit 1\n')
    with pytest.raises(TaskStopped) as stopped:
        run_in_container(bare_task, 'a:b', on_poll=stop)
    assert stopped.value.outcome.left == 'No answer.'


def test_a_container_that_appears_late_is_removed(docker):
    """A killed `docker run` may have asked for it; the engine makes it after the first try to remove it."""
    script = (docker / 'docker').read_text()
    (docker / 'docker').write_text(script.replace('echo "Error', f'touch {docker}/container; echo "Error'))
    assert remove_container('t123') == ''
    assert not (docker / 'container').exists()
    assert len((docker / 'calls').read_text().splitlines()) == 2
