"""Predict.py as the platform starts it: which weights it takes, what it refuses, and whole predictions."""

import ast
import json
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
import torch

import pie.prediction
from pie.description import describe
from pie.networks import NETWORKS
from pie.outputs import Outputs
from tests.pie.large_pictures import LABELS, ROTATED, smooth, write_tiff

ROOT = Path(__file__).resolve().parents[2]
MODULE = Path(__file__).parent / 'platform_module'  # where aiUtils is
CHINESE = re.compile('[一-鿿]')
SCRIPTS = ('train.py', 'Predict.py', 'PredictModel.py')
pytestmark = pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """The files of output/files/ of a network with random weights."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp('trained')
    description = describe('fpn_n', 'segmentation', LABELS, (64, 64), [(64, 64), (96, 64), (60, 70)])
    Outputs(folder / 'output', 'fields').write_weights(NETWORKS['fpn_n'].build(3).state_dict(), description)
    return folder / 'output/files'


@pytest.fixture
def base(tmp_path, trained):
    """A folder with weights where a training leaves them, and a picture."""
    for path in trained.iterdir():
        target = tmp_path / 'output/files' / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    write_tiff(tmp_path / 'land.tif', smooth(70, 150).astype(np.uint8))
    return tmp_path


@pytest.fixture
def predict(base, monkeypatch, capsys):
    """Runs the script in this process; returns its status and what it printed last."""

    def run(content, **variables):
        for name in ('PYTHONPATH', 'TMI_STARTED', 'TMI_SETTINGS_FILE', 'PYTHONUNBUFFERED', 'PYTHONIOENCODING'):
            monkeypatch.setenv(name, '')
        monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(base)
        (base / 'given.json').write_text(json.dumps(content), encoding='utf-8')
        status = pie.prediction.run(str(base), ['--config', 'given.json'])
        shown = capsys.readouterr()
        assert 'Traceback' not in shown.out + shown.err
        if not status:
            assert shown.out.splitlines()[-1] == '[Process: 1/1]'
            return 0, shown.err
        chinese, english = shown.err.splitlines()[-2:]
        assert chinese.startswith('错误: ') and english.startswith('Error: ') and CHINESE.search(chinese)
        assert '[Process' not in shown.out and not list(base.glob('output/picture/*'))
        return status, english

    return run


def found(base):
    with rasterio.open(base / 'output/picture/land_pred.tif') as file:
        return file.read(), file.transform


def clear(base):
    for path in base.glob('output/picture/*'):
        path.unlink()


def test_old_pythons_can_read_them():
    for name in SCRIPTS:
        ast.parse((ROOT / 'pie' / name).read_text(encoding='utf-8'), feature_version=(3, 6))


def test_what_lies_in_output_is_enough(base, predict):
    left = base / 'output/picture/.land_pred-x.tif'  # by a prediction that was killed
    left.parent.mkdir()
    left.touch()
    assert predict({'estimate_id': 'e', 'image_path': 'land.tif', 'gpu_num': 0})[0] == 0 and not left.exists()
    values, transform = found(base)
    assert values.shape == (1, 70, 150) and transform == ROTATED and set(np.unique(values)) <= {0, 7, 255}
    assert cv2.imread(str(base / 'output/picture/land_pred.png')).shape == (70, 150, 3)


def test_parameters_by_hand_stand_in_for_the_description(base, predict):
    content = {'image_path': 'land.tif', 'gpu_num': '0'}
    predict(content)
    wanted = found(base)[0]
    description = json.loads((base / 'output/files/fields.json').read_text(encoding='utf-8'))
    (base / 'output/files/fields.json').unlink()
    clear(base)
    _, error = predict(content)
    assert 'model_name, label, load_size are not known: neither given.json nor' in error and 'fields.json' in error
    status, _ = predict({**content, **description, 'label': json.dumps(description['label'])})
    assert status == 0 and (found(base)[0] == wanted).all()


def test_where_weights_are_looked_for(base, predict):
    """Beside the script comes first, then where a training leaves them; a name decides among several."""
    files = base / 'output/files'
    (files / 'other.th').write_bytes(b'no weights')
    content = {'image_path': 'land.tif', 'gpu_num': 0}
    assert 'several files of weights: fields.th, other.th' in predict(content)[1]
    assert predict({**content, 'weight_name': 'fields'})[0] == 0
    clear(base)
    by_hand = {'model_name': 'fpn_n', 'load_size': 64, 'label': [{'class_name': 'a'}, {'class_name': 'b'}]}
    assert 'Cannot load the weights' in predict({**content, **by_hand, 'resume_path': 'output/files/other.th'})[1]
    (files / 'fields.th').rename(base / 'beside.th')
    (files / 'fields.json').rename(base / 'beside.json')
    assert predict(content)[0] == 0
    (base / 'beside.th').unlink()
    (files / 'other.th').unlink()
    clear(base)
    assert 'There are no weights *.th in' in predict(content)[1]


@pytest.mark.parametrize(
    'content, words',
    [
        ({}, 'image_path: missing'),
        ({'image_path': 'none.tif'}, 'There is no picture none.tif'),
        ({'image_path': 'given.json'}, 'given.json cannot be read'),
        ({'image_path': 'land.tif;land.tif'}, 'image_path names 2 pictures and segmentation needs 1'),
        ({'overlap': 96}, 'overlap 96 is too large for parts of 64,64; allowed are up to 32'),
        ({'overlap': -1}, 'overlap: -1; a whole number'),
        ({'tile_size': 'big'}, "tile_size: 'big'"),
        ({'confidence': 2}, 'confidence: 2'),
        ({'output_format': 'shp'}, "output_format: 'shp'; allowed are tif and geojson"),
        ({'output_bands': 2}, 'output_bands: 2; allowed are 1 (class_value)'),
        ({'type': 3}, 'type is 3 (change)'),
        ({'label': [{'class_name': 'a'}, {'class_name': 'b'}]}, 'do not belong to fpn_n with 2 classes'),
        ({'resume_path': 'nowhere'}, 'There are no weights *.th in nowhere'),
    ],
)
def test_bad_parameters(content, words, predict):
    content = {'image_path': 'land.tif', 'gpu_num': 0, **content} if content else content
    assert words in predict(content)[1]


@pytest.mark.parametrize('text', ['{"type"', '[]', ''])
def test_a_damaged_description(base, predict, text):
    (base / 'output/files/fields.json').write_text(text)
    words = predict({'image_path': 'land.tif', 'gpu_num': 0})[1]
    assert 'fields.json, which describes the weights, is damaged' in words


def test_a_cut_picture_leaves_no_result(base, predict):
    data = (base / 'land.tif').read_bytes()
    (base / 'land.tif').write_bytes(data[: len(data) // 2])
    assert 'land.tif cannot be read' in predict({'image_path': 'land.tif', 'gpu_num': 0})[1]


def test_from_the_storage(base, predict, monkeypatch, tmp_path):
    """The picture and the weights by S3 URL; what describes the weights comes along."""
    store = tmp_path / 'store'
    bucket = store / 'pie-engine-ai/runs/1'
    bucket.mkdir(parents=True)
    for path in (base / 'output/files').iterdir():
        path.rename(bucket / path.name)
    (base / 'land.tif').rename(bucket / 'land.tif')
    monkeypatch.syspath_prepend(str(MODULE))
    monkeypatch.delitem(sys.modules, 'aiUtils', raising=False)
    content = {'image_path': 's3://pie-engine-ai/runs/1/land.tif', 'resume_path': 's3://pie-engine-ai/runs/1/'}
    assert predict({**content, 'gpu_num': 0, 'dataset_id': 'd1'}, PIE_TEST_STORE=str(store))[0] == 0
    assert found(base)[0].shape == (1, 70, 150)
    clear(base)
    content['image_path'] = 's3://pie-engine-ai/runs/1/none.tif'
    assert 'There is no picture s3://' in predict({**content, 'gpu_num': 0}, PIE_TEST_STORE=str(store))[1]


def test_without_rasterio_there_is_a_sentence(monkeypatch, capsys):
    import importlib.util

    from pie import train

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None if name == 'rasterio' else find(name))
    monkeypatch.setattr(train, 'find_code', lambda: '')
    assert train.main('pie.prediction', (('rasterio', 'rasterio'),)) == 1
    assert capsys.readouterr().err.splitlines()[-1].endswith('run in a terminal: pip install rasterio')
