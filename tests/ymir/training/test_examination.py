"""What follows a training: files that are made after the weights, their place in result.yaml, and what may go wrong."""

import json
import logging
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from tmi.errors import ModelError
from tmi.inference import supervise
from tmi.inference.embeddings import EmbeddingWriter
from tmi.inference.shards import Prediction, ShardWriter
from tmi.inference.supervise import _environment
from tmi.labels import check
from tmi.mining.stats import read_stats
from tmi.settings import TrainingSettings
from tmi.training.data import TrainingData
from tmi.training.examination import ChosenImages, Examination, examine
from tmi.training.mining_stats import detections, fit_stats
from ymir import examination
from ymir.stage_files import write_later_file
from ymir_exc import settings
from ymir_exc.label_check import read_labels_to_check
from ymir_exc.training_result import add_model_file, write_model_stage

from .hook_runs import CONFIG, Death, Killed, make_hook, make_runner, validate
from .platform import check_result, read_monitor, tiny_task

STATS = 'mining_stats.npz'
TABLE = 'labels-to-check.csv'


@pytest.fixture
def task(tmp_path, monkeypatch):
    task = tiny_task(tmp_path, 1, 0)
    monkeypatch.setattr(settings, 'DEFAULT_ENV_FILE_PATH', str(task.in_dir / 'env.yaml'))
    monkeypatch.setattr(settings, 'DEFAULT_CONFIG_FILE_PATH', str(task.in_dir / 'config.yaml'))
    (task.out_dir / 'models' / CONFIG).write_text('model = dict()\n')
    return task


def train(task, values, keep=2, epoch=0):
    """A training, or from an epoch on one that is resumed."""
    runner, hook = make_runner(task), make_hook(keep)
    runner.epoch = runner.iter = epoch
    hook.before_train(runner)
    for value in values:
        validate(hook, runner, value)


def write(task, content):
    """Write the later file of the best stage."""
    weights = check_result(task)['model_stages']['best']['files'][0]
    return write_later_file(STATS, weights, lambda stream: stream.write(content))


def files(task):
    """Stage to names of files and the content of the statistics."""
    models = task.out_dir / 'models'
    return {
        name: (stage['files'], *((models / file).read_bytes() for file in stage['files'] if file.endswith('.npz')))
        for name, stage in check_result(task)['model_stages'].items()
    }


def test_the_file_is_named_by_each_stage_of_its_weights_and_goes_with_the_last(task):
    models = task.out_dir / 'models'
    train(task, [0.3, 0.5])
    before = check_result(task)
    assert write(task, b'first').name == STATS
    assert files(task) == {
        'epoch_1': (['epoch_1.pth', CONFIG],),
        'last': (['epoch_2.pth', CONFIG, STATS], b'first'),
        'best': (['epoch_2.pth', CONFIG, STATS], b'first'),
    }
    after = check_result(task)
    for stage in (*before['model_stages'].values(), *after['model_stages'].values()):
        del stage['files']
    assert after == before  # nothing else has changed
    train(task, [0.4], epoch=2)  # resumed, and not better
    assert write(task, b'again').name == STATS
    assert files(task)['best'] == (['epoch_2.pth', CONFIG, STATS], b'again')
    assert files(task)['last'] == (['epoch_3.pth', CONFIG],)
    train(task, [0.9], epoch=3)  # better: the other one is still there and keeps its file
    assert files(task)['epoch_2'] == (['epoch_2.pth', CONFIG, STATS], b'again')
    assert write(task, b'second').name == 'mining_stats_2.npz'
    assert files(task)['epoch_2'] == (['epoch_2.pth', CONFIG, STATS], b'again')
    assert files(task)['best'] == (['epoch_4.pth', CONFIG, 'mining_stats_2.npz'], b'second')
    train(task, [0.95, 0.96], epoch=4)
    assert not list(models.glob('*.npz'))  # no stage names their weights


def test_a_new_training_takes_the_place_of_files_of_the_earlier_one(task):
    models = task.out_dir / 'models'
    train(task, [0.3])
    write(task, b'earlier')
    train(task, [0.2])
    assert not (models / STATS).exists()
    (models / 'best').mkdir()
    (models / 'best' / STATS).write_bytes(b'in a folder, where the platform looks first')
    assert write(task, b'new').name == 'mining_stats_2.npz'
    assert files(task)['best'][1] == b'new'


def test_patterns_leave_it_out_and_never_give_it_to_other_weights(task):
    config = task.in_dir / 'config.yaml'
    parameters = yaml.safe_load(config.read_text())
    config.write_text(yaml.safe_dump({**parameters, 'ymir_saved_file_patterns': r'\.py$,\.npz$'}))
    train(task, [0.3])
    write(task, b'first')
    train(task, [0.2], epoch=1)
    assert [stage[0][2:] for stage in files(task).values()] == [[STATS], [], []]
    config.write_text(yaml.safe_dump({**parameters, 'ymir_saved_file_patterns': r'\.py$'}))
    train(task, [0.2])
    assert write(task, b'second') is None and not list((task.out_dir / 'models').glob('*.npz'))


def test_a_kill_at_any_instant_leaves_a_whole_result(task, monkeypatch):
    models = task.out_dir / 'models'
    train(task, [0.3, 0.5])
    shutil.copytree(models, models.parent / 'earlier')
    death = Death(monkeypatch)
    outcomes = set()
    for changes in range(4):
        death.changes_left = -1
        shutil.rmtree(models)
        shutil.copytree(models.parent / 'earlier', models)
        death.changes_left = changes
        try:
            write(task, b'content')
        except Killed:
            death.changes_left = -1
        found = files(task)
        assert found['best'] in ((['epoch_2.pth', CONFIG],), (['epoch_2.pth', CONFIG, STATS], b'content'))
        outcomes.add(len(found['best']))
    assert outcomes == {1, 2}


def test_the_form_of_old_protocols_names_it_too(task):
    env = task.in_dir / 'env.yaml'
    env.write_text(env.read_text().replace('protocol_version: 1.1.0', 'protocol_version: 0.0.1'))
    models = task.out_dir / 'models'
    (models / 'a.pth').write_text('weights')
    (models / 'extra.bin').write_text('x')
    write_model_stage('best', ['a.pth', CONFIG], mAP=0.5)
    assert add_model_file('extra.bin', 'a.pth') == ['']
    assert yaml.safe_load((models / 'result.yaml').read_text()) == {'model': ['a.pth', CONFIG, 'extra.bin'], 'map': 0.5}
    assert add_model_file('extra.bin', 'other.pth') == []


def coco(path, boxes):
    """A file of images, each with its (class, x, y, w, h), a negative class for a crowd."""
    annotations = [
        {'image_id': number, 'category_id': abs(label) - 1, 'bbox': [x, y, w, h], 'iscrowd': int(label < 0)}
        for number, image in enumerate(boxes, 1)
        for label, x, y, w, h in image
    ]
    images = [{'id': number, 'file_name': f'/{path.stem}/{number}.jpg'} for number in range(1, len(boxes) + 1)]
    path.write_text(json.dumps({'images': images, 'annotations': annotations}))
    return path


def test_images_of_a_large_set_are_drawn_evenly_with_their_own_labels(tmp_path):
    train_file = coco(tmp_path / 'train.json', [[(1, number, 0, 5, 5)] for number in range(1, 1001)])
    val_file = coco(tmp_path / 'val.json', [[(2, 7, 0, 5, 5)], []])
    data = TrainingData(train_file, val_file, ())
    chosen = ChosenImages(data, seed=0, max_images=300)
    numbers = [int(path.split('/')[2][:-4]) for path in chosen.paths[:300]]
    assert chosen.num_training == 300 and chosen.paths[300:] == ['/val/1.jpg', '/val/2.jpg'] and len(chosen) == 302
    assert set(np.diff(numbers)) == {3, 4} and 1 <= numbers[0] <= 4 and numbers[-1] >= 996
    assert [labels.boxes[0].tolist() for labels in chosen.labels[:300]] == [[n, 0, n + 5, 5] for n in numbers]
    assert [labels.classes.tolist() for labels in chosen.labels[300:]] == [[1], []]
    assert ChosenImages(data, seed=0, max_images=300).paths == chosen.paths
    assert ChosenImages(data, seed=1, max_images=300).paths != chosen.paths
    assert len(ChosenImages(data).paths) == 1002


@pytest.fixture
def examined(tmp_path):
    """Two training and three validation images with what two processes found in them; the last cannot be read."""
    box, other = (1, 10, 10, 20, 20), (2, 50, 50, 10, 10)
    data = TrainingData(
        coco(tmp_path / 'train.json', [[box], [box, other, (-1, 0, 0, 90, 90)]]),
        coco(tmp_path / 'val.json', [[box, other], [(-1, 0, 0, 80, 80)], [box]]),
        (),
    )
    hit, miss, inside = [11, 10, 30, 30], [60, 10, 80, 30], [5, 5, 9, 9]
    found = [
        ([hit], [0.9], [0], [7]),
        ([], [], [], []),
        ([hit, hit, miss, hit], [0.9, 0.8, 0.3, 0.02], [0, 0, 1, 0], [7, 7, 2, 1]),
        ([inside, hit], [0.6, 0.5], [0, 1], [3, 1]),
        None,
    ]
    folder = tmp_path / 'predictions'
    folder.mkdir()
    for rank in range(2):
        writer, embeddings = ShardWriter(folder, rank), EmbeddingWriter(folder, rank)
        for index in range(rank, 5, 2):
            if found[index] is None:
                writer.write([Prediction(index, 'x', problem='broken')])
                embeddings.write([None])
                continue
            boxes, scores, labels, support = found[index]
            spread = [0.0] * len(boxes)
            writer.write([Prediction(index, 'x', (90, 90), boxes, scores, labels, support=support, spread=spread)])
            embeddings.write([np.eye(5, 128)[index]])
    chosen = ChosenImages(data)
    return data, Examination(folder, 2, chosen.labels, chosen.num_training)


def test_detections_of_the_validation_images_are_right_or_wrong(examined):
    _, found = examined
    labels, scores, support, right = detections(image for image in found if not image.is_training)
    assert labels.tolist() == [0, 0, 1, 1]  # not below the threshold, not on a crowd
    assert scores.tolist() == [0.9, 0.8, 0.3, 0.5] and support.tolist() == [7, 7, 2, 1]
    assert right.tolist() == [True, False, False, False]  # each label is found once


def test_statistics_of_an_examination(examined):
    data, found = examined
    stats = fit_stats(found, data, ['one', 'two', 'three'], [0.5, None, 0.25])
    assert stats.num_images == 2 and stats.num_boxes.tolist() == [2, 1, 0]  # a crowd is no box
    np.testing.assert_array_equal(stats.average_precision, [0.5, np.nan, 0.25])
    assert np.isnan(stats.calibration).all() and np.isnan(stats.calibration_all).all()  # four detections are too few
    assert sorted(stats.centroids.argmax(axis=1).tolist()) == [0, 1, 2, 3]  # the last image cannot be read
    np.testing.assert_array_equal(fit_stats(found, data, ['one', 'two', 'three']).average_precision, [np.nan] * 3)


def test_the_processes_run_on_the_devices_of_the_training(tmp_path, monkeypatch):
    """The training has made GPUs 4 and 2 of the machine, numbers 1 and 2 here, the only ones to be seen."""
    data = TrainingData(coco(tmp_path / 'train.json', [[], []]), coco(tmp_path / 'val.json', [[]]), ())
    (tmp_path / 'a.pth').write_text('')
    (tmp_path / 'a.py').write_text('')
    params = TrainingSettings(class_names=['one'], gpu_id='1,2', workers_per_gpu=3, precision='fp32', img_size=64)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '4,2')
    plans = []
    monkeypatch.setattr('tmi.training.examination.predict', lambda plan, *_: plans.append(plan))
    monkeypatch.setattr('tmi.training.examination.Examination', lambda *_: None)
    examine(params, [tmp_path / 'a.pth', tmp_path / 'a.py'], ChosenImages(data), tmp_path / 'p', lambda done: None)
    (plan,) = plans
    assert (plan.checkpoint, plan.config) == (str(tmp_path / 'a.pth'), str(tmp_path / 'a.py'))
    assert (plan.num_images, plan.world_size, plan.workers, plan.precision) == (3, 2, 3, 'fp32')
    assert plan.image_size is None and plan.score_thr == 0.01  # the size of the package, which is that of the training
    visible = [_environment(plan, rank, '')['CUDA_VISIBLE_DEVICES'] for rank in range(2)]
    assert visible == ['4', '2']


def training(task, tmp_path):
    data = TrainingData(coco(tmp_path / 'train.json', [[]]), coco(tmp_path / 'val.json', [[]]), ())
    params = SimpleNamespace(seed=0, check_labels=True)
    return SimpleNamespace(
        models_dir=task.out_dir / 'models', data=data, params=params, class_names=('one', 'two'), deadline=None
    )


def test_a_failure_is_a_warning_and_the_model_stays(task, tmp_path, monkeypatch, caplog):
    train(task, [0.3])
    record = tmp_path / 'error.json'
    monkeypatch.setenv('TMI_ERROR_FILE', str(record))
    before = check_result(task)

    def fail(params, weights, chosen, folder, on_progress):
        folder.mkdir()
        record.write_text('of a predicting process')
        on_progress(1)
        raise ModelError('no finite numbers')

    monkeypatch.setattr(examination, 'examine', fail)
    with caplog.at_level(logging.WARNING, 'ymir'):
        examination.examine_labelled_images(training(task, tmp_path))
    assert 'could not be examined' in caplog.text and 'no finite numbers' in caplog.text
    assert check_result(task) == before and not record.exists() and not (task.out_dir / 'predictions').exists()


def test_a_predicting_process_that_is_killed_costs_the_later_files_alone(task, tmp_path, monkeypatch, caplog):
    train(task, [0.3])
    before = check_result(task)
    killed = tmp_path / 'python'
    killed.write_text('#!/bin/sh\nkill -9 $$\n')
    killed.chmod(0o700)
    monkeypatch.setattr(supervise, 'sys', SimpleNamespace(executable=str(killed)))
    plan = training(task, tmp_path)
    plan.params = TrainingSettings(class_names=['one', 'two'], workers_per_gpu=0)
    with caplog.at_level(logging.WARNING, 'ymir'):
        examination.examine_labelled_images(plan)
    assert caplog.text.count('could not be examined') == 1 and 'The predicting process 0 was killed' in caplog.text
    assert check_result(task) == before and not (task.out_dir / 'predictions').exists()


def test_the_best_weights_look_at_the_images(task, tmp_path, monkeypatch, examined):
    train(task, [0.5, 0.3])
    seen = []

    def look(params, weights, chosen, folder, on_progress):
        on_progress(1)
        seen.append(([path.name for path in weights], chosen.paths, read_monitor(task)[0]))
        return examined[1]

    monkeypatch.setattr(examination, 'examine', look)
    examination.examine_labelled_images(training(task, tmp_path))
    assert seen == [(['epoch_1.pth', CONFIG], ['/train/1.jpg', '/val/1.jpg'], 0.98)]  # half of its 3 %
    assert files(task)['best'][0][2:] == [STATS, TABLE] and files(task)['last'][0][2:] == []
    assert read_stats(task.out_dir / 'models' / STATS).class_names == ['one', 'two']
    assert read_monitor(task)[0] == 1


def test_what_the_model_contradicts_is_in_the_table(task, tmp_path, monkeypatch, examined, caplog):
    """Of the images of `examined`, with names of the classes and boxes as the user labelled them."""
    train(task, [0.5])
    monkeypatch.setattr(examination, 'examine', lambda *_: examined[1])
    monkeypatch.setattr(check, 'LEAST_DOUBT', 0.0)
    with caplog.at_level(logging.INFO, 'ymir'):
        examination.examine_labelled_images(training(task, tmp_path))
    rows = read_labels_to_check(task.out_dir / 'models' / TABLE)
    assert f'Labels to check: {len(rows)}, of which' in caplog.text
    assert [row.score for row in rows] == sorted((row.score for row in rows), reverse=True)
    found = {(row.part, row.kind, row.labelled, row.predicted, row.label_box, row.predicted_box) for row in rows}
    one, two = (10, 10, 20, 20), (50, 50, 10, 10)
    assert found == {
        ('training', 'loose', 'one', 'one', one, (11, 10, 19, 20)),
        ('training', 'extra', 'one', '', one, None),
        ('training', 'extra', 'two', '', two, None),
        ('validation', 'loose', 'one', 'one', one, (11, 10, 19, 20)),
        ('validation', 'missing', '', 'two', None, (60, 10, 20, 20)),
        ('validation', 'extra', 'two', '', two, None),
    }


def test_one_file_that_cannot_be_written_costs_no_other(task, tmp_path, monkeypatch, examined, caplog):
    train(task, [0.5])
    monkeypatch.setattr(examination, 'examine', lambda *_: examined[1])
    monkeypatch.setattr(examination, 'fit_stats', lambda *_: 1 / 0)
    with caplog.at_level(logging.WARNING, 'ymir'):
        examination.examine_labelled_images(training(task, tmp_path))
    assert 'mining_stats.npz could not be written: ' in caplog.text
    assert files(task)['best'][0][2:] == [TABLE]


def test_no_table_unless_it_is_asked_for(task, tmp_path, monkeypatch, examined):
    train(task, [0.5])
    monkeypatch.setattr(examination, 'examine', lambda *_: examined[1])
    plan = training(task, tmp_path)
    plan.params.check_labels = False
    examination.examine_labelled_images(plan)
    assert files(task)['best'][0][2:] == [STATS]


def test_a_table_goes_with_its_weights(task):
    train(task, [0.3])
    weights = check_result(task)['model_stages']['best']['files'][0]
    assert write_later_file(TABLE, weights, lambda stream: stream.write(b'first')).name == TABLE
    train(task, [0.4], epoch=1)
    assert write_later_file(TABLE, 'epoch_2.pth', lambda stream: stream.write(b'x')).name == 'labels-to-check_2.csv'
    train(task, [0.5, 0.6], epoch=2)
    assert not list((task.out_dir / 'models').glob('*.csv'))
