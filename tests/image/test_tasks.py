"""Tasks in the real image, started with the platform's command line, without network and as an unknown user."""
import json

import pytest
import yaml

from ymir.local.prepare import ModelStage, asset_id, hyper_parameters, prepare_candidates, prepare_training
from ymir.local.run import run_in_container
from ymir.local.sample_data import CLASS_NAMES, generate

pytestmark = [pytest.mark.image, pytest.mark.timeout(2400)]
CLASSES = list(CLASS_NAMES[:3])
PARAMETERS = dict(model_name='yolov8_n', img_size=96, max_epochs=2, samples_per_gpu=4, workers_per_gpu=1)


def run(task, image):
    return run_in_container(task, image, user='12345:23456', options=['--network=none'])


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    return generate(tmp_path_factory.mktemp('data'), num_images=24, num_classes=3, size_range=(96, 160))


@pytest.fixture(scope='module')
def training(image, images, tmp_path_factory):
    """A finished training and how it ended."""
    task = prepare_training(tmp_path_factory.mktemp('training') / 'work', CLASSES, images[:12], images[12:16],
                            hyper_parameters('training', PARAMETERS), in_container=True)
    return task, run(task, image)


def test_training(training):
    task, outcome = training
    outcome.raise_for_failure('training')
    assert outcome.progress.percent == 1.0
    result = yaml.safe_load((task.out_dir / 'models/result.yaml').read_text())
    assert result['best_stage_name'] in result['model_stages']
    assert ModelStage.of_training(task).files
    assert any((task.out_dir / 'tensorboard').glob('events.out.*')) or any(
        (task.out_dir / 'tensorboard').rglob('events.out.*'))


def test_mining_and_inference_in_one_run(training, image, images, tmp_path):
    trained, outcome = training
    outcome.raise_for_failure('training')
    candidates = images[16:]
    broken = tmp_path / 'broken.jpg'
    broken.write_bytes(candidates[0].path.read_bytes()[:200])
    paths = [*(candidate.path for candidate in candidates), broken]
    task = prepare_candidates(tmp_path / 'work', paths, ModelStage.of_training(trained), mining=True, infer=True,
                              in_container=True)
    run(task, image).raise_for_failure('mining and inference')

    index = (task.in_dir / 'candidate-index.tsv').read_text().splitlines()
    rows = [line.split('\t') for line in (task.out_dir / 'result.tsv').read_text().splitlines()]
    scores = [float(score) for _, score in rows]
    assert sorted(path for path, _ in rows) == sorted(index)
    assert scores == sorted(scores, reverse=True)

    detection = json.loads((task.out_dir / 'infer-result.json').read_text())['detection']
    assert set(detection) == {f'{asset_id(path)}.jpg' for path in paths}
    assert detection[f'{asset_id(broken)}.jpg'].get('boxes', []) == []
    assert asset_id(broken) in task.log_file.read_text()
    for entry in detection.values():
        for item in entry.get('boxes', []):
            assert item['class_name'] in CLASSES and 0 <= item['score'] <= 1
            assert all(isinstance(item['box'][side], int) for side in 'xywh')


@pytest.mark.parametrize('name, edits, num_train, code, words', [
    ('unknown model', dict(model_name='yolov8_huge'), 4, 300001, 'yolov8_huge'),
    ('bad value', dict(max_epochs='many'), 4, 300001, 'max_epochs'),
    ('empty training set', {}, 0, 300002, 'training set'),
])
def test_bad_input_is_explained_in_the_last_lines(image, images, tmp_path, name, edits, num_train, code, words):
    task = prepare_training(tmp_path / 'work', CLASSES, images[:num_train], images[12:16],
                            hyper_parameters('training', {**PARAMETERS, **edits}), in_container=True)
    outcome = run(task, image)
    assert outcome.exit_code != 0
    assert (outcome.progress.state, outcome.progress.code) == (4, code)
    assert words in ' '.join(outcome.tail) and str(code) in ' '.join(outcome.tail)
    assert words in task.monitor_file.read_text()


def test_no_weights(image, images, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text("model = dict(type='YOLODetector')\n")
    stage = ModelStage('best', (config, ), {'class_names': CLASSES})
    task = prepare_candidates(tmp_path / 'work', [images[0].path], stage, infer=True, in_container=True)
    outcome = run(task, image)
    assert outcome.exit_code != 0
    assert (outcome.progress.state, outcome.progress.code) == (4, 300004)
    assert '300004' in ' '.join(outcome.tail)
