"""result.yaml, held against the platform's rules."""

import os
import time

import numpy as np
import pytest
import torch
import yaml

from tests.ymir_exc import platform_rules as rules
from ymir_exc import log
from ymir_exc import result_writer as rw
from ymir_exc.code import ExecutorReturnCode
from ymir_exc.errors import ConfigError, ModelFileError, ResultError


def result(task):
    assert rules.result_yaml_violations(task.result_file) == []
    return yaml.safe_load(task.result_file.read_text())


def test_the_form_of_the_contract(task):
    task.add_model('epoch_20.pth')
    task.add_model('epoch-40/epoch_40.pth')
    task.add_model('epoch_40/cfg.py')
    task.add_model('attachments/plots/pr.png')
    rw.write_model_stage('epoch_20', ['epoch_20.pth'], mAP=0.377, timestamp=1700000100)
    rw.write_model_stage(
        'epoch-40',
        ['epoch-40/epoch_40.pth', 'cfg.py'],
        {'mAP': 0.413, 'mAR': 0.55, 'tp': 41},
        timestamp=1700000200,
        evaluate_config={'conf_thr': 0.005, 'iou_thr': '0.5'},
        attachments={'plots': ['pr.png']},
        fp=9,
        fn=12,
    )
    assert result(task) == {
        'best_stage_name': 'epoch_40',
        'mAP': 0.413,
        'model_stages': {
            'epoch_20': {'stage_name': 'epoch_20', 'files': ['epoch_20.pth'], 'timestamp': 1700000100, 'mAP': 0.377},
            'epoch_40': {
                'stage_name': 'epoch_40',
                'files': ['epoch-40/epoch_40.pth', 'cfg.py'],
                'timestamp': 1700000200,
                'mAP': 0.413,
                'mAR': 0.55,
                'tp': 41,
                'fp': 9,
                'fn': 12,
            },
        },
        'evaluate_config': {'conf_thr': 0.005, 'iou_thr': 0.5},
        'attachments': {'plots': ['pr.png']},
    }
    assert task.result_file.read_text().isascii()


def test_write_training_result(task):
    before = int(time.time())
    rw.write_training_result(
        stage_name='best',
        files=[task.add_model('best.pt'), str(task.models / 'best.pt')],
        evaluation_result={'maskAP': 0.8, 'boxAP': 0.9},
    )
    written = result(task)
    timestamp = written['model_stages']['best'].pop('timestamp')
    assert before <= timestamp <= time.time()
    assert written == {
        'best_stage_name': 'best',
        'maskAP': 0.8,
        'model_stages': {'best': {'stage_name': 'best', 'files': ['best.pt'], 'maskAP': 0.8, 'boxAP': 0.9}},
    }


@pytest.mark.parametrize(
    'value',
    [
        0.25,
        '0.25',
        np.float32(0.25),
        np.float64(0.25),
        np.array(0.25),
        np.array([[0.25]]),
        torch.tensor(0.25),
        torch.tensor([0.25], dtype=torch.float64),
        torch.tensor(0.25, dtype=torch.bfloat16, requires_grad=True),
    ],
)
def test_numbers_of_every_library(task, value):
    task.add_model('a.pth')
    rw.write_model_stage(
        'a',
        ['a.pth'],
        {'mAP': value, 'extra': value},
        evaluate_config={'iou': value},
        tp=np.int64(3),
        fp=torch.tensor(4),
        fn='5',
        timestamp=np.float64(1700000000.9),
    )
    stage = result(task)['model_stages']['a']
    assert (stage['mAP'], stage['tp'], stage['fp'], stage['fn'], stage['timestamp']) == (0.25, 3, 4, 5, 1700000000)
    assert type(stage['mAP']) is float and type(stage['tp']) is int
    assert np.ravel(stage['extra']).astype(float).tolist() == [0.25]


@pytest.mark.parametrize('value', [0, 0.0, 1, '1.0', np.float32(0)])
def test_the_ends_of_the_range_are_metrics(task, value):
    task.add_model('a.pth')
    rw.write_model_stage('a', ['a.pth'], mAP=value)
    assert result(task)['mAP'] == float(value)


GOOD = {'stage_name': 'b', 'files': ['a.pth'], 'mAP': 0.5}


@pytest.mark.parametrize(
    'changes, error, words',
    [
        ({'mAP': True}, ResultError, 'mAP must be one number'),
        ({'mAP': 'good'}, ResultError, "mAP must be one number, not 'good'"),
        ({'mAP': np.ones(3)}, ResultError, 'mAP must be one number'),
        ({'mAP': None, 'evaluation_result': {'mIoU': [1, 2]}}, ResultError, r'mIoU must be one number, not \[1, 2\]'),
        ({'stage_name': ''}, ResultError, "stage name ''"),
        ({'stage_name': 'epoch 1'}, ResultError, "stage name 'epoch 1'"),
        ({'stage_name': '1st'}, ResultError, "stage name '1st'"),
        ({'stage_name': 'a@b'}, ResultError, "stage name 'a@b'"),
        ({'stage_name': 'a' * 101}, ResultError, '100 characters'),
        ({'attachments': {'plots': 'x.png'}}, ResultError, r"attachments\['plots'\]"),
        ({'files': []}, ModelFileError, 'files is empty'),
        ({'files': 'a.pth'}, ModelFileError, "must be a list of paths, not 'a.pth'"),
        ({'files': ['b.pth']}, ModelFileError, 'b.pth is not a regular file'),
        ({'files': ['folder']}, ModelFileError, 'folder is not a regular file'),
        ({'files': ['dangling.pth']}, ModelFileError, 'dangling.pth is not a regular file'),
        (
            {'files': ['reserved.yaml']},
            ModelFileError,
            'reserved.yaml leads to result.yaml, which belongs to the platform',
        ),
        ({'files': ['../env.yaml']}, ModelFileError, 'lies outside'),
        ({'files': ['/etc/hostname']}, ModelFileError, 'lies outside'),
        ({'files': ['result.yaml']}, ModelFileError, 'belongs to the platform'),
    ],
)
def test_what_the_platform_rejects_is_rejected_and_the_file_stays(task, changes, error, words):
    task.add_model('a.pth')
    task.add_model('folder/a.pth')
    (task.models / 'dangling.pth').symlink_to(task.models / 'gone.pth')
    (task.models / 'reserved.yaml').symlink_to(task.models / 'result.yaml')
    rw.write_model_stage('first', ['a.pth'], mAP=0.1)
    before = task.result_file.read_bytes()
    with pytest.raises(error, match=words) as caught:
        rw.write_model_stage(**{**GOOD, **changes})
    assert task.result_file.read_bytes() == before
    assert isinstance(caught.value, ValueError) and caught.value.code in ExecutorReturnCode.__members__.values()


NAN = float('nan')


@pytest.mark.parametrize(
    'given, written',
    [
        ({'mAP': -1}, {'mAP': 0.0}),
        ({'mAP': np.float32(-1)}, {'mAP': 0.0}),
        ({'mAP': NAN}, {'mAP': 0.0}),
        ({'mAP': torch.tensor(NAN)}, {'mAP': 0.0}),
        ({'mAP': float('inf')}, {'mAP': 0.0}),
        ({'mAP': 'nan'}, {'mAP': 0.0}),
        ({'mAP': 54.3}, {'mAP': 0.0}),  # percent: nobody knows what else it may be
        ({'mAP': 1.0001}, {'mAP': 1.0}),
        ({'mAP': None}, {'mAP': 0.0}),
        ({'evaluation_result': None}, {'mAP': 0.0}),
        ({'evaluation_result': {}}, {'mAP': 0.0}),
        ({'evaluation_result': {'mAP': None}}, {'mAP': 0.0}),
        ({'evaluation_result': {'maskAP': NAN, 'boxAP': -1}}, {'maskAP': 0.0}),
        ({'evaluation_result': {'maskAP': -1, 'mAP': 0.4}}, {'mAP': 0.4}),
        ({'evaluation_result': {'mIoU': None, 'mAcc': 0.5}}, {'mIoU': 0.0, 'mAcc': 0.5}),
        (
            {'mAP': 0.5, 'evaluation_result': {'mAR': NAN, 'mAP_50': NAN, 'classes': {'cat': NAN}, 'note': b'\xff'}},
            {'mAP': 0.5},
        ),
        ({'mAP': 0.5, 'tp': -1, 'fp': 2**31, 'fn': 1.5}, {'mAP': 0.5}),
        ({'mAP': 0.5, 'tp': 'many', 'evaluation_result': {'mAR': [0.1, 0.2], 'boxAP': True}}, {'mAP': 0.5}),
        ({'mAP': 0.5, 'evaluation_result': {'TP': None, 'FP': NAN, 'fn': 3}}, {'mAP': 0.5, 'fn': 3}),
        ({'mAP': 0.5, 'evaluation_result': {'files': 1, 'stage_name': 'x', 'timestamp': NAN}}, {'mAP': 0.5}),
        ({'mAP': 0.5, 'evaluation_result': {1: 2}}, {'mAP': 0.5, '1': 2}),
    ],
)
def test_a_report_of_a_validation_without_objects_ends_no_training(task, caplog, given, written):
    log._warned.clear()
    for name in ('one', 'two'):
        rw.write_model_stage(name, [task.add_model('a.pth')], timestamp=1700000000, **given)
    stages = result(task)['model_stages']
    for name in ('one', 'two'):
        assert stages[name] == dict(stage_name=name, files=['a.pth'], timestamp=1700000000, **written)
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == len(set(warnings)) and bool(warnings) == (
        given
        not in (
            {'mAP': 1.0001},
            {'evaluation_result': {'maskAP': -1, 'mAP': 0.4}},
            {'mAP': 0.5, 'evaluation_result': {1: 2}},
        )
    )


@pytest.mark.parametrize('timestamp', [1700000000000, NAN, -1, 'yesterday', [1], float('inf')])
def test_a_wrong_timestamp_is_now(task, timestamp):
    before = int(time.time())
    rw.write_model_stage('a', [task.add_model('a.pth')], mAP=0.5, timestamp=timestamp)
    assert before <= result(task)['model_stages']['a']['timestamp'] <= time.time()


def test_what_has_no_number_is_left_out_of_evaluate_config_and_attachments(task, caplog):
    log._warned.clear()
    task.add_model('attachments/plots/pr.png')
    given = {
        'iou_thr': None,
        'conf_thr': NAN,
        'range': '0.5:0.95:0.05',
        'sizes': [1, 2],
        'top': 100,
        'good': np.float32(0.5),
    }
    for _ in range(3):
        rw.write_model_stage(
            'a',
            [task.add_model('a.pth')],
            mAP=0.5,
            evaluate_config=given,
            attachments={'plots': ['pr.png', 'gone.png'], 'none': None, 'empty': []},
        )
    written = result(task)
    assert written['evaluate_config'] == {'top': 100.0, 'good': 0.5}
    assert written['attachments'] == {'plots': ['pr.png']}
    assert len(caplog.records) == 5 and "evaluate_config['iou_thr'] is None" in caplog.text


def test_links_are_named_by_their_target_or_by_a_copy(task, tmp_path):
    """The links stay: their author may write through them, or turn them, before the next report."""
    outside = tmp_path / 'work'
    outside.mkdir()
    (outside / 'best.pt').write_text('epoch 1')
    task.add_model('folder/a.pth')
    for name, target in (
        ('last.pth', 'folder/a.pth'),
        ('last2.pth', task.models / 'last.pth'),
        ('best.pt', outside / 'best.pt'),
        ('linked', 'folder'),
        ('work', outside),
    ):
        (task.models / name).symlink_to(target)
    files = ['last.pth', 'last2.pth', 'linked/a.pth', 'best.pt', 'work/best.pt']
    for epoch in (1, 2):
        (outside / 'best.pt').write_text(f'epoch {epoch}')
        os.utime(outside / 'best.pt', (epoch, epoch))
        rw.write_model_stage('a-b', files, mAP=0.5)
        assert result(task)['model_stages']['a_b']['files'] == ['folder/a.pth', 'best.pt']
        assert (task.models / 'a_b/best.pt').read_text() == f'epoch {epoch}'
        assert (task.models / 'best.pt').is_symlink() and (task.models / 'last.pth').is_symlink()


def test_a_copy_of_what_a_link_leads_to_needs_the_folder_of_the_stage(task, tmp_path):
    (tmp_path / 'best.pt').write_text('weights')
    (task.models / 'best.pt').symlink_to(tmp_path / 'best.pt')
    task.add_model('best')
    with pytest.raises(ModelFileError, match='where a file stands; rename one'):
        rw.write_model_stage('best', ['best.pt'], mAP=0.5)
    assert (task.models / 'best').is_file() and not task.result_file.exists()


def test_upper_case_counters_and_harmless_extra_metrics(task):
    task.add_model('a.pth')
    rw.write_model_stage(
        'a',
        ['a.pth'],
        {
            'mAP': 0.5,
            'TP': 1,
            'FP': 2,
            'FN': 3,
            'mAP_50': -1.0,
            'mAP_75': float('nan'),
            'classes': {'cat': np.float32(0.5)},
        },
    )
    stage = result(task)['model_stages']['a']
    del stage['timestamp']
    assert stage == {
        'stage_name': 'a',
        'files': ['a.pth'],
        'mAP': 0.5,
        'tp': 1,
        'fp': 2,
        'fn': 3,
        'mAP_50': -1.0,
        'classes': {'cat': 0.5},
    }


@pytest.mark.parametrize(
    'stages, best',
    [
        ([('a', 0.5, 10), ('b', 0.4, 20)], 'a'),
        ([('a', 0.5, 10), ('b', 0.5, 20)], 'b'),
        ([('b', 0.5, 10), ('a', 0.5, 10)], 'a'),  # of equal metric and second, the one written later
        ([('a', 0.5, 10), ('b', 0.5, 10), ('a', 0.5, 10)], 'a'),
        ([('a', 0.0, 10)], 'a'),
    ],
)
def test_the_best_stage(task, stages, best):
    for name, metric, timestamp in stages:
        rw.write_model_stage(name, [task.add_model('a.pth')], mAP=metric, timestamp=timestamp)
    assert result(task)['best_stage_name'] == best


def test_the_main_metric_is_the_first_of_its_order(task):
    task.add_model('a.pth')
    rw.write_model_stage('a', ['a.pth'], {'mAP': 0.9, 'maskAP': 0.3})
    rw.write_model_stage('b', ['a.pth'], {'mAP': 0.1, 'maskAP': 0.4})
    written = result(task)
    assert (written['best_stage_name'], written['maskAP']) == ('b', 0.4)


def test_eleven_stages_are_kept_and_every_file_stays(task):
    """The files are their author's: a trainer names best.pt in an old stage and loads it when it ends."""
    task.add_model('best.pt')
    for index in range(30):
        name = f'epoch_{index}'
        rw.write_model_stage(
            name,
            [task.add_model(f'{name}.pth'), 'best.pt'] if index < 3 else [task.add_model(f'{name}.pth')],
            mAP=0.9 if index == 4 else 0.1,
            timestamp=1700000000,
        )
        assert rules.result_yaml_violations(task.result_file) == []
    written = result(task)
    assert list(written['model_stages']) == [f'epoch_{index}' for index in (4, *range(20, 30))]
    assert written['best_stage_name'] == 'epoch_4'
    assert {path.name for path in task.models.iterdir()} == {
        'best.pt',
        'result.yaml',
        *(f'epoch_{i}.pth' for i in range(30)),
    }


def test_a_stage_whose_file_has_vanished_is_left_out(task, caplog):
    rw.write_model_stage('a', [task.add_model('a.pth')], mAP=0.9)
    (task.models / 'a.pth').unlink()
    rw.write_model_stage('b', [task.add_model('b.pth')], mAP=0.5)
    assert list(result(task)['model_stages']) == ['b']
    assert 'stage a is left out' in caplog.text


@pytest.mark.parametrize('text', ['', 'a: [', '- x', 'model_stages: 3', 'model_stages: {a: 1, b: {files: [a.pth]}}'])
def test_a_broken_result_yaml_is_replaced(task, text):
    task.result_file.write_text(text)
    rw.write_model_stage('a', [task.add_model('a.pth')], mAP=0.9)
    assert list(result(task)['model_stages']) == ['a']


def test_each_call_states_the_attachments_and_evaluate_config_of_the_whole_result(task):
    task.add_model('attachments/plots/pr.png')
    rw.write_model_stage(
        'a', [task.add_model('a.pth')], mAP=0.9, attachments={'plots': ['pr.png']}, evaluate_config={'iou': 0.5}
    )
    rw.write_model_stage('b', ['a.pth'], mAP=0.9)
    assert set(result(task)) == {'best_stage_name', 'mAP', 'model_stages'}


def test_stages_are_removed_before_their_files(task):
    for name in 'abc':
        rw.write_model_stage(name, [task.add_model(f'{name}.pth')], mAP=0.5, evaluate_config={'iou': 0.5})
    rw.remove_model_stages(['c', 'unknown'])
    written = result(task)
    assert (list(written['model_stages']), written['best_stage_name']) == (['a', 'b'], 'b')
    assert written['evaluate_config'] == {'iou': 0.5}
    assert (task.models / 'c.pth').exists()
    rw.remove_model_stages(['a', 'b'])
    assert not task.result_file.exists()
    rw.remove_model_stages(['a'])


@pytest.mark.parametrize(
    'protocol, ymir_version, stages',
    [
        ('1.1.0', None, True),
        ('1.0.0', None, True),
        (1.0, None, True),
        ('2.0.0', None, True),
        ('0.9.9', None, False),
        (None, None, False),
        ('', None, False),
        (None, '1.2.0', True),
        (None, '1.1.9', False),
    ],
)
def test_protocol_versions(task, monkeypatch, protocol, ymir_version, stages):
    task.write_env(protocol_version=protocol)
    if ymir_version:
        monkeypatch.setenv('YMIR_VERSION', ymir_version)
    assert rw.multiple_model_stages_supportable() is stages
    rw.write_model_stage('a', [task.add_model('b.pth'), task.add_model('a.py')], mAP=np.float32(0.5))
    written = result(task)
    if stages:
        assert written['best_stage_name'] == 'a'
    else:
        assert written == {'model': ['b.pth', 'a.py'], 'map': 0.5}


def test_a_bad_protocol_version_is_named(task):
    task.write_env(protocol_version='newest')
    with pytest.raises(ConfigError, match="protocol_version in env.yaml is 'newest'"):
        rw.multiple_model_stages_supportable()


def test_the_old_form_holds_the_best_model(task):
    task.write_env(protocol_version=None)
    rw.write_model_stage('one', [task.add_model('one/one.pth'), task.add_model('cfg.py')], mAP=0.4)
    assert result(task) == {'model': ['one/one.pth', 'cfg.py'], 'map': 0.4}
    rw.write_model_stage('two', [task.add_model('two.pth')], mAP=0.3)
    assert result(task) == {'model': ['one/one.pth', 'cfg.py'], 'map': 0.4}
    rw.write_model_stage('three', [task.add_model('three.pth')], mAP=0.4)
    assert result(task) == {'model': ['three.pth'], 'map': 0.4}
    (task.models / 'three.pth').unlink()
    rw.write_model_stage('four', ['two.pth'], mAP=0.0)
    assert result(task) == {'model': ['two.pth'], 'map': 0.0}
