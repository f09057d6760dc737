"""Runs that are unusual and right: nothing is said of them."""

import json
import shutil

import pytest
import yaml

from tests.ymir_local.check import runs
from tests.ymir_local.check.planted import infer, monitor, result
from ymir_local.check import check_out
from ymir_local.check.template_rules import SHM_SIZE


def failed(findings):
    return {finding.rule for finding in findings if finding.ok is False}


def edit_yaml(path, **changes):
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}, allow_unicode=True))


@pytest.mark.parametrize(
    'class_names, written',
    [
        (['1', 'no'], ['1', 'No']),
        ([1, 2.5], ['1', '2.5']),  # as a hand-written config.yaml may have them
        (['äpfel', 'штаб'], ['ÄPFEL', ' Штаб ']),
        (['traffic light', 'person: standing'], ['Traffic Light', 'person: standing']),
        (['猫', '狗 (大)'], ['猫', '狗 (大)']),
    ],
    ids=str,
)
def test_names_of_classes(class_names, written, tmp_path, images):
    task = runs.make('infer', tmp_path / 'work', images)
    edit_yaml(task.in_dir / 'config.yaml', class_names=class_names)

    def rename(found, first, _):
        for box, name in zip(found[first]['boxes'], written):
            box['class_name'] = name

    infer(rename)(task)
    assert failed(check_out(task.out_dir, task.in_dir)) == set()


@pytest.mark.parametrize('kind', ('training', 'mining+infer'))
@pytest.mark.parametrize('state', ['not begun', 'half'])
def test_a_run_that_was_stopped(kind, state, tmp_path, images):
    task = runs.make(kind, tmp_path / 'work', images)
    if state == 'not begun':
        monitor(c3='0.00', c4='1')(task)
        for name in ('models', 'tensorboard'):
            for entry in (task.out_dir / name).iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        for name in ('result.tsv', 'infer-result.json'):
            (task.out_dir / name).unlink(missing_ok=True)
    else:  # what was written stands, nothing more
        monitor(c3='0.40')(task)
        (task.out_dir / 'infer-result.json').unlink(missing_ok=True)
    assert failed(check_out(task.out_dir, task.in_dir, stopped=True)) == set()
    assert failed(check_out(task.out_dir, task.in_dir)) != set()


def test_what_a_stopped_run_leaves_must_be_right(tmp_path, images):
    task = runs.make('training', tmp_path / 'work', images)
    (task.out_dir / 'models/epoch_1.pth').unlink()
    assert failed(check_out(task.out_dir, task.in_dir, stopped=True)) == {'training/file-exists'}


@pytest.mark.parametrize('kind', ('training', 'mining', 'mining+infer'))
def test_what_the_platform_keeps_of_a_task_that_succeeded(kind, tmp_path, images):
    task = runs.make(kind, tmp_path / 'work', images)
    monitor(c4='3')(task)
    shutil.rmtree(task.out_dir / 'models')
    for entry in task.in_dir.iterdir():
        if entry.name != 'config.yaml':
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    findings = check_out(task.out_dir, task.in_dir)
    assert failed(findings) == set()
    checked = {finding.rule.split('/')[0] for finding in findings if finding.ok}
    assert checked >= set(kind.split('+')) - {'training'}


def test_only_the_flags_of_config_say_that_inference_is_missing(tmp_path, images):
    task = runs.make('mining+infer', tmp_path / 'work', images)
    edit_yaml(task.in_dir / 'config.yaml', run_mining=1, run_infer=1)
    (task.in_dir / 'env.yaml').unlink()
    (task.out_dir / 'infer-result.json').unlink()
    assert failed(check_out(task.out_dir, task.in_dir)) == {'infer/exists'}


@pytest.mark.parametrize('object_type, metric', [(3, 'mIoU'), (4, 'maskAP')])
def test_training_of_segmentation(object_type, metric, tmp_path, images):
    task = runs.make('training', tmp_path / 'work', images)
    edit_yaml(task.in_dir / 'config.yaml', object_type=object_type)

    def rename(value):
        for stage in value['model_stages'].values():
            stage[metric] = stage.pop('mAP')

    result(rename)(task)
    assert failed(check_out(task.out_dir, task.in_dir)) == set()


def test_semantic_segmentation_without_scores(tmp_path, images):
    task = runs.make('segmentation', tmp_path / 'work', images)
    edit_yaml(task.in_dir / 'config.yaml', object_type=3)
    value = json.loads((task.out_dir / 'infer-result.json').read_text())
    for item in value['annotations']:
        del item['confidence']
        item['image_id'] = float(item['image_id'])
    runs.write_json(task, value)
    assert failed(check_out(task.out_dir, task.in_dir)) == set()


def test_an_inference_that_found_nothing(tmp_path, images):
    task = runs.make('infer', tmp_path / 'work', images)
    infer(lambda found, first, second: found.update({first: {'boxes': []}, second: {}}))(task)
    assert failed(check_out(task.out_dir, task.in_dir)) == set()


def test_four_columns_and_a_trace(tmp_path, images):
    task = runs.make('mining', tmp_path / 'work', images)
    columns = task.monitor_file.read_text().split('\t')[:4]
    task.monitor_file.write_text('\t'.join(columns) + '\n' + 'warning\n' * 99)
    assert failed(check_out(task.out_dir, task.in_dir)) == set()


@pytest.mark.parametrize('text', ['16G', '16g', '512m', '1.5GiB', '64 GB', '1t', '1073741824', '2gb'])
def test_sizes_that_docker_takes(text):
    assert SHM_SIZE.fullmatch(text)


def test_an_image_that_the_list_names_twice_may_stand_twice(tmp_path, images):
    task = runs.make('mining', tmp_path / 'work', images)
    index, ranking = task.in_dir / 'candidate-index.tsv', task.out_dir / 'result.tsv'
    first = ranking.read_text().splitlines()[0]
    ranking.write_text(f'{first}\n{ranking.read_text()}')
    assert failed(check_out(task.out_dir, task.in_dir)) == {'mining/repeated'}
    index.write_text(index.read_text() + first.split('\t')[0] + '\n')
    assert failed(check_out(task.out_dir, task.in_dir)) == set()
    ranking.write_text(f'{first}\n{ranking.read_text()}')
    assert failed(check_out(task.out_dir, task.in_dir)) == {'mining/repeated'}
