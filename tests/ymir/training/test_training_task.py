"""Real trainings through start.py on a few drawn images."""

import csv
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config

from mmyolo.utils.literal_config import read_literal_config
from tests.other_user import SOMEBODY, give_to_somebody
from tests.warm_python import warm_python
from tests.ymir.log_lines import noise
from tmi.checkpoint_io import load_checkpoint
from tmi.errors import TaskError
from tmi.mining.stats import load_stats, read_stats
from ymir import ymir_training
from ymir.errors import as_task_error, code_of
from ymir.output_paths import MODEL_FILES, TRAINING_FILES
from ymir_exc.errors import ExecutorError
from ymir_exc.label_check import LABELS_TO_CHECK_FILE, read_labels_to_check
from ymir_exc.reading import read_index, read_training_result
from ymir_exc.training_summary import read_training_summary
from ymir_local.platform.prepare import ModelStage

from .platform import (
    REPOSITORY,
    check_result,
    environment,
    in_this_process,
    read_monitor,
    resumable_epoch,
    run_start,
    tiny_task,
)

pytestmark = pytest.mark.integration


class Watcher:
    """Reads monitor.txt all the time, as the platform's daemon might."""

    def __init__(self, task):
        self.task, self.percents, self.stop = task, [], threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.stop.wait(0.02):
            self.percents.append(read_monitor(self.task)[0])

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """A training of three epochs that keeps the two best."""
    folder = tmp_path_factory.mktemp('finished')
    task = tiny_task(
        folder,
        max_epochs=3,
        max_keep_checkpoints=2,
        workers_per_gpu=1,
        check_labels=True,
        openpai_enable=True,
        max_iter=3,
        max_epoch=3,
    )
    give_to_somebody(task.monitor_file, 0o777)
    with Watcher(task) as watcher:
        done = run_start(task, folder, sys.executable)
    return task, done, watcher.percents


def test_the_result_fulfils_the_platforms_rules(finished):
    task, done, _ = finished
    assert done.returncode == 0, done.stdout
    result = check_result(task)
    assert result['evaluate_config'] == {'conf_thr': 0.001, 'iou_thr': 0.7}
    stages = result['model_stages']
    others = [name for name in stages if name not in ('best', 'last')]
    assert {'best', 'last'} < set(stages) and len(others) == 1 and others[0].startswith('epoch_')
    assert stages['last']['files'][0] == 'epoch_3.pth'
    assert stages['best']['mAP'] == max(stage['mAP'] for stage in stages.values()) == result['mAP']
    named = {stage['files'][0] for stage in stages.values()}
    assert named == {path.name for path in (task.out_dir / 'models').glob('epoch_*.pth')}


def test_progress_rises_to_one(finished):
    task, _, percents = finished
    assert percents == sorted(percents)
    assert percents[0] == 0 and any(0 < percent < 1 for percent in percents)
    assert read_monitor(task)[:3] == (1.0, 2, 0)
    status = task.monitor_file.stat()  # the platform made it, and its user writes it again
    assert (status.st_uid, oct(status.st_mode & 0o7777)) == (SOMEBODY, oct(0o777))


def test_the_log_shows_data_and_recipe_without_escape_codes(finished):
    text = finished[1].stdout
    assert '\x1b' not in text and 'Failed to search registry' not in text
    for words in ('images used', 'Recipe', 'warm-up', 'few for SGD', 'yolov8_n', 'from scratch', 'eta:'):
        assert words in text, words


def test_what_is_written_was_checked_before(finished):
    """Names that follow from the training are chosen so that they are free (`unused_name`)."""
    out = finished[0].out_dir
    written = {
        str(path.relative_to(out))
        for folder in ('.', 'models', 'ymir_dataset', 'ymir_training')
        for path in (out / folder).iterdir()
        if path.is_file()
    }
    named = ('epoch_', 'yolov8', 'mining_stats', 'labels-to-check')
    chosen = {path for path in written if path.startswith(tuple(f'models/{name}' for name in named))}
    others = {
        'monitor.txt',
        'preflight.csv',
        'skipped-images.tsv',
        'training-summary.json',
        'ymir-executor-out.log',
        'models/result.yaml',
    }
    assert written - chosen <= {*others, *TRAINING_FILES, *(f'models/{name}' for name in MODEL_FILES)}


def test_tables_and_pictures_of_the_best_model_are_attached(finished):
    """They are of the validation of the best epoch, whose predictions were kept, and say what the curves say."""
    task, done, _ = finished
    models = task.out_dir / 'models'
    attached = read_training_result(models).attachments['evaluation']
    folder = models / 'attachments/evaluation'
    assert {path.name for path in folder.iterdir()} == set(attached) and len(attached) == 9, done.stdout
    kept = read_training_summary(folder)
    assert kept == read_training_summary(task.out_dir)
    assert kept.best_weights == check_result(task)['model_stages']['best']['files'][0]
    assert [one['ap'] for one in kept.best_classes] == pytest.approx(kept.best_class_ap)
    objects = sum(one['validation_objects'] for one in kept.best_classes)
    assert objects == sum(val for _, val in kept.class_objects) == kept.best_threshold['tp'] + kept.best_threshold['fn']
    assert kept.settings['max_epochs'] == 3 and kept.settings['model_name'] == 'yolov8_n'
    assert len(kept.data_sha256['training']) == 64 and kept.data_sha256['training'] != kept.data_sha256['validation']
    rows = list(csv.DictReader((folder / 'curves.csv').read_text().splitlines()))
    assert [row['epoch'] for row in rows if not row['step']] == ['1', '2', '3'] and rows[0]['loss']
    assert max(float(row['mAP']) for row in rows if row['mAP']) == pytest.approx(kept.best_metrics['mAP'])
    assert Config.fromfile(folder / 'run_config.py').train_cfg.max_epochs == 3


def test_the_summary_tells_what_was_trained_and_how_well(finished):
    task, _, _ = finished
    summary = read_training_summary(task.out_dir)
    assert (summary.model, summary.config) == ('yolov8_n', 'yolov8_n_syncbn_fast_8xb16-500e_coco')
    assert (summary.class_names, summary.input_size) == (['one', 'two'], [64, 64])
    assert (summary.device, summary.processes, summary.precision) == ('cpu', 1, 'fp32')
    assert ['warm-up', '1 steps'] in summary.recipe and summary.recipe[0][0] == 'model'
    assert ['images used', 8, 4] in summary.data
    assert [sum(column) for column in zip(*summary.class_objects)] == next(
        row[1:] for row in summary.data if row[0] == 'boxes'
    )
    assert ['PyTorch', torch.__version__] in summary.environment
    assert (summary.epochs, summary.epoch) == (3, 3)
    assert 0 < summary.seconds <= summary.updated - summary.started <= time.time() - summary.started
    best = check_result(task)['model_stages']['best']
    assert best['files'][0] == f'epoch_{summary.best_epoch}.pth'
    assert summary.best_metrics == {
        name: value for name, value in best.items() if name not in ('stage_name', 'files', 'timestamp')
    }
    known = [value for value in summary.best_class_ap if value is not None]
    assert len(summary.best_class_ap) == 2 and sum(known) / len(known) == pytest.approx(best['mAP'], abs=1e-9)


def test_statistics_of_the_labelled_images_travel_with_the_best_weights(finished):
    task, done, _ = finished
    stages = check_result(task)['model_stages']
    added = ['mining_stats.npz', LABELS_TO_CHECK_FILE]
    with_stats = {stage['files'][0] for stage in stages.values() if stage['files'][2:] == added}
    without = {stage['files'][0] for stage in stages.values() if len(stage['files']) == 2}
    assert with_stats == {stages['best']['files'][0]} and len(without) == 1 and len(stages) == 3
    stats = read_stats(task.out_dir / 'models' / 'mining_stats.npz')
    summary = read_training_summary(task.out_dir)
    assert stats.class_names == ['one', 'two'] and stats.num_images == 8
    assert stats.num_boxes.tolist() == [training for training, _ in summary.class_objects]
    known = [math.nan if value is None else value for value in summary.best_class_ap]
    np.testing.assert_array_equal(stats.average_precision, known)
    assert 1 <= len(stats.centroids) <= 12 and stats.centroids.shape[1] == 128
    assert np.linalg.norm(stats.centroids.astype(float), axis=1) == pytest.approx(
        np.ones(len(stats.centroids)), abs=1e-2
    )
    assert 'examination of labelled images: 12 of 12 images' in done.stdout
    assert not (task.out_dir / 'predictions').exists()
    stage = ModelStage.of_training(task)
    assert (
        load_stats(list(map(str, stage.files)), '/', ['two', 'one'])[0].num_boxes.tolist()
        == stats.num_boxes.tolist()[::-1]
    )


def test_labels_that_the_model_contradicts_are_listed(finished):
    task, done, _ = finished
    rows = read_labels_to_check(task.out_dir / 'models' / LABELS_TO_CHECK_FILE)
    assert f'Labels to check: {len(rows)}, of which' in done.stdout
    images = {line.image for part in ('train', 'val') for line in read_index(task.in_dir / f'{part}-index.tsv')}
    assert {row.image for row in rows} <= images  # a model that has learned nothing has nothing to say
    assert {row.labelled for row in rows} | {row.predicted for row in rows} <= {'one', 'two', ''}


def test_every_line_of_the_log_is_of_use(finished):
    text = finished[1].stdout
    assert noise(text) == []
    assert [line.split(' WARNING ')[1] for line in text.splitlines() if ' WARNING ' in line][:2] == [
        'Unknown key in config.yaml: max_epoch; did you mean max_epochs?',
        'Unknown key in config.yaml: max_iter; it has no effect.',
    ]


def test_tensorboard_has_events(finished):
    assert list(finished[0].out_dir.joinpath('tensorboard').rglob('events*'))


def test_stage_files_are_small_and_say_what_they_are(finished):
    task, _, _ = finished
    models = task.out_dir / 'models'
    best = check_result(task)['model_stages']['best']
    weights = torch.load(models / best['files'][0], weights_only=True)
    assert set(weights) == {'meta', 'state_dict'}
    meta = weights['meta']
    assert meta['class_names'] == ['one', 'two'] and meta['model_name'] == 'yolov8_n' and meta['img_size'] == (64, 64)
    assert meta['mAP'] == best['mAP'] and meta['dataset_meta']['classes'] == ('one', 'two')
    config = read_literal_config(models / best['files'][1])
    assert config['model']['bbox_head']['head_module']['num_classes'] == 2
    assert Config.fromstring(meta['cfg'], '.py').to_dict() == config
    resume = load_checkpoint(models / 'resume.pth')
    # A checkpoint holds the averaged weights; the raw ones that training goes on from are beside them.
    assert (
        all(torch.equal(value, resume['state_dict'][name]) for name, value in weights['state_dict'].items())
        or best['files'][0] != 'epoch_3.pth'
    )
    assert {'optimizer', 'ema_state_dict', 'message_hub'} <= set(resume)


def test_a_trained_model_is_trained_further_and_its_classes_are_recognised(finished, tmp_path):
    from ymir_local.platform.prepare import hyper_parameters, prepare_training

    from .platform import TINY, tiny_data

    images = tiny_data(tmp_path / 'data', 6)
    task = prepare_training(
        tmp_path / 'task',
        ['two', 'three', 'one'],
        images[:4],
        images[4:],
        hyper_parameters('training', {**TINY, 'max_epochs': 1}),
        ModelStage.of_training(finished[0]),
    )
    done = run_start(task, tmp_path)
    assert done.returncode == 0, done.stdout
    check_result(task)
    assert 'mapped class by class (two, one)' in done.stdout
    assert 'few for SGD' not in done.stdout
    old = load_checkpoint(next((task.in_dir / 'models').rglob('*.pth')))['state_dict']
    new = load_checkpoint(task.out_dir / 'ymir_training' / 'initial_weights.pth')['state_dict']
    name = 'bbox_head.head_module.cls_preds.0.2.bias'
    assert torch.equal(new[name][[2, 0]], old[name])


def test_weights_of_another_model_are_rejected(finished, tmp_path, monkeypatch):
    from ymir_local.platform.prepare import hyper_parameters, prepare_training

    from .platform import tiny_data

    images = tiny_data(tmp_path / 'data', 2)
    task = prepare_training(
        tmp_path / 'task',
        ['one', 'two'],
        images[:1],
        images[1:],
        hyper_parameters('training', {'model_name': 'yolov5_n'}),
        ModelStage.of_training(finished[0]),
    )
    check_error(task, monkeypatch, 300004, 'set model_name to yolov8_n')


def check_error(task, monkeypatch, code, words):
    """The task's script alone, in this process."""
    in_this_process(task, monkeypatch)
    with pytest.raises((TaskError, ExecutorError), match=words) as caught:
        ymir_training.main()
    assert code_of(as_task_error(caught.value)) == code


def check_failure(task, done, code, words):
    """Exit status, monitor.txt and the last five lines tell the same."""
    assert done.returncode == 1, done.stdout
    lines = done.stdout.splitlines()[-5:]
    assert lines[0] == '---- the task failed ----' and lines[1].startswith(f'code:  {code} '), done.stdout
    assert words in lines[2]
    percent, state, found, message = read_monitor(task)
    assert (state, found) == (4, code) and words in message and percent < 1
    assert len(task.monitor_file.read_text().splitlines()) > 2


@pytest.mark.parametrize(
    'num_train, edits, code, words',
    [
        (1, {'model_name': 'yolov8_q'}, 300001, 'yolov8_n'),
        (1, {'samples_per_gpu': 'many'}, 300001, 'samples_per_gpu'),
        (0, {}, 300002, 'train set is empty'),
    ],
)
def test_what_is_wrong_before_the_training_has_a_code_and_a_sentence(
    tmp_path, monkeypatch, num_train, edits, code, words
):
    check_error(tiny_task(tmp_path, num_train, 1, **edits), monkeypatch, code, words)


@pytest.mark.parametrize(
    'option, code, words',
    [
        ('model.bbox_head.head_module.num_classes=7', 300001, 'num_classes is 7'),
        ('model.bbox_head.loss_bbox.loss_weight=1e300', 300201, 'not a number'),
    ],
)
def test_what_is_wrong_within_the_training_reaches_the_platform(tmp_path, option, code, words):
    task = tiny_task(tmp_path, 2, 1, cfg_options=option)
    check_failure(task, run_start(task, tmp_path), code, words)


def test_two_cpu_processes_train_together_and_hold_out_what_they_validate_on(tmp_path):
    task = tiny_task(tmp_path, 12, 0, max_epochs=1, cache='memory', augment_on='device')
    done = run_start(task, tmp_path, YMIR_CPU_PROCESSES='2')
    assert done.returncode == 0, done.stdout
    check_result(task)
    assert 'validation set is empty: 1 training images are validated on instead, and 11 are trained on' in done.stdout
    assert 'Image cache: memory, for all of 11 images' in done.stdout
    assert '1 epochs x 2 steps' in done.stdout  # 11 images in 2 processes with 4 each
    assert noise(done.stdout) == []


def check_out(task):
    """What the platform would find right now: monitor.txt and, once there is one, result.yaml with whole files."""
    read_monitor(task)
    models = task.out_dir / 'models'
    if (models / 'result.yaml').exists():
        for stage in check_result(task)['model_stages'].values():
            load_checkpoint(models / stage['files'][0])
            read_literal_config(models / stage['files'][1])
    if (models / 'resume.pth').exists():
        assert load_checkpoint(models / 'resume.pth')['meta']['epoch'] > 0


def wait_for(condition, process=None, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline and (process is None or process.poll() is None)
        time.sleep(0.01)


TRAINER = """
import os
os.setsid()
print(os.getpid(), flush=True)
import ymir.progress_hook, ymir.checkpoint_hook
from tools import train
train.main()
"""


@pytest.mark.slow
@pytest.mark.parametrize('kills', [3, 20])
def test_a_kill_at_any_instant_leaves_a_usable_result(kills, tmp_path):
    """The first kill goes through start.py, the others hit the training process, which has its imports behind it."""
    rng = random.Random(0)
    task = tiny_task(tmp_path, max_epochs=1000, max_keep_checkpoints=3, log_level='error')
    result = task.out_dir / 'models' / 'result.yaml'
    with open(tmp_path / 'log.txt', 'wb') as log:
        process = subprocess.Popen(
            [sys.executable, str(REPOSITORY / 'ymir' / 'start.py')],
            env=environment(task),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        wait_for(result.exists, process)
        time.sleep(rng.uniform(0, 1))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    check_out(task)

    config = task.out_dir / 'ymir_training' / 'run_config.py'
    command = [warm_python(), '-c', TRAINER, str(config), '--work-dir', str(task.out_dir / 'models'), '--resume']
    variables = environment(task, PYTHONPATH=str(REPOSITORY))
    epochs = []
    for _ in range(kills - 1):
        before = result.stat().st_mtime_ns
        with subprocess.Popen(
            command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as trainer:
            pid = int(trainer.stdout.readline())
            wait_for(lambda: result.stat().st_mtime_ns != before, trainer)
            time.sleep(rng.uniform(0, 1.5))
            os.killpg(pid, signal.SIGKILL)
        assert trainer.returncode == -signal.SIGKILL
        check_out(task)
        epochs.append(resumable_epoch(task))
    assert epochs == sorted(epochs), epochs  # every run went on from where the one before was killed

    config_file = task.in_dir / 'config.yaml'
    parameters = yaml.safe_load(config_file.read_text())
    config_file.write_text(yaml.safe_dump({**parameters, 'max_epochs': epochs[-1] + 1, 'args_options': '--resume'}))
    done = run_start(task, tmp_path)
    assert done.returncode == 0, done.stdout
    stages = check_result(task)['model_stages']
    assert resumable_epoch(task) == epochs[-1] + 1
    # Its file may be there already, named by result.yaml before the kill.
    assert stages['last']['files'][0].startswith(f'epoch_{epochs[-1] + 1}')
    assert not list((task.out_dir / 'models').glob('.*'))


def test_a_budget_that_is_too_short_ends_early_with_a_model(tmp_path):
    task = tiny_task(tmp_path, max_minutes=0.05, max_epochs=100)
    with Watcher(task) as watcher:
        done = run_start(task, tmp_path)
    assert done.returncode == 0, done.stdout
    assert 'max_minutes: 0.05 is too short for this task' in done.stdout
    assert 'The task took ' in done.stdout and ' of 0.05 minutes' in done.stdout
    check_result(task)
    summary = read_training_summary(task.out_dir)
    assert summary.epochs == summary.epoch == 2  # of 100: the first plan is made by then
    assert dict(summary.recipe)['length'] == '2 epochs x 2 steps = 4'
    assert watcher.percents == sorted(watcher.percents) and read_monitor(task)[0] == 1.0
    assert 'the time is over before the labelled images are examined' in done.stdout
    assert not (task.out_dir / 'models' / LABELS_TO_CHECK_FILE).exists()


@pytest.mark.slow
def test_two_processes_keep_to_one_plan_in_a_time_budget(tmp_path):
    task = tiny_task(tmp_path, 16, 4, max_minutes=1, workers_per_gpu='auto', val_interval='auto')
    done = run_start(task, tmp_path, YMIR_CPU_PROCESSES='2')
    assert done.returncode == 0, done.stdout
    assert read_monitor(task)[:3] == (1.0, 2, 0) and noise(done.stdout) == []
    assert 'Planned for 1 minutes: ' in done.stdout and ' of 1 minutes' in done.stdout
    check_result(task)
    # Both processes make each step of the plan, or one would wait for the other for ever.
    summary = read_training_summary(task.out_dir)
    meta = load_checkpoint(task.out_dir / 'models' / 'resume.pth')['meta']
    assert summary.epoch == summary.epochs == meta['epoch'] != 100
    assert dict(summary.recipe)['length'].startswith(f'{summary.epochs} epochs x 2 steps = ')
