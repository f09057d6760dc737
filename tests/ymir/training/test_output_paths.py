"""What stands in the way of a task's outputs is found before anything begins."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tmi.errors import TaskError
from tmi.processes import ErrorRecord
from ymir import start
from ymir.errors import as_task_error, code_of, write_monitor
from ymir.output_paths import only_task, output_folder
from ymir_exc import settings
from ymir_exc.errors import ConfigError

from .platform import REPOSITORY, read_monitor, run_start, tiny_task

FLAGS = {
    'training': ['run_training'],
    'mining': ['run_mining'],
    'infer': ['run_infer'],
    'both': ['run_mining', 'run_infer'],
}
FOLDERS = {
    'training': ['.', 'models', 'tensorboard', 'ymir_dataset', 'ymir_training', 'predictions'],
    'mining': ['.', 'predictions'],
    'infer': ['.', 'predictions'],
    'both': ['.', 'predictions'],
}
FILES = {
    'training': [
        'monitor.txt',
        'skipped-images.tsv',
        'ymir-executor-out.log',
        'models/result.yaml',
        'models/resume.pth',
        'models/last_checkpoint',
        'models/run_config.py',
        'ymir_dataset/ymir_train.json',
        'ymir_dataset/ymir_val.json',
        'preflight.csv',
        'ymir_training/run_config.py',
        'ymir_training/initial_weights.pth',
        'ymir_training/val_split.json',
    ],
    'mining': ['monitor.txt', 'skipped-images.tsv', 'ymir-executor-out.log', 'result.tsv'],
    'infer': ['monitor.txt', 'skipped-images.tsv', 'ymir-executor-out.log', 'infer-result.json'],
    'both': ['monitor.txt', 'skipped-images.tsv', 'ymir-executor-out.log', 'result.tsv', 'infer-result.json'],
}

HOLD = """
import sys
from ymir.output_paths import only_task
with only_task(sys.argv[1]):
    print('held', flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def make_task(tmp_path, monkeypatch):
    """Gives the output folder of a task that does not hold anything yet."""

    def make(kind):
        out = tmp_path / 'out'
        output = {
            'root_dir': '.',
            'models_dir': 'models',
            'tensorboard_dir': 'tensorboard',
            'training_result_file': 'models/result.yaml',
            'mining_result_file': 'result.tsv',
            'infer_result_file': 'infer-result.json',
            'monitor_file': 'monitor.txt',
            'executor_log_file': 'ymir-executor-out.log',
        }
        env = {'task_id': 't0', 'output': {key: str(out / value) for key, value in output.items()}}
        env.update((flag, True) for flag in FLAGS[kind])
        (tmp_path / 'env.yaml').write_text(yaml.safe_dump(env))
        monkeypatch.setattr(settings, 'DEFAULT_ENV_FILE_PATH', str(tmp_path / 'env.yaml'))
        return out

    return make


def tree(folder):
    return {str(path): path.read_bytes() if path.is_file() else None for path in Path(folder).rglob('*')}


def assert_rejected(out, *words):
    """The task is rejected with 300001 and these words, and nothing has changed on the disk."""
    before = tree(out.parent)
    with pytest.raises(TaskError) as caught:
        start.begin()
    assert code_of(caught.value) == 300001
    for word in words:
        assert str(word) in caught.value.sentence, caught.value.sentence
    assert tree(out.parent) == before


def cases(table):
    return [(kind, name) for kind, names in table.items() for name in names]


@pytest.mark.parametrize(
    'key, value',
    [
        ('root_dir', '/'),
        ('root_dir', '//x/..'),
        ('root_dir', 'out'),
        ('root_dir', '{}/elsewhere'),
        ('root_dir', '/in'),
        ('root_dir', '/in/out'),
        ('models_dir', '{}/elsewhere'),
        ('models_dir', '{}/output'),
        ('training_result_file', '{}/elsewhere/result.yaml'),
        ('tensorboard_dir', '{}/out/../elsewhere'),
        ('monitor_file', '{}/elsewhere/monitor.txt'),
        ('monitor_file', 'monitor.txt'),
        ('monitor_file', '{}/out'),
        ('monitor_file', '{}/out/x/..'),
    ],
)
def test_outputs_that_lie_outside(make_task, tmp_path, capsys, key, value):
    """Nothing is written, not even that the task failed."""
    out = make_task('training')
    env = yaml.safe_load((tmp_path / 'env.yaml').read_text())
    env['output'][key] = value.format(tmp_path)
    (tmp_path / 'env.yaml').write_text(yaml.safe_dump(env))
    assert_rejected(out, 'output.', 'of env.yaml is', 'correct env.yaml')
    before = tree(tmp_path)
    assert output_folder() == ''
    with pytest.raises(TaskError) as caught:
        start.begin()
    if key in ('root_dir', 'monitor_file'):
        write_monitor(ErrorRecord.of(caught.value, 'start.py'))
        assert 'monitor.txt is not written' in capsys.readouterr().err
    assert tree(tmp_path) == before


@pytest.mark.parametrize('kind, name', cases(FOLDERS))
def test_a_file_where_a_folder_is_needed(make_task, kind, name):
    out = make_task(kind)
    path = out / name
    path.parent.mkdir(exist_ok=True) if name != '.' else None
    path.write_text('x')
    assert_rejected(out, f'{path} is a file, and the task needs a folder there', 'empty output folder')


@pytest.mark.parametrize('kind, name', cases(FOLDERS))
def test_a_link_to_nothing_where_a_folder_is_needed(make_task, kind, name):
    out = make_task(kind)
    path = out / name
    path.parent.mkdir(exist_ok=True) if name != '.' else None
    Path(os.path.normpath(path)).symlink_to('/nowhere/else')
    assert_rejected(out, f'{path} is a link to /nowhere/else, which does not exist')


@pytest.mark.parametrize('kind, name', cases(FILES))
def test_a_folder_where_a_file_is_needed(make_task, kind, name):
    out = make_task(kind)
    (out / name / 'inner').mkdir(parents=True)
    assert_rejected(out, f'{out / name} is a folder, and the task needs a file there', 'empty output folder')


@pytest.mark.parametrize('kind', FLAGS)
@pytest.mark.parametrize(
    'number, words',
    [
        (errno.ENOSPC, 'No space is left in'),
        (errno.EDQUOT, 'No space is left in'),
        (errno.EROFS, 'Read-only file system'),
        (errno.EACCES, 'Permission denied'),
    ],
)
def test_a_folder_that_cannot_be_written_to(make_task, kind, number, words, monkeypatch):
    out = make_task(kind)
    out.mkdir()

    def fail(path, data):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr('pathlib.Path.write_bytes', fail)
    assert_rejected(out, words, out)


@pytest.mark.parametrize(
    'kind, name, target',
    [
        ('training', 'models/result.yaml', 'pipe'),
        ('infer', 'infer-result.json', 'pipe'),
        ('mining', 'predictions', 'link'),
    ],
)
def test_what_is_neither_a_file_nor_a_folder(make_task, kind, name, target):
    out = make_task(kind)
    (out / name).parent.mkdir(parents=True)
    if target == 'pipe':
        os.mkfifo(out / name)
    else:
        (out / name).symlink_to(out)
    assert_rejected(out, out / name, 'a device or a pipe' if target == 'pipe' else 'is a link')


@pytest.mark.parametrize('kind', FLAGS)
def test_what_may_stand_there(make_task, kind):
    """Nothing, what an earlier run left, and links as the platform makes them."""
    out = make_task(kind)
    start.begin()
    assert [path.name for path in out.iterdir()] == ['monitor.txt']
    for name in FOLDERS[kind][1:]:
        (out / name).mkdir()
    for name in FILES[kind]:
        (out / name).write_text('x')
    if kind == 'training':
        (out / 'tensorboard').rmdir()
        (out.parent / 'curves').mkdir()
        (out / 'tensorboard').symlink_to(out.parent / 'curves')
        (out / 'ymir-executor-out.log').unlink()
        (out / 'ymir-executor-out.log').symlink_to('/nowhere/host.log')
    before = tree(out)
    start.begin()
    assert {**tree(out), str(out / 'monitor.txt'): None} == {**before, str(out / 'monitor.txt'): None}


def test_what_is_of_no_concern_to_a_task_may_be_anything(make_task):
    out = make_task('mining')
    (out / 'infer-result.json').mkdir(parents=True)
    (out / 'models').write_text('x')
    start.begin()
    assert (
        (out / 'infer-result.json').is_dir() and (out / 'models').read_text() == 'x' and (out / 'monitor.txt').is_file()
    )


def test_the_platform_reads_the_sentence(tmp_path):
    task = tiny_task(tmp_path, 1, 1)
    (task.out_dir / 'ymir_dataset').write_text('x')
    done = run_start(task, tmp_path)
    assert done.returncode == 1 and read_monitor(task)[1:3] == (4, 300001)
    assert f'{task.out_dir}/ymir_dataset is a file' in read_monitor(task)[3]
    assert 'is a file, and the task needs a folder' in done.stdout.splitlines()[-3]
    assert not REPOSITORY.joinpath('out').exists()


def test_a_second_task_in_an_output_folder_that_is_in_use_changes_nothing(tmp_path, monkeypatch, capsys):
    task = tiny_task(tmp_path, 1, 1)
    monkeypatch.setattr(settings, 'DEFAULT_ENV_FILE_PATH', str(task.in_dir / 'env.yaml'))
    holder = subprocess.Popen(
        [sys.executable, '-c', HOLD, str(task.out_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY
    )
    try:
        assert holder.stdout.readline() == b'held\n'
        before = {path: path.read_bytes() for path in task.out_dir.rglob('*') if path.is_file()}
        assert start.main() == 1
        output = capsys.readouterr().err
        assert 'code:  300001' in output
        assert f'Another task that runs now writes to {task.out_dir}: wait for its end or stop it' in output
        assert before == {path: path.read_bytes() for path in task.out_dir.rglob('*') if path.is_file()}
    finally:
        holder.kill()
        holder.communicate()
    with only_task(str(task.out_dir)):  # a killed holder holds nothing
        pass


def test_a_file_system_without_locks_is_a_warning(tmp_path, monkeypatch, capsys):
    def fail(folder, operation):
        raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr(fcntl, 'flock', fail)
    with only_task(str(tmp_path)):
        assert f'{tmp_path} cannot be locked (No locks available)' in capsys.readouterr().out


@pytest.mark.parametrize(
    'section, key', [('', 'run_training'), ('', 'task_id'), ('input', 'assets_dir'), ('output', 'models_dir')]
)
def test_an_env_yaml_with_a_bad_value_still_says_where_monitor_txt_is(make_task, tmp_path, section, key):
    out = make_task('training')
    out.mkdir()
    env = yaml.safe_load((tmp_path / 'env.yaml').read_text())
    (env.setdefault(section, {}) if section else env)[key] = ['x']
    (tmp_path / 'env.yaml').write_text(yaml.safe_dump(env))
    with pytest.raises(ConfigError) as caught:
        start.begin()
    write_monitor(ErrorRecord.of(as_task_error(caught.value), 'start.py'))
    columns = (out / 'monitor.txt').read_text().splitlines()[0].split('\t')
    assert columns[3:5] == ['4', '300001'] and key in columns[5]
    assert columns[0] == ('default-task' if key == 'task_id' else 't0')
