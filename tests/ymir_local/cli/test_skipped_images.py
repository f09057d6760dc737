"""Images left out, before a task or in it, are named as their owner knows them, wherever a run is shown."""

import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from tests.damaged_images import KINDS

from .conftest import FAKE

# Says of the last image of each part that it could not be read.
SKIPPING = """
import os, pathlib, runpy, sys, yaml
env = yaml.safe_load(pathlib.Path(os.environ['DEFAULT_ENV_FILE_PATH']).read_text())
keys = dict(training='training_index_file', validation='val_index_file', candidates='candidate_index_file')
with open(pathlib.Path(env['output']['root_dir'], 'skipped-images.tsv'), 'w') as stream:
    for part, key in keys.items():
        if env['input'][key]:
            path = pathlib.Path(env['input'][key]).read_text().splitlines()[-1].split('\\t')[0]
            stream.write(f'{part}\\t{path}\\tmade to be skipped\\n')
sys.argv = [sys.argv[1]]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


@pytest.fixture
def skipping(fake, tmp_path):
    """Options of an executor that skips images."""
    script = tmp_path / 'skipping.py'
    script.write_text(SKIPPING)
    return ['--executor', f'{sys.executable} {script} {FAKE}', *fake[2:]]


def add_broken(folder):
    """Adds images whose headers are broken, and gives their names and reasons."""
    for name in ('empty.jpg', 'page.jpg', 'wide.png'):
        (folder / name).write_bytes(KINDS[name])
    return {
        'empty.jpg': 'the file is empty',
        'page.jpg': 'it is not an image, or its beginning is broken',
        'wide.png': 'the image is too large to be loaded (1100000 x 1; at most 1048576 a side and 1073741824 in all)',
    }


@pytest.mark.parametrize('task', [['infer'], ['mine'], ['infer', '--mine']])
def test_candidates(ymir, coco_folder, skipping, trained, task):
    photos = coco_folder / 'images'
    last = max(photos.iterdir())
    expected = {**add_broken(photos), last.name: 'made to be skipped'}
    code, text, errors = ymir(task[0], photos, *task[1:], '--model', trained, *skipping, '--out', 'run', '--json')
    result = json.loads(text)
    assert code == 0 and result['num_skipped_images'] == 4
    assert {row['image']: row['reason'] for row in result['skipped_images']} == {
        str(photos / name): reason for name, reason in expected.items()
    }
    assert {row['part'] for row in result['skipped_images']} == {'candidates'}
    assert yaml.safe_load(Path('run/run.yaml').read_text())['skipped_images'] == result['skipped_images']
    told = errors[errors.index('4 images were left out:') :]
    assert all(f'{photos / name}: {reason} (candidates)' in told for name, reason in expected.items())

    code, _, _ = ymir('report', 'run')
    page = next(Path('run').glob('*.html')).read_text()
    assert code == 0 and '4 images were left out' in page
    assert all(str(photos / name) in page for name in expected)


def test_training(ymir, coco_folder, skipping):
    data = json.loads(next(coco_folder.rglob('*.json')).read_text())
    broken = max(image['file_name'] for image in data['images'])
    (coco_folder / 'images' / Path(broken).name).write_bytes(b'')
    code, text, errors = ymir('train', coco_folder, *skipping, '--out', 'run', '--json')
    result = json.loads(text)
    assert code == 0, errors
    rows = {(row['part'], row['reason']): row['image'] for row in result['skipped_images']}
    assert rows['training', 'the file is empty'] == str(coco_folder / 'images' / Path(broken).name)
    owners = dict(line.split('\t') for line in Path('run/sources.tsv').read_text().splitlines())
    for part, index in (('training', 'train'), ('validation', 'val')):
        asset = Path(f'run/in/{index}-index.tsv').read_text().splitlines()[-1].split('\t')[0]
        assert rows[part, 'made to be skipped'] == owners[Path(asset).name]
    assert result['num_skipped_images'] == len(rows) == 3
    assert re.search(r'3 images were left out:\n  .*the file is empty \(training\)', errors)


def test_a_run_that_skips_nothing_says_nothing(ymir, coco_folder, fake, trained):
    code, text, errors = ymir('infer', coco_folder / 'images', '--model', trained, *fake, '--out', 'run', '--json')
    assert code == 0 and json.loads(text)['num_skipped_images'] == 0 and json.loads(text)['skipped_images'] == []
    assert 'left out' not in errors and not Path('run/skipped-images.tsv').exists()


def test_skipped_images_do_not_count_as_images_without_boxes(ymir, coco_folder, skipping, trained):
    photos = coco_folder / 'images'
    ymir('infer', coco_folder, '--model', trained, *skipping, '--out', 'run')
    ymir('report', 'run', '--labels', coco_folder)
    page = next(Path('run').glob('*.html')).read_text()
    total = len(list(photos.iterdir()))
    assert f'1 of {total} images have no labels and do not count' in page
