"""The script as the platform starts it: what it refuses, and small trainings from start to end."""

import ast
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pie import train

ROOT = Path(__file__).resolve().parents[2]
MODULE = Path(__file__).parent / 'platform_module'  # where aiUtils is
DATASET = 'devel/101/dataset/recognition/d1'
COLORS = {'plane': '255,0,0', 'ship': '0,0,255', 'car': '0,255,0'}
CHINESE = re.compile('[一-鿿]')


def parameters(classes=('plane', 'ship'), **changes):
    label = [{'class_name': name, 'class_value': 1, 'class_color': COLORS[name]} for name in classes]
    return {
        'training_id': 'abc',
        'dataset_id': 'd1',
        'class_name': ','.join(classes),
        'label': json.dumps(label),
        'n_class': str(len(classes)),
        'load_size': '64,64',
        'model_name': 'yolov5n',
        'learning_rate': 0.004,
        'epochs': 2,
        'batch_size': 4,
        'auto_termination': 0,
        'gpu_num': 0,
        'resume_path': '',
        **changes,
    }


@pytest.fixture(scope='module')
def store(tmp_path_factory):
    """A bucket as a folder, with a data set of filled squares and discs."""
    folder = tmp_path_factory.mktemp('store')
    generator = np.random.default_rng(0)
    for part, count in (('train', 12), ('valid', 4)):
        place = folder / 'pie-engine-ai' / DATASET / part
        for kind in ('images', 'labels'):
            (place / kind).mkdir(parents=True)
        for index in range(count):
            image = generator.integers(60, 110, (64, 64, 3)).astype(np.uint8)
            x, y, size = (int(value) for value in generator.integers(5, 35, 3))
            size = max(size // 2, 12)
            name, color = (('plane', (40, 40, 230)), ('ship', (230, 200, 40)))[index % 2]
            cv2.rectangle(image, (x, y), (x + size, y + size), color, -1)
            cv2.imwrite(str(place / f'images/{index}.jpg'), image)
            box = f'<xmin>{x}.0</xmin><xmax>{x + size}.0</xmax><ymin>{y}.0</ymin><ymax>{y + size}.0</ymax>'
            (place / f'labels/{index}.xml').write_text(
                f'<annotation><filename>{index}.xml</filename><object><name>{name}</name><difficult></difficult>'
                f'<bndbox>{box}</bndbox></object></annotation>'
            )
    return folder


@pytest.fixture
def base(tmp_path):
    """A network package: train.py and what it trains with beside it."""
    folder = tmp_path / 'network'
    folder.mkdir()
    (folder / 'train.py').write_bytes((ROOT / 'pie/train.py').read_bytes())
    for name in train.ROOMS:
        (folder / name).symlink_to(ROOT / name)
    return folder


def environment(store):
    names = ('PIE_OUTPUT_DIR', 'PIE_CACHE_DIR', 'AI_DATASET_ID')
    kept = {name: value for name, value in os.environ.items() if name not in names}
    return {**kept, 'PYTHONPATH': str(MODULE), 'PIE_TEST_STORE': str(store), 'OMP_NUM_THREADS': '1'}


def started(base, store, content, **variables):
    """Start it with parameters on the standard input; with None it finds nothing there."""
    process = subprocess.Popen(
        [sys.executable, 'train.py'],
        cwd=base,
        env={**environment(store), **variables},
        stdin=subprocess.DEVNULL if content is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding='utf-8',
    )
    if content is not None:
        process.stdin.write(json.dumps(content) + '\n')
        process.stdin.flush()  # and stays open, as the platform's may
    return process


def finished(base, store, content, **variables):
    process = started(base, store, content, **variables)
    return process.communicate(timeout=600)[0], process.returncode


def log_of(base):
    return json.loads((base / 'output/trainlog.json').read_text(encoding='utf-8'))


def test_an_old_python_can_read_it():
    ast.parse((ROOT / 'pie/train.py').read_text(encoding='utf-8'), feature_version=(3, 6))


def test_an_old_python_gets_a_sentence():
    chinese, english = train.missing_parts((3, 6, 8))
    assert 'Python 3.10 - 3.12 is needed, this is 3.6' in english and CHINESE.search(chinese)
    assert train.missing_parts() is None


def test_missing_packages_are_named(monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None if name in ('mmdet', 'cv2') else find(name))
    monkeypatch.setattr(train, 'find_code', lambda: '')
    assert train.main() == 1
    chinese, english = capsys.readouterr().err.splitlines()
    assert english.endswith('run in a terminal: pip install onedl-mmdetection opencv-python-headless')
    assert chinese.startswith('错误: 缺少依赖库') and 'pip install onedl-mmdetection' in chinese


def test_what_it_trains_with_lies_beside_or_around_it(base, monkeypatch):
    monkeypatch.setattr(sys, 'path', [str(base), str(base / 'pie'), 'x'])
    assert train.find_code(str(base)) == str(base) and sys.path == [str(base), 'x']
    monkeypatch.setattr(sys, 'path', [str(base / 'pie'), 'x'])
    assert train.find_code(str(base / 'pie')) == str(base) and sys.path == [str(base), 'x']
    monkeypatch.setattr(sys, 'path', [str(base.parent), 'x'])
    assert train.find_code(str(base.parent)) == '' and sys.path == [str(base.parent), 'x']


@pytest.mark.slow
@pytest.mark.integration
def test_two_trainings(base, store):
    """The first writes what the platform pushes; its weights begin a second one with another class."""
    shown, status = finished(base, store, parameters())
    assert status == 0, shown
    assert [line for line in shown.splitlines() if line.startswith('[Process')] == ['[Process: 1/2]', '[Process: 2/2]']
    log = log_of(base)
    assert log['training_id'] == 'abc' and log['end_time'] >= log['create_time'] > '2'
    assert [epoch['epoch'] for epoch in log['epochs']] == ['1', '2']
    for epoch in log['epochs']:
        for part in ('train', 'valid'):
            assert [row['class'] for row in epoch[part]] == ['all', 'plane', 'ship']
            for key in ('P', 'R', 'F1_score', 'mAP'):
                values = [row['values'][key] for row in epoch[part]]
                assert values[0] == pytest.approx(sum(values[1:]) / 2) and 0 <= min(values) <= max(values) <= 1
        assert epoch['train'][0]['values']['loss'] > 0
    assert cv2.imread(str(base / 'output/picture/pred.png')) is not None
    weights = base / 'output/files/yolov5n.th'
    state = torch.load(weights, weights_only=True)
    assert weights.samefile(base / 'output/yolov5n.th') and all(value.isfinite().all() for value in state.values())

    folder = store / 'pie-engine-ai/runs/1'
    folder.mkdir(parents=True)
    (folder / 'yolov5n.th').write_bytes(weights.read_bytes())
    content = parameters(('plane', 'ship', 'car'), resume_path='s3://pie-engine-ai/runs/1', epochs=1, batch_size=3)
    shown, status = finished(base, store, content)
    assert status == 0, shown
    assert 'files are in' in shown and 'No object in train of the classes: car' in shown
    assert 'from scratch' not in shown
    loaded = re.search(r'Initial weights: (\d+) of (\d+) tensors loaded', shown)
    assert int(loaded[2]) - int(loaded[1]) == 6  # the weight and the bias of the output of each of three scales
    assert [row['class'] for row in log_of(base)['epochs'][0]['valid']] == ['all', 'plane', 'ship', 'car']
    assert torch.load(weights, weights_only=True).keys() == state.keys()


def scenes(folder, task):
    """A data set of 12 and 4 pictures of 64 pixels, in which a bright square is a class, or what changed."""
    generator = np.random.default_rng(0)
    for part, count in (('train', 12), ('valid', 4)):
        for index in range(count):
            before = generator.integers(40, 90, (64, 64, 3)).astype(np.uint8)
            after, label = before.copy(), np.zeros((64, 64), np.uint8)
            x, y = (int(value) for value in generator.integers(4, 30, 2))
            after[y : y + 25, x : x + 25] = (60, 200, 240)
            label[y : y + 25, x : x + 25] = 255
            pictures = {'labels': label, **({'A': before, 'B': after} if task == 'change' else {'images': after})}
            for kind, picture in pictures.items():
                (folder / part / kind).mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(folder / part / kind / f'{index}.{"png" if kind == "labels" else "tif"}'), picture)


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.parametrize(
    'task, model', [('segmentation', 'fpn_n'), ('segmentation', 'linknet34'), ('change', 'siam_fpn_n')]
)
def test_pixels(task, model, base, store):
    """Both learn a bright square and write what the platform pushes; the weights begin a run of other classes."""
    scenes(store / 'pie-engine-ai/devel/101/dataset/recognition' / model, task)
    entries = [('background', 0, '0,0,0'), ('square', 255, '255,0,0'), ('sky', 9, '0,0,255')]

    def content(count, **changes):
        label = [dict(class_name=name, class_value=value, class_color=color) for name, value, color in entries[:count]]
        names = ','.join(name for name, *_ in entries[:count])
        common = dict(dataset_id=model, model_name=model, n_class=count, learning_rate=0, epochs=8)
        return parameters(**{**common, 'label': json.dumps(label), 'class_name': names, **changes})

    shown, status = finished(base, store, content(2))
    assert status == 0, shown
    log = log_of(base)
    assert log['description']['IoU'] == 'IoU' and log['end_time'] and len(log['epochs']) == 8
    assert log['best'].keys() == {'precision', 'recall', 'score', 'IoU'} and log['best']['IoU'] > 0.6
    assert [row['class'] for row in log['epochs'][0]['train']] == ['all', 'background', 'square']
    names = ['A', 'B', 'label', 'pred'] if task == 'change' else ['image', 'label', 'pred']
    pictures = {path.stem: cv2.imread(str(path)) for path in (base / 'output/picture').iterdir()}
    assert sorted(pictures) == sorted(names) and {picture.shape for picture in pictures.values()} == {(64, 64, 3)}
    assert {tuple(color) for color in pictures['label'].reshape(-1, 3).tolist()} == {(0, 0, 0), (0, 0, 255)}  # BGR
    assert {tuple(color) for color in pictures['pred'].reshape(-1, 3).tolist()} <= {(0, 0, 0), (0, 0, 255)}
    folder = store / f'pie-engine-ai/runs/{model}'
    folder.mkdir(parents=True)
    (folder / f'{model}.th').write_bytes((base / f'output/files/{model}.th').read_bytes())
    shown, status = finished(base, store, content(3, resume_path=f's3://pie-engine-ai/runs/{model}/', epochs=1))
    assert status == 0, shown
    loaded = re.search(r'(\d+) of (\d+) tensors loaded', shown)
    assert int(loaded[2]) - int(loaded[1]) == 2  # weight and bias of the output
    assert len(log_of(base)['epochs'][0]['valid']) == 4


@pytest.mark.slow
@pytest.mark.integration
def test_two_processes(base, store):
    """Each measures a part of the images, and one writes; all images are measured once."""
    shown, status = finished(base, store, parameters(epochs=2, auto_termination=1), YMIR_CPU_PROCESSES='2')
    assert status == 0, shown
    assert [line for line in shown.splitlines() if line.startswith('[Process')] == ['[Process: 1/2]', '[Process: 2/2]']
    assert '2 x cpu' in shown and len(log_of(base)['epochs']) == 2 and log_of(base)['end_time']


@pytest.mark.slow
@pytest.mark.integration
def test_the_example_of_the_document_and_a_stop(base, store):
    """Its traincfg.json trains byte for byte; SIGTERM ends that with a whole log, and no process stays."""
    example = (Path(__file__).with_name('traincfg.json')).read_bytes()
    (base / 'traincfg.json').write_bytes(example)
    dataset = store / 'pie-engine-ai/devel/101/dataset/recognition' / json.loads(example)['dataset_id']
    shutil.copytree(store / 'pie-engine-ai' / DATASET, dataset)
    for path in dataset.rglob('*.xml'):
        path.write_text(path.read_text().replace('plane', 'airplane'))
    process = started(base, store, None)
    children = []
    for line in process.stdout:
        if line.startswith('[Process: 1/80]'):
            children = subprocess.run(
                ['pgrep', '-P', str(process.pid)], capture_output=True, text=True, check=True
            ).stdout.split()
            process.send_signal(signal.SIGTERM)
            break
    shown = process.communicate(timeout=60)[0]
    assert process.returncode == 128 + signal.SIGTERM and 'was stopped (SIGTERM)' in shown
    log = log_of(base)
    assert log['end_time'] and len(log['epochs']) >= 1
    torch.load(base / 'output/files/yolov4.th', weights_only=True)
    deadline = time.monotonic() + 20
    while any(Path(f'/proc/{child}').exists() for child in children) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert children and not any(Path(f'/proc/{child}').exists() for child in children)


@pytest.mark.slow
@pytest.mark.integration
def test_a_training_whose_process_dies(base, store):
    """What the system kills for memory leaves a sentence, a log with its end, and the finished epochs."""
    process = started(base, store, parameters(epochs=50))
    for line in process.stdout:
        if line.startswith('[Process: 1/'):
            child = subprocess.run(['pgrep', '-P', str(process.pid)], capture_output=True, text=True, check=True).stdout
            os.kill(int(child.split()[0]), signal.SIGKILL)
            break
    shown = process.communicate(timeout=60)[0]
    assert process.returncode == 1 and 'Traceback' not in shown
    assert '错误: 内存或显存不足' in shown
    assert re.search(r'Error: The training process 0 \(epoch \d+, step \d+\) was killed \(SIGKILL\)', shown)
    assert log_of(base)['end_time'] and log_of(base)['epochs']
