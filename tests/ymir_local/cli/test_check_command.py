"""`ymir check` of runs that `ymir` made: what run.yaml noted is used."""

import json
from pathlib import Path

import pytest
import yaml

from ymir_local.check.finding import MAX_HITS


def failed(text):
    return [
        (finding['rule'], finding['place'])
        for finding in json.loads(text)['findings']
        if finding['ok'] is False and finding['severity'] == 'error'
    ]


def test_what_an_executor_changes_below_in_is_named(ymir, trained, rude, coco_folder):
    code, text, errors = ymir('infer', coco_folder / 'images', *rude, '--model', trained, '--out', 'run', '--json')
    assert code == 0 and 'changed 7 file(s) below in/' in errors, errors
    changes = json.loads(text)['in_changes']
    added, *images = changes
    assert added == 'annotations/cache.npy' and changes[added] == 'added'
    assert all(image.startswith('assets/') and changes[image] == 'changed' for image in images)
    assert yaml.safe_load(Path('run/run.yaml').read_text())['in_changes'] == changes

    code, text, _ = ymir('check', 'run', '--json')
    assert code == 1
    assert failed(text) == [('container/in-unchanged', f'in/{name}') for name in list(changes)[:MAX_HITS]]


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
