"""What the user keeps of a training: attachments of the model, its summary and the ONNX file, and what may go wrong."""

import csv
import json
import logging
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
import yaml
from matplotlib.figure import Figure
from mmengine.config import Config

from mmyolo.evaluation.validation_result import ClassCurves, ValidationResult
from tests.ymir.vidt_models import random_model, small_config
from tmi.evaluation import curves
from tmi.families import family_of
from tmi.settings import TrainingSettings
from tmi.training import onnx_export
from tmi.training.data import TrainingData
from ymir import evaluation_files
from ymir.evaluation_files import write_evaluation
from ymir.training_summary import add_findings, data_sha256
from ymir.validations import Validations
from ymir_exc import settings
from ymir_exc.reading import read_training_result
from ymir_exc.training_result import write_attachments
from ymir_exc.training_summary import TrainingSummary, read_training_summary, write_training_summary

from .hook_runs import CONFIG, Death, Killed, make_hook, make_runner, validate
from .platform import check_result, tiny_task

ALL = {
    'classes.csv',
    'sample-predictions.jpg',
    'pr-curves.png',
    'confusion-matrix.csv',
    'confusion-matrix.png',
    'curves.csv',
    'curves.png',
    'run_config.py',
    'training-summary.json',
}


@pytest.fixture
def task(tmp_path, monkeypatch):
    task = tiny_task(tmp_path, 1, 0)
    monkeypatch.setattr(settings, 'DEFAULT_ENV_FILE_PATH', str(task.in_dir / 'env.yaml'))
    monkeypatch.setattr(settings, 'DEFAULT_CONFIG_FILE_PATH', str(task.in_dir / 'config.yaml'))
    (task.out_dir / 'models' / CONFIG).write_text('model = dict()\n')
    write_training_summary(task.out_dir, TrainingSummary(class_names=['one', '二'], class_objects=[[7, 2], [5, 1]]))
    return task


@pytest.fixture
def quick(monkeypatch):
    """Pictures that take no time to draw."""
    for module, names in ((evaluation_files.plots, ('draw_curves', 'draw_confusion')), (curves, ('draw_curves',))):
        for name in names:
            monkeypatch.setattr(module, name, lambda *_: Figure((1, 1), dpi=20))
    monkeypatch.setattr(evaluation_files.samples, 'draw_samples', lambda *_: np.zeros((9, 9, 3), np.uint8))


def validated(score=0.75):
    """Two objects of the first class, one of them found, and one of the second that is taken for the first."""
    first, second = [10.0, 10, 50, 50], [60.0, 10, 90, 60]
    found = [{'img_id': 1, 'bboxes': [first, second], 'scores': [score, 0.5], 'labels': [0, 0]}]
    objects = [(1, 0, first), (2, 0, first), (1, 1, second)]
    annotations = [
        {'image_id': image, 'category_id': label, 'bbox': [x, y, right - x, bottom - y], 'iscrowd': 0}
        for image, label, (x, y, right, bottom) in objects
    ]
    averages = ClassCurves(np.full((101, 2), 0.5), *np.full((3, 2), 0.5))
    return ValidationResult.of(found, annotations, {0: 0, 1: 1}, averages)


def train(task, results, epoch=0, values=None):
    """A training whose validations keep something, or from an epoch on one that is resumed."""
    runner, hook = make_runner(task), make_hook()
    runner.epoch = runner.iter = epoch
    hook.before_train(runner)
    for number, result in enumerate(results):
        runner.val_evaluator.metrics[0].validation_result = result
        validate(hook, runner, values[number] if values else 0.5 + number / 100)


def finish(task, tmp_path, deadline=None, **edits):
    """What follows the training."""
    images = []
    for number in (1, 2):
        path = tmp_path / f'{number}.png'
        cv2.imwrite(str(path), np.full((80, 100, 3), 90, np.uint8))
        images.append({'id': number, 'file_name': str(path), 'width': 100, 'height': 80})
    (tmp_path / 'val.json').write_text(json.dumps({'images': images, 'annotations': [], 'categories': []}))
    run_config = tmp_path / 'run_config.py'
    run_config.write_text('model = dict()\n')
    params = TrainingSettings(class_names=['one', '二'], **edits)
    data = TrainingData(tmp_path / 'val.json', tmp_path / 'val.json', ())
    models = task.out_dir / 'models'
    plan = SimpleNamespace(models_dir=models, data=data, params=params, class_names=('one', '二'), deadline=deadline)
    run = Config({'default_hooks': {'checkpoint': {'metric_prefix': 'coco/bbox_'}}})
    write_evaluation(plan, run, run_config)
    return models / 'attachments/evaluation'


def named(task):
    return set(read_training_result(task.out_dir / 'models').attachments.get('evaluation', ()))


def test_all_is_named_by_the_result_and_says_the_same(task, tmp_path):
    train(task, [None, validated()])
    before = check_result(task)
    folder = finish(task, tmp_path)
    assert named(task) == ALL == {path.name for path in folder.iterdir()}
    after = check_result(task)
    assert after.pop('attachments') and after == before  # nothing else has changed
    for name in ('pr-curves.png', 'confusion-matrix.png', 'curves.png', 'sample-predictions.jpg'):
        assert cv2.imread(str(folder / name)).size > 100_000
    rows = list(csv.DictReader((folder / 'classes.csv').read_text(encoding='utf-8').splitlines()))
    assert [row['class'] for row in rows] == ['one', '二', '(all)']
    assert [row['training_objects'] for row in rows] == ['7', '5', '12']
    summary = read_training_summary(task.out_dir)
    assert summary == read_training_summary(folder) and summary.best_weights == 'epoch_2.pth'
    one, two = summary.best_classes
    assert (one['name'], one['score_threshold'], one['tp'], one['fp'], one['fn']) == ('one', 0.75, 1, 0, 1)
    assert (one['precision'], one['recall'], one['f1'], one['ap']) == (1, 0.5, pytest.approx(2 / 3), 0.5)
    assert (two['name'], two['validation_objects'], two['f1'], two['score_threshold']) == ('二', 1, 0, None)
    assert summary.best_threshold['score_threshold'] == 0.75 and summary.best_threshold['fn'] == 2


def test_validations_go_with_their_weights(task):
    kept = task.out_dir / 'ymir_training/validations'
    train(task, [validated(0.75), validated(0.8), validated(0.9)], values=[0.3, 0.5, 0.4])
    assert {path.name for path in kept.iterdir()} == {'epoch_2.npz', 'epoch_3.npz'}  # the best and the last
    assert Validations(task.out_dir).read('epoch_2').scores[0] == np.float32(0.8)
    train(task, [None], epoch=3, values=[0.6])  # better, and nothing is known of it
    assert not list(kept.iterdir())


def test_a_kill_at_any_instant_leaves_the_validation_of_the_best_weights(task, monkeypatch):
    train(task, [validated(0.75)], values=[0.3])
    shutil.copytree(task.out_dir, task.out_dir.parent / 'earlier')
    death = Death(monkeypatch)
    seen = set()
    for changes in range(12):
        death.changes_left = -1
        shutil.rmtree(task.out_dir)
        shutil.copytree(task.out_dir.parent / 'earlier', task.out_dir)
        death.changes_left = changes
        try:
            train(task, [validated(0.9)], epoch=1, values=[0.5])
        except Killed:
            death.changes_left = -1
        weights = check_result(task)['model_stages']['best']['files'][0]
        score = Validations(task.out_dir).read(weights.removesuffix('.pth')).scores[0]
        assert score == np.float32({'epoch_1.pth': 0.75, 'epoch_2.pth': 0.9}[weights])
        seen.add(weights)
    assert len(seen) == 2


def test_no_room_for_a_validation_is_one_warning(task, monkeypatch, caplog):
    monkeypatch.setattr('ymir.validations.LEFT_FREE', 1 << 60)
    with caplog.at_level(logging.WARNING, 'ymir'):
        train(task, [validated(), validated()])
    assert caplog.text.count('predictions of a validation cannot be kept') == 1
    assert check_result(task)['model_stages']['best']['files'][0] == 'epoch_2.pth'


def test_what_cannot_be_made_is_named_and_costs_nothing_else(task, tmp_path, monkeypatch, caplog, quick):
    train(task, [validated()])
    monkeypatch.setattr(evaluation_files.plots, 'draw_curves', lambda *_: 1 / 0)
    monkeypatch.setattr(evaluation_files.samples, 'draw_samples', lambda *_: 1 / 0)
    with caplog.at_level(logging.WARNING, 'ymir'):
        finish(task, tmp_path)
    assert 'pr-curves.png could not be made: ' in caplog.text and 'sample-predictions.jpg could not' in caplog.text
    assert named(task) == ALL - {'pr-curves.png', 'sample-predictions.jpg'}


def test_without_the_validation_of_the_best_weights(task, tmp_path, caplog, quick):
    train(task, [None])
    with caplog.at_level(logging.WARNING, 'ymir'):
        finish(task, tmp_path)
    assert caplog.text.count('validation of the best model cannot be read') == 1
    assert named(task) == {'curves.csv', 'curves.png', 'run_config.py', 'training-summary.json'}
    assert read_training_summary(task.out_dir).best_classes == []


def test_a_damaged_validation_or_summary_is_no_failure(task, tmp_path, caplog, quick):
    train(task, [validated()])
    (task.out_dir / 'ymir_training/validations/epoch_1.npz').write_bytes(b'PK\x03\x04 cut off')
    (task.out_dir / 'training-summary.json').write_text('{')
    with caplog.at_level(logging.WARNING, 'ymir'):
        finish(task, tmp_path)
    assert 'cannot be read' in caplog.text and 'run_config.py' in named(task)
    (task.out_dir / 'models/result.yaml').write_text('{')
    with caplog.at_level(logging.WARNING, 'ymir'):
        finish(task, tmp_path)
    assert 'Tables and pictures of the best model could not be made' in caplog.text


def test_attachments_belong_to_the_training_that_made_them(task, tmp_path, quick):
    train(task, [validated()])
    folder = finish(task, tmp_path)
    train(task, [None], epoch=1, values=[0.9])  # better: nothing is known of it yet
    assert named(task) == set()
    summary = read_training_summary(task.out_dir)
    assert (summary.best_weights, summary.best_classes, summary.best_threshold, summary.onnx) == ('', [], {}, {})
    finish(task, tmp_path)
    assert {path.name for path in folder.iterdir()} == named(task) and 'pr-curves.png' not in named(task)


@pytest.mark.slow
def test_a_kill_at_any_instant_leaves_a_result_whose_files_are_all_there(task, tmp_path, monkeypatch, quick):
    """The first time, and again where an earlier attempt has named some; the next attempt names all."""
    train(task, [validated()])
    shutil.copytree(task.out_dir, task.out_dir.parent / 'earlier')
    death = Death(monkeypatch)
    for number in (None, 'pr-curves.png', 'old.csv'):
        attempts = 0
        while True:
            death.changes_left = -1
            shutil.rmtree(task.out_dir)
            shutil.copytree(task.out_dir.parent / 'earlier', task.out_dir)
            if number:
                folder = task.out_dir / 'models/attachments/evaluation'
                folder.mkdir(parents=True)
                (folder / number).write_text('earlier')
                write_attachments('evaluation', [number])
            death.changes_left = attempts
            try:
                finish(task, tmp_path)
            except Killed:
                death.changes_left = -1
            else:
                break
            attempts += 1
            assert named(task) in (ALL, {number} - {None})  # every file that is named exists, or this raises
            assert check_result(task)['model_stages']['best']['files'] == ['epoch_1.pth', CONFIG]
        death.changes_left = -1
        assert attempts > 8 and named(task) == ALL


def test_a_new_section_leaves_the_others(task):
    train(task, [None])
    models = task.out_dir / 'models'
    for section in ('one', 'two'):
        (models / 'attachments' / section).mkdir(parents=True)
        (models / 'attachments' / section / 'a.csv').write_text('a')
    assert write_attachments('one', ['a.csv', 'missing.csv']) == ['a.csv']
    assert write_attachments('two', ['a.csv']) == ['a.csv']
    assert check_result(task)['attachments'] == {'one': ['a.csv'], 'two': ['a.csv']}
    assert write_attachments('one', []) == [] and check_result(task)['attachments'] == {'two': ['a.csv']}


def test_the_form_of_old_protocols_has_no_attachments(task):
    env = task.in_dir / 'env.yaml'
    env.write_text(env.read_text().replace('protocol_version: 1.1.0', 'protocol_version: 0.0.1'))
    train(task, [None])
    before = (task.out_dir / 'models/result.yaml').read_text()
    assert write_attachments('one', ['a.csv']) == [] and (task.out_dir / 'models/result.yaml').read_text() == before


def test_equal_data_has_an_equal_hash(tmp_path):
    images = [{'id': k, 'file_name': f'/in/{k}.jpg', 'width': 5, 'height': 4} for k in (1, 2)]
    boxes = [{'image_id': k, 'category_id': 0, 'bbox': [k, 1, 2, 2], 'iscrowd': 0} for k in (1, 2)]

    def digest(images, boxes):
        (tmp_path / 'a.json').write_text(json.dumps({'images': images, 'annotations': boxes}))
        return data_sha256(tmp_path / 'a.json')

    first = digest(images, boxes)
    moved = [dict(image, id=3 - image['id'], file_name=image['file_name'].replace('/in', '/x')) for image in images]
    assert digest(moved[::-1], [dict(box, image_id=3 - box['image_id']) for box in boxes[::-1]]) == first
    changed = [dict(boxes[0], bbox=[1, 1, 2, 3]), boxes[1]]
    assert len({first, digest(images, changed), digest(images[:1], boxes[:1]), digest(images, boxes[:1])}) == 4


def replace_process(monkeypatch, run):
    """Let a function take the place of the process that exports."""
    stand_in = SimpleNamespace(run=run, TimeoutExpired=subprocess.TimeoutExpired)
    monkeypatch.setattr(onnx_export, 'subprocess', stand_in)


@pytest.fixture
def exported(task, tmp_path, monkeypatch, quick):
    """A trained model of random weights, and an export that runs in this process."""
    from tests.ymir.training.platform import TINY
    from tmi.training.config import TrainingTask, config_text, modify_mmengine_config
    from tmi.zoo.models import find_model
    from ymir.params import TrainingParams, load_params

    params = load_params(TrainingParams, {**TINY, 'class_names': ['one', '二']})
    model = find_model('yolov8_n')
    data = TrainingData(tmp_path / 'a.json', tmp_path / 'a.json', ((96, 64),) * 8)
    plan = TrainingTask(params, model, data, 1, 'cpu', tmp_path, tmp_path)
    package = modify_mmengine_config(Config.fromfile(model.config), plan).package
    (task.out_dir / 'models' / CONFIG).write_text(config_text(package, tmp_path / CONFIG), encoding='utf-8')

    from mmyolo.registry import MODELS
    from mmyolo.utils import register_all_modules

    register_all_modules()
    torch.manual_seed(0)
    detector = MODELS.build(package.model)
    for parameter in detector.bbox_head.parameters():  # so that scores differ
        torch.nn.init.normal_(parameter, std=0.3) if parameter.dim() > 1 else torch.nn.init.zeros_(parameter)
    train(task, [validated()])
    checkpoint = {'meta': {'dataset_meta': {'classes': ['one', '二']}}, 'state_dict': detector.state_dict()}
    torch.save(checkpoint, task.out_dir / 'models/epoch_1.pth')
    add_findings(task.out_dir, input_size=[64, 64])

    def here(command, **options):
        monkeypatch.setattr('sys.argv', command[2:])
        onnx_export.main()
        return SimpleNamespace(returncode=0, stderr='')

    replace_process(monkeypatch, here)
    return task


def test_the_onnx_file_stands_beside_its_weights_and_gives_the_boxes_of_pytorch(exported, tmp_path, caplog):
    from mmyolo.tools.export import OnnxDetector

    with caplog.at_level(logging.INFO, 'ymir'):
        finish(exported, tmp_path, export_onnx=True)
    stages = check_result(exported)['model_stages']
    assert [stage['files'] for stage in stages.values()] == [['epoch_1.pth', CONFIG, 'model.onnx']] * 2
    found = read_training_summary(exported.out_dir).onnx
    assert found['file'] == 'model.onnx' and found['boxes'] > 10
    assert found['box_difference'] < 0.1 and found['score_difference'] < 1e-3
    assert f'finds the {found["boxes"]} boxes' in caplog.text
    detector = OnnxDetector(exported.out_dir / 'models/model.onnx')
    assert detector.classes == ['one', '二'] and detector.metadata['input_size'] == [64, 64]
    assert detector.metadata['nms']['score_threshold'] == 0.001 and detector.metadata['nms']['iou_threshold'] == 0.7


@pytest.mark.parametrize(
    'words, fault',
    [
        ('a detector with one stage is needed', lambda task, patch: _write(task, CONFIG, 'model = dict()\n')),
        ('the package onnx', lambda task, patch: patch.setitem(sys.modules, 'onnx', None)),
        ('do not fit', lambda task, patch: _write(task, CONFIG, _text(task).replace('0.125', '0.25'))),
        pytest.param(
            'ONNX Runtime finds',
            lambda task, patch: patch.setattr('mmyolo.tools.export.check.MAX_SCORE_DIFFERENCE', -1.0),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_an_export_that_fails_is_a_warning_and_the_weights_stay(exported, tmp_path, monkeypatch, caplog, words, fault):
    fault(exported, monkeypatch)
    with caplog.at_level(logging.WARNING, 'ymir'):
        finish(exported, tmp_path, export_onnx=True)
    (record,) = [record for record in caplog.records if 'export_onnx' in record.message]
    assert 'epoch_1.pth could not be exported, its weights are kept' in record.message
    assert words in record.message, record.message
    assert check_result(exported)['model_stages']['best']['files'] == ['epoch_1.pth', CONFIG]
    assert read_training_summary(exported.out_dir).onnx == {} and named(exported) == ALL
    assert not (exported.out_dir / 'ymir_training/onnx').exists()


@pytest.mark.parametrize('code, words', [(-11, 'ended by SIGSEGV'), (1, 'failed: last')])
def test_an_export_that_crashes_is_a_warning(task, tmp_path, monkeypatch, caplog, quick, code, words):
    train(task, [validated()])
    done = SimpleNamespace(returncode=code, stderr='first\nlast\n')
    replace_process(monkeypatch, lambda *_, **__: done)
    with caplog.at_level(logging.WARNING, 'ymir'):
        finish(task, tmp_path, export_onnx=True)
    assert f'epoch_1.pth could not be exported, its weights are kept: its process {words}' in caplog.text.replace(
        'process was', 'process'
    )
    assert named(task) == ALL and not (task.out_dir / 'ymir_training/onnx').exists()


def test_a_time_budget_bounds_the_export(task, tmp_path, monkeypatch, caplog, quick):
    train(task, [validated()])

    def run(command, timeout, **options):
        assert 30 < timeout <= 60 - evaluation_files.SECONDS_TO_WRITE
        raise subprocess.TimeoutExpired(command, timeout)

    replace_process(monkeypatch, run)
    with caplog.at_level(logging.WARNING, 'ymir'):
        finish(task, tmp_path, time.monotonic() + 60, export_onnx=True)
    assert 'it did not end within' in caplog.text and named(task) == ALL
    folder = finish(task, tmp_path, time.monotonic() + 1)
    assert 'the time is over before tables and pictures' in caplog.text and len(list(folder.iterdir())) == len(ALL)


def test_an_export_that_nothing_can_be_compared_on_is_a_warning(task, tmp_path, monkeypatch, caplog, quick):
    train(task, [validated()])

    def run(command, **options):
        (Path(command[-1]) / 'report.json').write_text(json.dumps({'boxes': 0, 'passed': True}))
        return SimpleNamespace(returncode=0, stderr='')

    replace_process(monkeypatch, run)
    with caplog.at_level(logging.WARNING, 'ymir'):
        finish(task, tmp_path, export_onnx=True)
    assert 'its weights are kept: PyTorch finds no box' in caplog.text
    assert check_result(task)['model_stages']['best']['files'] == ['epoch_1.pth', CONFIG]


@pytest.mark.slow
def test_models_without_suppression_are_exported_too(tmp_path):
    import onnxruntime

    config = small_config()
    model = random_model(config).eval()
    image = np.random.default_rng(0).integers(0, 255, (48, 80, 3), dtype=np.uint8)
    report = family_of(config.model).export_onnx(model, tmp_path / 'a.onnx', (96, 64), image)
    assert report.passed and report.boxes > 10
    session = onnxruntime.InferenceSession(str(tmp_path / 'a.onnx'), providers=['CPUExecutionProvider'])
    assert session.get_inputs()[0].shape[1:] == [3, 64, 96]


def _write(task, name, text):
    (task.out_dir / 'models' / name).write_text(text, encoding='utf-8')


def _text(task):
    return (task.out_dir / 'models' / CONFIG).read_text(encoding='utf-8')


def test_patterns_leave_the_onnx_file_out(task, tmp_path, monkeypatch, quick):
    train(task, [validated()])
    config = task.in_dir / 'config.yaml'
    parameters = yaml.safe_load(config.read_text())
    config.write_text(yaml.safe_dump({**parameters, 'ymir_saved_file_patterns': r'\.py$'}))
    monkeypatch.setattr(
        evaluation_files, 'export', lambda task, folder, limit: (folder / 'model.onnx').write_text('x') and {'boxes': 1}
    )
    finish(task, tmp_path, export_onnx=True)
    assert 'model.onnx' not in str(check_result(task)['model_stages'])
    assert not (task.out_dir / 'models/model.onnx').exists() and read_training_summary(task.out_dir).onnx == {}
