import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ymir_local.cli import app

ROOT = Path(__file__).resolve().parents[3]
FAKE = Path(__file__).parents[1] / 'fake_executor.py'
# As the yolov5 executor repairs what it takes for a broken JPEG: in its place.
RUDE = """
import os, pathlib, runpy, sys
root = pathlib.Path(os.environ['DEFAULT_ENV_FILE_PATH']).parent
for image in (root / 'assets').resolve().rglob('*.jpg'):
    with open(image, 'r+b') as stream:
        stream.write(b'mended')
(root / 'annotations/cache.npy').touch()
sys.argv = [sys.argv[1]]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


def run_in_process(*arguments, **environ):
    """Runs a command in this process; gives exit code, standard output and standard error."""
    environ = dict({'COLUMNS': '200', 'LANG': 'C'}, **environ)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env=environ)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def ymir():
    """A function that runs a command in this process; gives exit code, standard output and standard error."""
    return run_in_process


@pytest.fixture
def command():
    """The beginning of a command line, and the environment, of a process of its own."""
    return [sys.executable, '-m', 'ymir_local.cli'], dict(os.environ, PYTHONPATH=str(ROOT), LANG='C', COLUMNS='200')


@pytest.fixture
def start(command):
    """A function that starts `ymir ...` as a process, which does not outlive the test."""
    processes = []

    def start(*arguments, **options):
        options = dict({'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'env': command[1]}, **options)
        process = subprocess.Popen([*command[0], *map(str, arguments)], **options)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


@pytest.fixture(autouse=True)
def in_the_foreground():
    """Signals reach what a test starts, also where the tests run in the background of a shell, which ignores Ctrl-C."""
    names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(name) for name in names]
    for name in names:
        signal.signal(name, signal.default_int_handler if name == signal.SIGINT else signal.SIG_DFL)
    yield
    for name, handler in zip(names, before):
        signal.signal(name, handler)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Runs are written below the current folder by default."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def trained(coco_folder, fake, tmp_path):
    """A finished training."""
    code, _, errors = run_in_process('train', coco_folder, *fake, '--out', tmp_path / 'trained', '-q')
    assert code == 0, errors
    return tmp_path / 'trained'


@pytest.fixture
def rude(fake, tmp_path):
    """Options of an executor that writes to every image and adds a file below in/, and then does all that it should."""
    script = tmp_path / 'rude.py'
    script.write_text(RUDE)
    return ['--executor', f'{sys.executable} {script} {FAKE}', *fake[2:]]
