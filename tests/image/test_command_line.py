"""The command line with a real engine, on an image that has nothing to do with ours."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from ymir_local.datasets import write_dataset
from ymir_local.demo.sample_data import generate
from ymir_local.platform.labels import Dataset

pytestmark = [pytest.mark.image, pytest.mark.timeout(600)]
ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / 'tests/ymir_local/check/foreign'
IMAGE = 'cli/foreign:test'


def build(tag, *options, dockerfile=None):
    command = ['docker', 'build', '--quiet', '--network=none', '-t', tag, *options]
    done = subprocess.run(
        [*command, '-' if dockerfile else str(FOLDER)], input=dockerfile, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    return tag


@pytest.fixture(scope='module')
def image(base_image):
    yield build(IMAGE, '--build-arg', f'BASE_IMAGE={base_image}')
    subprocess.run(['docker', 'rmi', '-f', IMAGE], capture_output=True)


@pytest.fixture
def variant(image):
    """Builds the image with one more line."""
    tag = 'cli/variant:test'
    yield lambda line: build(tag, dockerfile=f'FROM {image}\n{line}\n')
    subprocess.run(['docker', 'rmi', '-f', tag], capture_output=True)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A COCO folder in the current folder."""
    monkeypatch.chdir(tmp_path)
    images = generate(tmp_path / 'drawn', num_images=5, num_classes=2, size_range=(64, 96))
    write_dataset(Dataset(('target', 'crate'), {'all': tuple(images)}), tmp_path / 'data', 'coco')
    return tmp_path / 'data'


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, '-m', 'ymir_local.cli', *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT), LANG='C'),
    )


def ymir(*arguments):
    """Exit code and the JSON object."""
    process = start(*arguments, '--json')
    text, errors = process.communicate(timeout=300)
    assert text, errors
    return process.returncode, json.loads(text)


def containers():
    return subprocess.run(
        ['docker', 'ps', '-aq', '--filter', 'ancestor=cli/variant:test'], capture_output=True, text=True
    ).stdout.split()


def test_train_infer_and_mine_in_an_image(data, image):
    code, trained = ymir('train', data, '--image', image, '--gpus', '0', 'max_epochs=3', '--out', 'trained')
    assert (code, trained['ok'], trained['best_stage']) == (0, True, 'final'), trained
    assert all(f'--image {image}' in line for line in trained['next'] if line.startswith(('ymir infer', 'ymir mine')))
    code, both = ymir(
        'infer', data, '--mine', '--image', image, '--gpus', '0', '--model', 'trained/model.tar', '--out', 'both'
    )
    assert (code, both['images'], both['ranked'], both['boxes_per_class']) == (0, 5, 5, {'target': 5}), both
    assert both['top'][0]['image'].startswith(str(data))
    for run in ('trained', 'both'):
        assert ymir('check', run)[0] == 0
    assert Path('both/out/result.tsv').stat().st_uid == os.getuid()


def test_process_and_container_give_the_same(data, image):
    ymir('train', data, '--image', image, '--gpus', '0', '--out', 'trained')
    start_script = f'd=$(dirname "$DEFAULT_ENV_FILE_PATH"); IN=$d OUT=$d/../out exec bash {FOLDER}/start.sh'
    process = ['--executor', f"bash -c '{start_script}'", '--img-man', FOLDER / 'img-man']
    for name, engine in (('process', process), ('container', ['--image', image])):
        code, result = ymir('infer', data, '--mine', *engine, '--gpus', '0', '--model', 'trained', '--out', name)
        assert code == 0, result
    results = [Path(name, 'out/infer-result.json').read_bytes() for name in ('process', 'container')]
    assert results[0] == results[1]
    rankings = [Path(name, 'out/result.tsv').read_text() for name in ('process', 'container')]
    assert rankings[0].replace(str(Path('process/in').resolve()), '/in') == rankings[1]


def test_a_training_in_a_container_is_evaluated_in_one(data, image):
    ymir('train', data, '--image', image, '--gpus', '0', '--out', 'trained')
    code, result = ymir('report', 'trained', '--evaluate', '--gpus', '0')
    assert code == 0, result
    record = yaml.safe_load(Path('trained/validation/run.yaml').read_text())
    assert (record['image'], record['task'], record['ok']) == (image, 'infer', True)


def test_failure(data, variant):
    code, result = ymir(
        'train',
        data,
        '--image',
        variant('RUN printf "echo too bad\\nexit 3\\n" >> /usr/bin/start.sh'),
        '--gpus',
        '0',
        '--out',
        'run',
    )
    assert (code, result['code'], result['exit_code'], result['log_tail'][-1]) == (1, 160004, 3, 'too bad')
    assert result['package'] == 'run/model.tar'


@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGKILL])
def test_a_stop_removes_the_container(data, variant, how):
    process = start(
        'train',
        data,
        '--image',
        variant('RUN echo "sleep 300" >> /usr/bin/start.sh'),
        '--gpus',
        '0',
        '--out',
        'run',
        '--json',
    )
    end = time.monotonic() + 300
    while not Path('run/out/models/result.yaml').is_file():
        assert time.monotonic() < end and process.poll() is None, process.communicate()
        time.sleep(0.1)
    assert containers()
    process.send_signal(how)
    text, _ = process.communicate(timeout=300)
    if how == signal.SIGINT:
        assert process.returncode == 130 and json.loads(text)['package'] == 'run/model.tar'
        assert not containers()
    while containers():  # nobody is there any more who would wait for it
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGKILL])
def test_a_stop_of_a_check_removes_the_container(variant, how):
    process = start('check', '--image', variant('RUN echo "sleep 300" >> /usr/bin/start.sh'), '--run', '--json')
    end = time.monotonic() + 300
    while not containers():
        assert time.monotonic() < end and process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(how)
    text, _ = process.communicate(timeout=300)
    if how == signal.SIGINT:
        assert process.returncode == 130 and json.loads(text)['stopped'] is True
        assert not containers()
    while containers():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_an_image_that_is_not_there(data, base_image):
    code, result = ymir('train', data, '--image', 'no/such:image', '--gpus', '0')
    assert code == 2 and 'no/such:image' in result['error']
    code, result = ymir('train', data, '--image', base_image, '--gpus', '0')  # an image, but no executor
    assert code == 2 and 'training-template.yaml' in result['error']
