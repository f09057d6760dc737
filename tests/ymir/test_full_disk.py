"""A disk that is full or read-only, and no folder for temporary files: what is there stays, and the task says why."""

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
import yaml

from tests import small_disk
from tests.ymir.training.hook_runs import CONFIG, make_hook, make_runner, validate
from tests.ymir.training.platform import read_monitor, tiny_task
from tmi.checkpoint_io import load_checkpoint
from tmi.errors import DiskFullError
from ymir import checkpoint_hook, start
from ymir.errors import code_of
from ymir_exc import atomic, monitor, settings
from ymir_exc.code import ExecutorReturnCode, ExecutorState
from ymir_local.platform.package import pack

DISK_SIZE = 16 << 20


class Disk:
    """A folder on a small disk of its own, where this user may mount one; else writers of files meet /dev/full."""

    def __init__(self, folder, monkeypatch):
        self.folder, self._patch = folder, monkeypatch
        self.mounted = small_disk.mount(folder, DISK_SIZE)

    def fill(self, free=0):
        """Leave so many bytes."""
        usage = type('Usage', (), {'free': free})
        if not self.mounted:
            self._patch.setattr('shutil.disk_usage', lambda path: usage)
            full = (os.O_RDWR, '/dev/full')
            open_before = atomic._open_temporary
            self._patch.setattr(
                atomic,
                '_open_temporary',
                lambda path, old: open_before(path, old) if free else (os.open(*full[::-1]), None),
            )
            return
        small_disk.fill(self.folder, free)

    def make_read_only(self):
        if self.mounted:
            subprocess.run(['mount', '-o', 'remount,ro', str(self.folder)], check=True)
            return

        def fail(path, *_):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

        self._patch.setattr(atomic, '_open_temporary', fail)
        self._patch.setattr('pathlib.Path.write_bytes', fail)


@pytest.fixture
def disk(tmp_path, monkeypatch):
    disk = Disk(tmp_path / 'disk', monkeypatch)
    yield disk
    if disk.mounted:
        small_disk.unmount(disk.folder)


@pytest.fixture
def task(disk, monkeypatch):
    """A training with all its files on the small disk."""
    task = tiny_task(disk.folder, 1, 1)
    (task.out_dir / 'models').mkdir(exist_ok=True)
    (task.out_dir / 'models' / CONFIG).write_text('model = 1\n')
    monkeypatch.setattr(settings, 'DEFAULT_ENV_FILE_PATH', str(task.in_dir / 'env.yaml'))
    before = dict(os.environ)
    yield task
    os.environ.clear()
    os.environ.update(before)


def run_main(monkeypatch, shell, after_begin=lambda: None):
    """Run start.py here, with a line for a shell as the task; returns the exit status."""
    begin = start.begin
    monkeypatch.setattr(start, 'begin', lambda: (begin(), after_begin()))
    monkeypatch.setattr(start, 'task_commands', lambda: {'training': ['sh', '-c', shell]})
    return start.main()


def test_progress_is_written_on_a_full_disk(disk, task):
    monitor.write_monitor_logger(0.3)
    disk.fill()
    monitor.write_monitor_logger(0.4)
    assert read_monitor(task)[:3] == (0.4, 2, 0)
    message, trace = 'No space ' * 100, ['  File "x.py", line 1, in f' + 'x' * 90] * 99
    monitor.write_monitor_logger(0.4, ExecutorState.ES_ERROR, ExecutorReturnCode.RC_CMD_CONTAINER_ERROR, message, trace)
    assert read_monitor(task) == (0.4, 4, 160004, message.strip())
    lines = task.monitor_file.read_text().splitlines()
    assert 20 < len(lines) < 100 and set(lines[1:]) == {trace[0]}
    monitor.write_monitor_logger(0.5)
    assert len(task.monitor_file.read_text().splitlines()) == 1


def test_a_task_that_fails_on_a_full_disk_is_not_shown_as_running(disk, task, monkeypatch, capfd):
    assert run_main(monkeypatch, 'exit 3', disk.fill) == 1
    assert read_monitor(task)[:3] == (0, 4, 160004) and 'status 3' in read_monitor(task)[3]
    assert 'code:  160004' in capfd.readouterr().err


def test_a_full_disk_is_found_before_anything_begins(disk, task, monkeypatch, capfd):
    before = task.monitor_file.read_bytes()
    disk.fill() if disk.mounted else disk.make_read_only()
    assert run_main(monkeypatch, 'exit 3') == 1
    written = capfd.readouterr().err
    assert 'code:  300001' in written and str(task.out_dir) in written and 'status 3' not in written
    if disk.mounted:
        assert 'No space is left in' in written and read_monitor(task)[1:3] == (4, 300001)
    else:
        assert task.monitor_file.read_bytes() == before


def test_a_read_only_disk(disk, task, monkeypatch, capfd):
    before = task.monitor_file.read_bytes()
    disk.make_read_only()
    assert run_main(monkeypatch, 'exit 3') == 1
    lines = capfd.readouterr().err.splitlines()
    assert lines[-5:-3] == ['---- the task failed ----', 'code:  300001 RC_EXEC_CONFIG_ERROR']
    assert 'Read-only file system' in lines[-3] and 'Traceback' not in '\n'.join(lines)
    assert any(line.startswith('monitor.txt cannot be written') for line in lines)
    assert task.monitor_file.read_bytes() == before


def test_temporary_files_go_to_the_output_folder_where_there_is_no_other(task, monkeypatch):
    folder = task.out_dir / 'ymir_temp'
    folder.mkdir()
    (folder / 'old').touch()  # of a run that was killed
    python = 'import tempfile; open("place", "w").write(tempfile.gettempdir())'
    shell = f"cd {task.out_dir}; {sys.executable} -c '{python}'; test ! -e {folder}/old"
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, '_candidate_tempdir_list', lambda: ['/nowhere'])
        patch.setattr(tempfile, 'tempdir', None)
        assert run_main(patch, shell) == 0
    assert (task.out_dir / 'place').read_text() == str(folder) and not folder.exists()


def test_no_folder_for_temporary_files_at_all(task, monkeypatch, capfd):
    (task.out_dir / 'ymir_temp').write_text('a file')
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, '_candidate_tempdir_list', lambda: ['/nowhere', '/elsewhere'])
        patch.setattr(tempfile, 'tempdir', None)
        assert run_main(patch, 'exit 3') == 1
    lines = capfd.readouterr().err.splitlines()
    assert lines[-4] == 'code:  300001 RC_EXEC_CONFIG_ERROR' and 'Traceback' not in '\n'.join(lines)
    assert f'neither of /nowhere, /elsewhere nor {task.out_dir}/ymir_temp' in lines[-3]
    assert read_monitor(task)[1:3] == (4, 300001)


def test_temporary_files_of_a_kill_are_removed_at_the_next_start(task, monkeypatch):
    left = [task.out_dir / f'.infer-result.json.{"0af9" * 4}.tmp', task.out_dir / f'models/.a.pth.{"0" * 16}.tmp']
    kept = [task.out_dir / '.notes.tmp', task.out_dir / 'models/.hidden']
    for path in left + kept:
        path.write_text('x')
    assert run_main(monkeypatch, 'exit 0') == 0
    assert not any(path.exists() for path in left) and all(path.exists() for path in kept)
    name = f'models/.best.pth.{"1" * 16}.tmp'
    assert run_main(monkeypatch, f'touch {task.out_dir}/{name}; exit 3') == 1
    assert not (task.out_dir / name).exists()


class Large:
    """A training whose weights have 2 MB."""

    def __init__(self, task):
        self.runner, self.hook, self.models = make_runner(task), make_hook(), task.out_dir / 'models'
        self.runner.model = torch.nn.Linear(1000, 500)
        self.runner.optim_wrapper.optimizer = torch.optim.SGD(self.runner.model.parameters(), 0.1, momentum=0.9)
        self.runner.model(torch.ones(1000)).sum().backward()
        self.runner.optim_wrapper.optimizer.step()  # which makes the momenta

    def stages(self):
        return yaml.safe_load((self.models / 'result.yaml').read_text())['model_stages']


def test_a_disk_without_room_for_the_state_to_resume_from(disk, task, caplog):
    training = Large(task)
    disk.fill(free=5_500_000)  # for the weights, and not for twice as much beside what is kept for others
    validate(training.hook, training.runner, 0.1)
    validate(training.hook, training.runner, 0.05)
    assert set(training.stages()) == {'last', 'best'} and not (training.models / 'resume.pth').exists()
    for stage in training.stages().values():
        assert load_checkpoint(training.models / stage['files'][0])['state_dict']['weight'].shape == (500, 1000)
    (warning,) = [record.getMessage() for record in caplog.records if 'resume.pth' in record.getMessage()]
    assert 'takes 6 MB' in warning and 'The training goes on' in warning and 'epoch 1' in warning
    assert not list(training.models.glob('.*.tmp'))


def test_a_state_to_resume_from_that_was_written_stays(disk, task):
    training = Large(task)
    validate(training.hook, training.runner, 0.1)
    before = (training.models / 'resume.pth').read_bytes()
    disk.fill(free=3_000_000)
    validate(training.hook, training.runner, 0.2)
    assert (training.models / 'resume.pth').read_bytes() == before
    assert load_checkpoint(training.models / training.stages()['best']['files'][0])['meta']['epoch'] == 2


def test_a_disk_without_room_for_the_weights_says_how_much_is_missing(disk, task):
    training = Large(task)
    validate(training.hook, training.runner, 0.1)
    before = training.stages()
    disk.fill()
    with pytest.raises(DiskFullError, match=r'epoch_2.pth: it takes 4 MB, 0 MB are free; free 4 MB or more') as caught:
        validate(training.hook, training.runner, 0.2)
    assert code_of(caught.value) == 160004 and training.stages() == before
    assert load_checkpoint(training.models / before['best']['files'][0])['meta']['epoch'] == 1
    assert not list(training.models.glob('.*.tmp'))


def test_the_size_of_a_checkpoint_is_that_of_its_file(tmp_path):
    weight = torch.zeros(1000, 100)
    checkpoint = {'state_dict': {'a': weight, 'shared': weight.T}, 'optimizer': [(torch.ones(5000), 3)], 'meta': 'x'}
    checkpoint_hook._save(checkpoint, Path(tmp_path, 'a.pth'))
    size = (tmp_path / 'a.pth').stat().st_size
    assert size - 3000 < checkpoint_hook.size_on_disk(checkpoint) == 420_000 < size


def test_a_package_for_which_there_is_no_room_says_how_much_is_missing(disk, tmp_path):
    run = tmp_path / 'run'
    (run / 'out' / 'models').mkdir(parents=True)
    (run / 'in').mkdir()
    (run / 'out' / 'models' / 'a.pth').write_bytes(os.urandom(3_000_000))
    stage = {'stage_name': 'best', 'files': ['a.pth'], 'timestamp': 1700000000, 'mAP': 0.5}
    result = {'best_stage_name': 'best', 'mAP': 0.5, 'model_stages': {'best': stage}}
    (run / 'out' / 'models' / 'result.yaml').write_text(yaml.safe_dump(result))
    (run / 'in' / 'config.yaml').write_text(yaml.safe_dump({'class_names': ['one']}))
    file = disk.folder / 'model.tar'
    disk.fill(1_000_000 if disk.mounted else 0)
    with pytest.raises(OSError, match='No space left on device: up to 3.0 MB are needed') as caught:
        pack(run, file)
    free = '1.0 MB are free, so up to 2.0 MB' if disk.mounted else '0.0 MB are free, so up to 3.0 MB'
    assert caught.value.filename == str(file) and free in str(caught.value)
    assert not file.exists()
