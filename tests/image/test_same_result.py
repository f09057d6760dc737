"""Our executor gives the same as a process and in its image: the weights of a training, the boxes, the ranking."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from ymir_local.datasets import write_dataset
from ymir_local.demo.sample_data import CLASS_NAMES, generate
from ymir_local.platform.labels import Dataset

pytestmark = [pytest.mark.image, pytest.mark.timeout(1200)]
ROOT = Path(__file__).resolve().parents[2]
# A network of a few channels, of whose boxes every one counts, however unsure.
NETWORK = (
    'model.backbone.widen_factor=0.125 model.neck.widen_factor=0.125 '
    'model.bbox_head.head_module.widen_factor=0.125 model.test_cfg.score_thr=0.0001'
)
PARAMETERS = (
    'max_epochs=2',
    'img_size=64',
    'samples_per_gpu=4',
    'workers_per_gpu=0',
    'precision=fp32',
    f'cfg_options={NETWORK}',
)
UNSURE = 'conf_threshold=0.0001'
WAYS = ('process', 'container')


@pytest.fixture(scope='module')
def both(image, tmp_path_factory):
    """A function that runs a command both ways at once; gives the folders of the runs, by way."""
    folder = tmp_path_factory.mktemp('runs')
    # No setting of this process reaches a container, and another number of threads sums in another order.
    environ = {name: value for name, value in os.environ.items() if not name.endswith('_NUM_THREADS')}

    def run(name, *arguments):
        started = {}
        for way in WAYS:
            options = ['--image', image] if way == 'container' else []
            command = [
                sys.executable,
                '-m',
                'ymir_local.cli',
                *map(str, arguments),
                *options,
                '--gpus',
                '0',
                '--json',
                '--out',
                str(folder / f'{name}-{way}'),
            ]
            started[way] = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=dict(environ, PYTHONPATH=str(ROOT)),
            )
        for way, process in started.items():
            text, errors = process.communicate()
            assert process.returncode == 0, (way, errors, json.loads(text).get('log_tail'))
        return {way: folder / f'{name}-{way}' for way in WAYS}

    return run


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    images = generate(folder / 'source', 12, 2, (64, 96), (1, 2), (0.3, 0.6), 2)
    write_dataset(Dataset(tuple(CLASS_NAMES[:2]), {'all': tuple(images)}), folder / 'coco', 'coco')
    return folder / 'coco'


@pytest.fixture(scope='module')
def trained(both, data):
    """The folders of the same training, by way."""
    return both('trained', 'train', data, '--model', 'yolov8_n', *PARAMETERS)


def read_result(run):
    result = yaml.safe_load((run / 'out/models/result.yaml').read_text())
    for stage in result['model_stages'].values():
        del stage['timestamp']
    return result


def version_of_torch(image):
    return subprocess.run(
        ['docker', 'run', '--rm', '--network=none', image, 'python3', '-c', 'import torch; print(torch.__version__)'],
        capture_output=True,
        text=True,
    ).stdout.strip()


def test_training(trained, image):
    """On one machine with one torch the weights are equal to the last bit."""
    process, container = (trained[way] for way in WAYS)
    names = [
        sorted(path.name for path in (run / 'out/models').iterdir() if path.is_file()) for run in (process, container)
    ]
    assert names[0] == names[1]
    results = [read_result(run) for run in (process, container)]
    assert set(results[0]['model_stages']) == set(results[1]['model_stages'])
    if version_of_torch(image) != torch.__version__:
        pytest.skip('the base image brings another torch, so the weights are nearly the same only')
    assert results[0] == results[1]
    files = {file for stage in results[0]['model_stages'].values() for file in stage['files'] if file.endswith('.pth')}
    for name in sorted(files):
        weights = [
            torch.load(run / 'out/models' / name, map_location='cpu', weights_only=False)['state_dict']
            for run in (process, container)
        ]
        assert weights[0].keys() == weights[1].keys()
        assert [key for key in weights[0] if not torch.equal(weights[0][key], weights[1][key])] == []


def ranking(run):
    """result.tsv with the paths that a container sees."""
    return (run / 'out/result.tsv').read_text().replace(f'{run.resolve()}/in/', '/in/')


def test_inference_and_mining_in_one_run(both, trained, data):
    runs = both('both', 'infer', data, '--mine', '--model', trained['process'] / 'model.tar', UNSURE)
    process, container = (runs[way] for way in WAYS)
    found = [(run / 'out/infer-result.json').read_bytes() for run in (process, container)]
    boxes = [box for entry in json.loads(found[0])['detection'].values() for box in entry['boxes']]
    assert found[0] == found[1] and boxes
    assert ranking(process) == ranking(container) and ranking(process).count('/in/assets/') == 12


def test_mining(both, trained, data):
    runs = both('mined', 'mine', data, '--model', trained['process'] / 'model.tar', UNSURE)
    assert ranking(runs['process']) == ranking(runs['container'])
    assert ranking(runs['process']).count('/in/assets/') == 12
