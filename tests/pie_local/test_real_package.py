"""The package of pie/: the demo learns, and what is uploaded trains from its zip and goes on with other classes."""

import json
import shutil
import subprocess
import sysconfig
import threading
import venv
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio

from pie.metrics import overlaps
from pie_local.data_set import read_data_set
from pie_local.demo import DEMOS, PACKAGE, run_demo
from pie_local.draw import draw_data_set
from pie_local.judge import find_weights
from pie_local.package import build_package
from pie_local.parameters import make_parameters
from pie_local.predict import run_prediction
from pie_local.run import copy_package, run_training

# Minutes on two idle cores, and ten times that on a busy machine.
pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning'),
]


@pytest.mark.parametrize('task', DEMOS)
def test_the_demo_learns(task, tmp_path):
    result = run_demo(task, tmp_path)
    assert result.run.findings == [] and result.run.code == 0
    assert result.value >= {'detection': 0.5, 'segmentation': 0.8, 'change': 0.7}[task] and result.passed
    check = found_boxes if task == 'detection' else found_pixels
    assert check(result.large, tmp_path / 'large') > 0.6
    # What the platform has pushed is enough, beside a package that was never trained.
    fresh = copy_package(PACKAGE, tmp_path / 'fresh').parent
    pushed = max(tmp_path.glob('run/pushed/*'), key=lambda path: int(path.name.split('_')[1]))
    shutil.copytree(pushed / 'files', fresh / 'output/files')
    images = ';'.join(str(path) for path in sorted((tmp_path / 'large').glob('*.tif')))
    again = run_prediction(tmp_path / 'fresh', images, {}, 'PredictModel.py')
    assert again.code == 0 and again.results[0].read_bytes() == result.large.read_bytes()
    assert sum(path.suffix == '.png' for path in again.results[0].parent.iterdir()) == 1


def found_pixels(result: Path, folder: Path) -> float:
    """Mean IoU of a large picture."""
    with rasterio.open(result) as file, rasterio.open(folder / 'label.png') as label:
        found, wanted = file.read(1), label.read(1)
        assert file.crs.to_epsg() == 32650 and file.transform[:6] == (0.5, 0, 500000, 0, -0.5, 4400000)
    values = np.unique(wanted)
    assert set(np.unique(found)) <= set(values)
    pairs = [(found == value, wanted == value) for value in values]
    return np.mean([(ours & theirs).sum() / (ours | theirs).sum() for ours, theirs in pairs])


def found_boxes(result: Path, folder: Path) -> float:
    """F1 of a large picture; each object is found once at most."""
    features = json.loads(result.read_text(encoding='utf-8'))['features']
    objects = ElementTree.parse(folder / 'label.xml').getroot().findall('object')
    sides = ('xmin', 'ymin', 'xmax', 'ymax')
    wanted = np.array([[float(one.find(f'bndbox/{side}').text) for side in sides] for one in objects])
    found = np.array([one['properties']['pixels'] for one in features])
    classes = np.array([one.findtext('name') for one in objects])
    same = np.array([one['properties']['class_name'] for one in features])[:, None] == classes
    right = (overlaps(found, wanted) * same) >= 0.5
    assert right.sum(axis=0).max() == 1
    longitudes, latitudes = zip(*(point for one in features for point in one['geometry']['coordinates'][0]))
    assert 116.99 < min(longitudes) < max(longitudes) < 117.01 and 39.7 < min(latitudes) < max(latitudes) < 39.8
    return 2 * right.sum() / (len(found) + len(wanted))


@pytest.fixture
def bare_python(tmp_path):
    """A Python that has the packages of others that are installed here, and none of ours.

    Python reads no .pth file, such as that of a checkout, in a folder that one of them names.
    """
    folder = tmp_path / 'env'
    venv.create(folder, symlinks=True)
    (site,) = folder.glob('lib/python*/site-packages')
    (site / 'others.pth').write_text(sysconfig.get_path('purelib') + '\n')
    code = (
        "import importlib.util as u; print([n for n in ('ymir', 'ymir_exc', 'pie', 'tmi', 'torch') if u.find_spec(n)])"
    )
    python = folder / 'bin/python'
    found = subprocess.run([python, '-c', code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "['torch']"
    return str(python)


def test_the_zip_trains_and_goes_on_with_other_classes(platform, bare_python, tmp_path):
    """Where nothing of ours is installed: the zip holds all that a training needs but packages of others."""
    # Epochs of seconds: on a busy machine the copy of an epoch's output would come after a shorter one.
    draw_data_set(tmp_path / 'data', 'detection', 96, 64)
    data = read_data_set(tmp_path / 'data')
    zipped = tmp_path / 'network.zip'
    build_package(PACKAGE, zipped, {})
    changes = {'epochs': 2, 'model_name': 'yolov8_n', 'load_size': '64,64', 'batch_size': 4}

    def train(out: Path, label: list, resume_path: str):
        names = ','.join(entry['class_name'] for entry in label)
        served = platform.add_data(data.folder, 'detection')
        parameters = make_parameters(
            type(data)(data.folder, data.task, label),
            {**changes, 'dataset_id': served.dataset_id, 'class_name': names, 'resume_path': resume_path},
        )
        script = copy_package(zipped, out)
        main = script.parent / 'pie/main.py'
        main.write_text(main.read_text(encoding='utf-8') + "\n\nprint('code of the zip')\n", encoding='utf-8')
        lines: list[str] = []
        result = run_training(script, parameters, platform, 'detection', python=bare_python, on_line=lines.append)
        assert result.findings == [] and result.epochs == 2 and 'code of the zip' in lines, lines[-20:]
        return result

    first = train(tmp_path / 'first', data.label, '')
    weights = find_weights(first.output, 'yolov8_n')
    assert weights is not None
    resumed = platform.add_weights(weights, 'first')
    second = train(tmp_path / 'second', data.label[1:], resumed)
    rows = [row['class'] for row in second.log['epochs'][-1]['valid']]
    assert rows == ['all', data.label[1]['class_name']]
    assert f'Initial weights {resumed}' in (tmp_path / 'second/log.txt').read_text(encoding='utf-8')
    image = str(next((tmp_path / 'data').glob('valid/images/*')))
    predicted = run_prediction(tmp_path / 'second', image, {'confidence': 0}, python=bare_python)
    assert predicted.code == 0 and json.loads(predicted.results[0].read_text(encoding='utf-8'))['features']


def test_the_file_of_the_document_trains(platform, tmp_path):
    """Its traincfg.json byte for byte: yolov4, 608 pixels, a GPU, 80 epochs, stopped by the user after the first."""
    draw_data_set(tmp_path / 'data', 'detection', 4, 64)
    for path in tmp_path.glob('data/*/labels/*.xml'):
        path.write_text(path.read_text(encoding='utf-8').replace('building', 'airplane'), encoding='utf-8')
    file = (Path(__file__).parent / 'document_traincfg.json').read_bytes()
    parameters = json.loads(file)
    platform.add_data(tmp_path / 'data', 'detection', parameters['dataset_id'])
    stop, pushes = threading.Event(), []

    def push(one, findings):
        pushes.append((one.epoch, one.epochs, findings))
        stop.set()

    script = copy_package(PACKAGE, tmp_path / 'out')
    result = run_training(script, parameters, platform, 'detection', file, on_push=push, stop=stop)
    assert pushes[0] == (1, 80, []) and result.findings == [] and result.code == 143
    assert result.log['training_id'] == parameters['training_id'] and result.log['end_time']
    assert [row['class'] for row in result.log['epochs'][0]['valid']] == ['all', 'airplane']
    assert find_weights(result.output, 'yolov4') == result.output / 'files/yolov4.th'
