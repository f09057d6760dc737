"""Running a task and watching it, with a stand-in for start.py."""
import pytest

from ymir.local import run
from ymir.local.prepare import Task, prepare_training
from ymir.local.run import Progress, TaskFailed, docker_command, read_progress, run_as_process

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
    assert (outcome.exit_code, outcome.progress) == (0, Progress(1.0, 2))
    assert outcome.tail == ('all done', )
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


@pytest.mark.parametrize('line, expected', [
    ('t1\t1.5\t0.37\t2', Progress(0.37, 2)),
    ('t1\t1.5\t0.37\t4\t300103\tout of memory\ntrace', Progress(0.37, 4, 300103, 'out of memory')),
])
def test_read_progress(tmp_path, line, expected):
    path = tmp_path / 'monitor.txt'
    path.write_text(line)
    assert read_progress(path) == expected


@pytest.mark.parametrize('line', ['', 't1 1.5 0.37 2 0', 't1\t1.5\t0.37', 't1\t1.5\t0.37\t2\t'])
def test_what_the_platform_cannot_parse(tmp_path, line):
    path = tmp_path / 'monitor.txt'
    path.write_text(line)
    if line.endswith('\t'):  # stripped before it is split, as the platform does
        assert read_progress(path).code == 0
    else:
        with pytest.raises(ValueError, match='4 to 6 columns'):
            read_progress(path)


def test_docker_command_is_the_platforms(tmp_path):
    task = Task(tmp_path, 't123', True)
    cache, tensorboard = tmp_path / 'cache', tmp_path / 'tb'
    for folder in (cache, tensorboard, task.in_dir / 'models', task.out_dir):
        folder.mkdir(parents=True)
    (task.in_dir / 'assets').symlink_to(cache)
    (task.out_dir / 'tensorboard').symlink_to(tensorboard)
    assert docker_command(task, 'det/mmyolo:tmi', gpu_ids=(1, 4), user='12345:23456', options=['--network=none']) == [
        'docker', 'run', '--rm', f'-v{tmp_path}/in:/in:ro', f'-v{tmp_path}/out:/out', f'-v{cache}:{cache}',
        f'-v{tensorboard}:{tensorboard}', '--user', '12345:23456', '--gpus', '"device=1,4"', '--shm-size=16G', '--name',
        't123', '--network=none', 'det/mmyolo:tmi'
    ]
