"""Stages and files after each validation, and with an end of the process between any two changes on the disk."""

import math
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from tmi.checkpoint_io import load_checkpoint
from tmi.training.metrics import clean_metrics
from ymir_exc import settings
from ymir_exc.training_summary import TrainingSummary, read_training_summary, write_training_summary

from .hook_runs import CONFIG, Death, Killed, make_hook, make_runner, validate
from .platform import check_result, resumable_epoch, tiny_task


@pytest.fixture
def task(tmp_path, monkeypatch):
    task = tiny_task(tmp_path, 1, 0)
    monkeypatch.setattr(settings, 'DEFAULT_ENV_FILE_PATH', str(task.in_dir / 'env.yaml'))
    (task.out_dir / 'models' / CONFIG).write_text('model = dict()\n')
    return task


def stages_after(task, keep, values):
    """Stage to (epoch of its file, mAP) after a run with these validations."""
    runner, hook = make_runner(task), make_hook(keep)
    for value in values:
        validate(hook, runner, value)
    stages = check_result(task)['model_stages']
    return {name: (int(Path(stage['files'][0]).stem.split('_')[1]), stage['mAP']) for name, stage in stages.items()}


@pytest.mark.parametrize(
    'keep, values, expected',
    [
        (1, [0.1], {'best': (1, 0.1), 'last': (1, 0.1)}),
        (1, [0.1, 0.3, 0.2], {'best': (2, 0.3), 'last': (3, 0.2)}),
        (1, [0.0, 0.0], {'best': (2, 0.0), 'last': (2, 0.0)}),
        (1, [float('nan'), -1.0], {'best': (2, 0.0), 'last': (2, 0.0)}),
        (2, [0.1, 0.3, 0.2], {'best': (2, 0.3), 'last': (3, 0.2), 'epoch_3': (3, 0.2)}),
        (3, [0.1, 0.3, 0.2, 0.4, 0.0], {'best': (4, 0.4), 'last': (5, 0.0), 'epoch_2': (2, 0.3), 'epoch_3': (3, 0.2)}),
        (3, [0.5, 0.4, 0.3, 0.2], {'best': (1, 0.5), 'last': (4, 0.2), 'epoch_2': (2, 0.4), 'epoch_3': (3, 0.3)}),
        (2, [0.1, 0.2, 0.3, 0.4], {'best': (4, 0.4), 'last': (4, 0.4), 'epoch_3': (3, 0.3)}),
    ],
)
def test_stages(task, keep, values, expected):
    assert stages_after(task, keep, values) == expected
    assert check_result(task)['best_stage_name'] == 'best'
    files = {path.name for path in (task.out_dir / 'models').glob('epoch_*.pth')}
    assert files == {f'epoch_{epoch}.pth' for epoch, _ in expected.values()}


def test_at_most_as_many_stages_as_the_platform_takes(task):
    assert len(stages_after(task, 9, [index / 20 for index in range(15)])) == 10


def test_what_is_kept_survives_a_restart(task):
    runner = make_runner(task)
    for value in (0.1, 0.3):
        validate(make_hook(2), runner, value)
    validate(make_hook(2), runner, 0.2)
    assert set(check_result(task)['model_stages']) == {'best', 'last', 'epoch_3'}


def test_the_files(task):
    validate(make_hook(), make_runner(task), 0.25)
    models = task.out_dir / 'models'
    weights = torch.load(models / 'epoch_1.pth', weights_only=True)
    assert set(weights) == {'meta', 'state_dict'}
    assert (weights['meta']['mAP'], weights['meta']['epoch']) == (0.25, 1)
    assert set(load_checkpoint(models / 'resume.pth')) == {
        'meta',
        'state_dict',
        'message_hub',
        'optimizer',
        'param_schedulers',
    }
    assert (models / 'last_checkpoint').read_text() == str(models / 'resume.pth')
    assert check_result(task)['model_stages']['best']['files'] == ['epoch_1.pth', CONFIG]


@pytest.mark.parametrize('keep', [1, 3])
def test_an_end_between_any_two_changes_on_the_disk(task, keep, monkeypatch):
    """Renames and removals are all that changes; each of them is tried as the last thing that happens."""
    models = task.out_dir / 'models'
    values = [0.1, 0.3, 0.2]
    death = Death(monkeypatch)
    deaths, behind = 0, set()
    while True:
        death.changes_left = -1
        for path in (*models.glob('*'), *task.out_dir.glob('training-summary.json')):
            path.unlink()
        (models / CONFIG).write_text('model = dict()\n')
        runner, hook = make_runner(task), make_hook(keep)
        death.changes_left = deaths
        try:
            for value in values:
                validate(hook, runner, value)
        except Killed:
            deaths += 1
        else:
            break
        death.changes_left = -1
        summary = read_training_summary(task.out_dir)
        assert summary is None or summary.best_metrics == {'mAP': max(values[: summary.epoch])}
        if (models / 'result.yaml').exists():
            for stage in check_result(task)['model_stages'].values():
                load_checkpoint(models / stage['files'][0])
            behind.add(runner.epoch - resumable_epoch(task))
            # A restart goes on and ends in the same order.
            validate(make_hook(keep), runner, 0.9)
            assert read_training_summary(task.out_dir).best_epoch == runner.epoch
            named = {stage['files'][0] for stage in check_result(task)['model_stages'].values()}
            assert named == {path.name for path in models.glob('epoch_*.pth')}
        else:
            assert deaths <= 2
    assert deaths > 5 * len(values) and behind == {0, 1}


def test_a_resumed_training_does_not_take_over_the_plan_of_the_earlier_one(task):
    write_training_summary(task.out_dir, TrainingSummary(epochs=9, class_names=['one', 'two']))
    runner, hook = make_runner(task), make_hook()
    runner.message_hub.update_info('plan', {'epochs': 2, 'recipe': [['length', 'short']]})  # mmengine resumes both
    runner.message_hub.update_info('throughput', {'workers': 64})
    runner.epoch = runner.iter = 2
    hook.before_train(runner)
    validate(hook, runner, 0.1)
    summary = read_training_summary(task.out_dir)
    assert (summary.epoch, summary.epochs, summary.recipe, summary.throughput) == (3, 9, [], {})


def test_the_summary_after_each_validation(task):
    write_training_summary(task.out_dir, TrainingSummary(model='m', class_names=['two', 'one', '三'], seconds=100))
    runner, hook = make_runner(task, {'one': 0.2, 'two': math.nan}), make_hook()
    hook.before_train(runner)
    validate(hook, runner, 0.2)
    first = read_training_summary(task.out_dir)
    assert (first.model, first.epoch, first.best_epoch) == ('m', 1, 1)
    assert (first.best_metrics, first.best_class_ap) == ({'mAP': 0.2}, [None, 0.2, None])
    assert ['PyTorch', torch.__version__] in first.environment
    assert 100 <= first.seconds < 100 + time.time() - first.updated + 60
    runner.message_hub.update_info('throughput', {'waiting_share': 0.5})
    validate(hook, runner, 0.1)
    assert read_training_summary(task.out_dir) == replace(
        first,
        throughput={'waiting_share': 0.5},
        epoch=2,
        updated=hook.summary.summary.updated,
        seconds=hook.summary.summary.seconds,
    )
    hook = make_hook()  # of a training that was resumed
    hook.before_train(runner)
    validate(hook, make_runner(task, {}), 0.3)
    assert read_training_summary(task.out_dir).best_class_ap == []


@pytest.mark.parametrize(
    'patterns, files', [('', [CONFIG]), (r'\.txt$', ['notes.txt']), ('*.py', [CONFIG]), ('epoch_.*', [])]
)
def test_further_files_are_chosen_by_pattern_and_weights_always_stay(task, patterns, files):
    models = task.out_dir / 'models'
    (models / 'notes.txt').write_text('x')
    config = task.in_dir / 'config.yaml'
    config.write_text(yaml.safe_dump({**yaml.safe_load(config.read_text()), 'ymir_saved_file_patterns': patterns}))
    validate(make_hook(), make_runner(task), 0.5)
    assert check_result(task)['model_stages']['best']['files'] == ['epoch_1.pth', *files]


def test_metrics_stay_within_the_platforms_bounds():
    metrics = {
        'coco/bbox_mAP': 0.5,
        'coco/bbox_mAP_50': float('nan'),
        'coco/bbox_mAP_l': -1.0,
        'coco/bbox_mAP_s': 0.25,
        'other': 3.0,
    }
    assert clean_metrics(metrics) == {'mAP': 0.5, 'mAP_s': 0.25}
    assert clean_metrics({}) == clean_metrics({'coco/bbox_mAP': -1.0}) == {'mAP': 0.0}
