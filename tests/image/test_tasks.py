"""Tasks in the real image, started with the platform's command line, without network and as an unknown user.

What they leave is judged twice: by `ymir check`, and by rules that were written from the contract alone and share no
code with the product.
"""

import pytest
import yaml

from tests.ymir_exc import platform_rules
from ymir_local.check import check_out
from ymir_local.demo.demo_result import read_predictions
from ymir_local.demo.sample_data import CLASS_NAMES, generate
from ymir_local.platform.folder_changes import changes_since, listing
from ymir_local.platform.prepare import (
    Host,
    ModelStage,
    asset_id,
    hyper_parameters,
    prepare_candidates,
    prepare_training,
)
from ymir_local.platform.run import run_in_container

pytestmark = [pytest.mark.image, pytest.mark.timeout(2400)]
CLASSES = list(CLASS_NAMES[:3])
PARAMETERS = {'model_name': 'yolov8_n', 'img_size': 96, 'max_epochs': 2, 'samples_per_gpu': 4, 'workers_per_gpu': 1}


def run(task, image):
    return run_in_container(task, image, user='12345:23456', options=['--network=none'])


def violations(task, **more):
    return [finding for finding in check_out(task.out_dir, task.in_dir, **more) if finding.ok is False]


def independent_violations(task):
    """What the platform would reject in the results that env.yaml asked for, by rules that import nothing of ours."""
    found = platform_rules.monitor_violations(task.monitor_file.read_text(), task.task_id)
    env = yaml.safe_load((task.in_dir / 'env.yaml').read_text())
    if env['run_training']:
        return found + platform_rules.result_yaml_violations(task.out_dir / 'models/result.yaml')
    candidates = (task.in_dir / 'candidate-index.tsv').read_text().splitlines()
    if env['run_mining']:
        found += platform_rules.mining_result_violations((task.out_dir / 'result.tsv').read_text(), candidates)
    if env['run_infer']:
        found += platform_rules.infer_result_violations((task.out_dir / 'infer-result.json').read_text(), candidates)
    return found


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    return generate(tmp_path_factory.mktemp('data'), num_images=24, num_classes=3, size_range=(96, 160))


@pytest.fixture(scope='module')
def training(image, images, tmp_path_factory):
    """A finished training and how it ended."""
    task = prepare_training(
        tmp_path_factory.mktemp('training') / 'work',
        CLASSES,
        images[:12],
        images[12:16],
        hyper_parameters('training', PARAMETERS),
        host=Host(in_container=True),
    )
    return task, run(task, image)


def test_training(training):
    task, outcome = training
    outcome.raise_for_failure('training')
    assert outcome.progress.percent == 1.0
    assert independent_violations(task) == []
    assert violations(task) == []
    assert {path.suffix for path in ModelStage.of_training(task).files} >= {'.pth', '.py'}
    assert list((task.out_dir / 'tensorboard').resolve().rglob('events.out.*'))


def test_mining_and_inference_in_one_run(training, image, images, tmp_path):
    trained, outcome = training
    outcome.raise_for_failure('training')
    broken = tmp_path / 'broken.jpg'
    broken.write_bytes(images[16].path.read_bytes()[:200])
    paths = [*(candidate.path for candidate in images[16:]), broken]
    task = prepare_candidates(
        tmp_path / 'work', paths, ModelStage.of_training(trained), mining=True, infer=True, host=Host(in_container=True)
    )
    before = listing(task.in_dir)
    run(task, image).raise_for_failure('mining and inference')

    assert independent_violations(task) == []
    assert violations(task, in_changes=changes_since(before, task.in_dir)) == []
    predictions = read_predictions(task.out_dir / 'infer-result.json', CLASSES)
    assert predictions[asset_id(broken)] == []
    assert asset_id(broken) in task.log_file.read_text()


def annotate_all(content):
    """Gives a function that damages a prepared task: every training annotation gets this content; None removes it."""

    def damage(task):
        for line in (task.in_dir / 'train-index.tsv').read_text().splitlines():
            path = task.work_dir / line.split('\t')[1][1:]
            path.unlink() if content is None else path.write_text(content)

    return damage


@pytest.mark.parametrize(
    'edits, damage, code, words',
    [
        ({'model_name': 'yolov8_huge'}, None, 300001, 'yolov8_huge'),
        ({'max_epochs': 'many'}, None, 300001, 'max_epochs'),
        ({}, lambda task: (task.in_dir / 'train-index.tsv').write_text(''), 300002, 'train set is empty'),
        ({}, annotate_all('7, 1, 2, 30, 40, -1.0, 0.0\n'), 300002, 'class index 7'),
        ({}, annotate_all('0, 30, 2, 1, 40, -1.0, 0.0\n'), 300002, 'inverted box'),
        ({}, annotate_all(None), 300002, 'missing annotation'),
    ],
    ids=['unknown model', 'bad value', 'empty set', 'wrong class', 'inverted box', 'missing annotation'],
)
def test_bad_input_is_explained_in_the_last_lines(image, images, tmp_path, edits, damage, code, words):
    task = prepare_training(
        tmp_path / 'work',
        CLASSES,
        images[:4],
        images[12:16],
        hyper_parameters('training', {**PARAMETERS, **edits}),
        host=Host(in_container=True),
    )
    if damage:
        damage(task)
    outcome = run(task, image)
    tail = ' '.join(outcome.tail)
    assert outcome.exit_code != 0
    assert (outcome.progress.state, outcome.progress.code) == (4, code), tail
    assert words in tail and str(code) in tail
    monitor = task.monitor_file.read_text()
    assert words in monitor and platform_rules.monitor_violations(monitor, task.task_id) == []


def test_no_weights(image, images, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text("model = dict(type='YOLODetector')\n")
    stage = ModelStage('best', (config,), {'class_names': CLASSES})
    task = prepare_candidates(tmp_path / 'work', [images[0].path], stage, infer=True, host=Host(in_container=True))
    outcome = run(task, image)
    assert outcome.exit_code != 0
    assert (outcome.progress.state, outcome.progress.code) == (4, 300004)
    assert '300004' in ' '.join(outcome.tail)
