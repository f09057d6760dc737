"""What happens around a command: full disks, foreign letters, narrow terminals, readers that go, signals."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
import yaml
from PIL import Image

from ymir_local import datasets
from ymir_local.platform import package

SECONDS = 120  # so long may a slow machine take


@pytest.mark.parametrize(
    'error, code',
    [
        (OSError(errno.ENOSPC, 'No space left on device'), 1),
        (OSError(errno.ENOSPC, 'No space left on device', 'x.tar'), 1),
        (PermissionError(errno.EACCES, 'Permission denied', 'x.tar'), 2),
    ],
)
def test_an_error_of_the_system_is_one_sentence(ymir, trained, monkeypatch, error, code):

    def fail(*_):
        raise error

    monkeypatch.setattr(package, 'pack', fail)
    done, text, errors = ymir('pack', trained, 'x.tar', '--json')
    sentence = f'{error.filename}: {error.strerror}' if error.filename else error.strerror
    assert done == code and json.loads(text) == {'ok': False, 'error': sentence, 'exit_code': code}
    assert errors == f'error: {sentence}\n'


def test_an_unexpected_error_is_json_too(ymir, trained, monkeypatch):
    monkeypatch.setattr(package, 'sha1_of', lambda file: 1 // 0)
    code, text, errors = ymir('pack', trained, 'x.tar', '--json')
    assert code == 1 and json.loads(text)['error'].startswith('ZeroDivisionError')
    assert 'Traceback' in errors
    with pytest.raises(ZeroDivisionError):
        ymir('pack', trained, 'x.tar', '--force')


def test_what_is_cheap_is_checked_before_the_data_is_read(ymir, coco_folder, fake, monkeypatch):
    monkeypatch.setattr(datasets, 'read_dataset', lambda *_: pytest.fail('the data was read'))
    Path('used').mkdir()
    Path('used/file').touch()
    Path('plain').touch()
    for arguments in (['--out', 'used'], ['--out', 'plain/run'], ['--model', 'no.tar'], ['--gpus', 'x']):
        for task in ('train', 'infer', 'mine'):
            model = [] if '--model' in arguments or task == 'train' else ['--model', 'no.tar']
            options = fake[:-2] if '--gpus' in arguments else fake
            assert ymir(task, coco_folder, *arguments, *model, *options)[0] == 2, arguments
    assert sorted(path.name for path in Path('used').iterdir()) == ['file']


@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopping_while_data_is_read_leaves_nothing(ymir, coco_folder, fake, monkeypatch, how):

    def stop(*_):
        os.kill(os.getpid(), how)
        time.sleep(SECONDS)

    monkeypatch.setattr(datasets, 'read_dataset', stop)
    code, text, errors = ymir('train', coco_folder, *fake, '--out', 'run', '--json')
    assert code == 130 and json.loads(text) == {'ok': False, 'stopped': True, 'exit_code': 130}
    assert errors.endswith('stopped\n') and not Path('run').exists()
    assert signal.getsignal(how) == signal.SIG_IGN  # a second one does not change the exit code


def test_what_is_ignored_stays_ignored(start, coco_folder, fake):
    """As with `nohup`: a training goes on when the user logs out."""
    process = start(
        'train',
        coco_folder,
        'max_epochs=10',
        'seconds=0.1',
        *fake,
        '--out',
        'run',
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    while not Path('run/out/models/epoch_1.pth').is_file() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGHUP)
    assert process.wait(SECONDS) == 0, process.stderr.read()


@pytest.mark.parametrize('join', [False, True])
def test_a_reader_that_goes_stops_the_run_in_order(start, coco_folder, fake, join):
    """`ymir train ... | head -1`, and `2>&1` with it."""
    process = start(
        'train',
        coco_folder,
        'max_epochs=300',
        'seconds=0.02',
        *fake,
        '--out',
        'run',
        text=True,
        stderr=subprocess.STDOUT if join else subprocess.PIPE,
    )
    while not process.stdout.readline().startswith('training: '):
        assert process.poll() is None
    process.stdout.close()
    assert process.wait(SECONDS) == 130
    if not join:
        errors = process.stderr.read()
        assert 'Traceback' not in errors and 'BrokenPipe' not in errors
    assert yaml.safe_load(Path('run/run.yaml').read_text())['stopped'] is True
    assert Path('run/model.tar').is_file()


def test_a_reader_of_json_that_goes(start):
    process = start('explain', '--json')
    process.stdout.close()
    assert process.stderr.read() == b''
    assert process.wait(SECONDS) == 0


@pytest.mark.parametrize('language, words', [([], 'meaning: Out of memory'), (['--lang', 'zh'], r'\u542b\u4e49')])
def test_letters_that_the_output_cannot_show(command, language, words):
    """Chinese only where it can be read, unless it is asked for; never a trace."""
    env = dict(command[1], LC_ALL='zh_CN.UTF-8', PYTHONIOENCODING='ascii')
    done = subprocess.run([*command[0], 'explain', '300103', *language], capture_output=True, text=True, env=env)
    assert done.returncode == 0 and words in done.stdout and done.stderr == ''


def test_names_of_files_that_are_not_utf8(command, coco_folder, fake, trained):
    photos = Path('photos')
    photos.mkdir()
    Image.new('RGB', (40, 40), (9, 8, 7)).save(os.fsencode(photos) + b'/caf\xe9.png')
    (photos / os.fsdecode(b'broken\xff.jpg')).write_bytes(b'no image')
    done = subprocess.run(
        [*command[0], 'mine', 'photos', '--model', str(trained), *fake, '--out', 'mined', '--json'],
        capture_output=True,
        env=command[1],
    )
    result = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert os.fsencode(result['top'][0]['image']).endswith(b'photos/caf\xe9.png')
    assert b'broken' in done.stderr


def test_a_narrow_terminal_and_a_pipe(ymir, command):
    narrow = ymir('models', 'yolov8_n', COLUMNS='60')[1].splitlines()
    assert max(map(len, narrow)) <= 60
    assert any('yolov8_n' in line and '37.2' in line and '640x640' in line for line in narrow)
    env = {name: value for name, value in command[1].items() if name != 'COLUMNS'}
    piped = subprocess.run([*command[0], 'models', 'yolov8_n'], capture_output=True, text=True, env=env)
    row = next(line for line in piped.stdout.splitlines() if '37.2' in line)
    assert 'configs/yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py' in row


def test_without_colours(command, coco_folder, fake):
    script = 'import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)'
    for environ, coloured in (({'NO_COLOR': '1'}, False), ({}, True)):
        env = dict(command[1], TERM='xterm', **environ)
        done = subprocess.run(
            [sys.executable, '-c', script, *command[0], 'explain', '1234567'],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env=env,
        )
        assert (b'\x1b[31m' in done.stdout) is coloured, done


def test_stopping_before_a_command_has_begun(ymir, monkeypatch):

    def stop(*_, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(SECONDS)

    monkeypatch.setattr(typer.core.TyperCommand, 'make_context', stop)
    code, text, errors = ymir('explain', '300103', '--json')
    assert code == 130 and json.loads(text)['stopped'] is True and errors == 'stopped\n'
