"""`ymir check` of runs that `ymir` made: what run.yaml noted is used."""
import json
import sys
from pathlib import Path

import pytest
import yaml

FAKE = Path(__file__).parents[1] / 'fake_executor.py'
RUDE = """
import os, pathlib, runpy, sys
root = pathlib.Path(os.environ['DEFAULT_ENV_FILE_PATH']).parent
image = sorted((root / 'assets').resolve().rglob('*.jpg'))[0]
with open(image, 'ab') as stream:
    stream.write(b'mended')
(root / 'annotations/cache.npy').touch()
sys.argv = [sys.argv[1]]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


@pytest.fixture
def rude(fake, tmp_path):
    """Options of an executor that changes and adds files below in/, and then does all that it should."""
    script = tmp_path / 'rude.py'
    script.write_text(RUDE)
    return ['--executor', f'{sys.executable} {script} {FAKE}', *fake[2:]]


def failed(text):
    return [(finding['rule'], finding['place']) for finding in json.loads(text)['findings'] if finding['ok'] is False
            and finding['severity'] == 'error']


def test_what_an_executor_changes_below_in_is_named(ymir, trained, rude, coco_folder):
    code, text, errors = ymir('infer', coco_folder / 'images', *rude, '--model', trained, '--out', 'run', '--json')
    assert code == 0 and 'changed 2 file(s) below in/' in errors, errors
    changes = json.loads(text)['in_changes']
    image = next(name for name, change in changes.items() if change == 'changed')
    assert changes == {'annotations/cache.npy': 'added', image: 'changed'} and image.startswith('assets/')
    assert yaml.safe_load(Path('run/run.yaml').read_text())['in_changes'] == changes

    code, text, _ = ymir('check', 'run', '--json')
    assert code == 1
    assert failed(text) == [('container/in-unchanged', 'in/annotations/cache.npy'),
                            ('container/in-unchanged', f'in/{image}')]


def test_what_happens_to_the_images_after_the_run_is_no_fault_of_the_executor(ymir, trained, fake, coco_folder):
    code, text, errors = ymir('infer', coco_folder / 'images', *fake, '--model', trained, '--out', 'run', '--json')
    assert code == 0 and json.loads(text)['in_changes'] == {}, errors
    image = next((coco_folder / 'images').rglob('*.jpg'))
    image.write_bytes(image.read_bytes() + b'edited')
    assert ymir('check', 'run')[0] == 0


@pytest.mark.parametrize('content', ['', '- list', 'exit_code: [', 'exit_code: none\nin_changes: 5\nstopped: yes?'])
def test_an_odd_run_yaml_is_ignored(content, ymir, trained):
    (trained / 'run.yaml').write_text(content)
    assert ymir('check', trained)[0] == 0


def test_a_run_that_was_stopped(ymir, trained):
    record = yaml.safe_load((trained / 'run.yaml').read_text())
    (trained / 'run.yaml').write_text(yaml.safe_dump(dict(record, stopped=True, exit_code=130)))
    (trained / 'out/models/result.yaml').unlink()
    assert ymir('check', trained)[0] == 0
    (trained / 'run.yaml').write_text(yaml.safe_dump(dict(record, stopped=False)))
    assert ymir('check', trained)[0] == 1
