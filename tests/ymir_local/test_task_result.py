"""Codes of ended tasks, one row per situation of contract section a.6."""

import json

import pytest
import yaml

from ymir_exc.errors import ResultRejected
from ymir_exc.reading import MonitorLine, read_infer_result, read_mining_result, read_training_result
from ymir_local.platform.run import MonitorReading
from ymir_local.platform.task_result import describe_exit, judge

GOOD = MonitorLine('t', 1.0, 1.0, 2)


def reading(last=GOOD, error=None, problem=''):
    return MonitorReading(last, error, problem)


@pytest.mark.parametrize(
    'exit_code, monitor, code',
    [
        (0, reading(), 0),
        (1, reading(MonitorLine('t', 1.0, 0.5, 4, 300103)), 300103),
        (1, reading(MonitorLine('t', 1.0, 0.5, 2, 300103)), 300103),  # the state does not matter, column 5 does
        (137, reading(MonitorLine('t', 1.0, 0.5, 2, 0)), 160004),
        (1, reading(problem='monitor.txt cannot be read'), 169999),
        (0, reading(problem='monitor.txt cannot be read'), 150404),
        (0, reading(GOOD, MonitorLine('t', 1.0, 0.3, 4, 300002, 'no image')), 300002),  # state 4 is final
    ],
)
def test_codes_without_results(tmp_path, exit_code, monitor, code):
    verdict = judge(exit_code, monitor, tmp_path)
    assert (verdict.ok, verdict.code) == (code == 0, code)
    assert bool(verdict.reason) == (code != 0)


@pytest.mark.parametrize(
    'exit_code, words',
    [
        (3, 'exit code 3'),
        (-9, 'memory runs out'),
        (137, 'exit code 137: killed (SIGKILL), as the system does when memory runs out'),
        (139, 'exit code 139: ended by SIGSEGV'),
        (125, 'Docker started no container'),
        (126, 'cannot be executed'),
        (127, 'does not exist'),
        (255, 'exit code 255'),
    ],
)
def test_what_an_exit_code_tells(tmp_path, exit_code, words):
    assert words in describe_exit(exit_code)
    assert judge(exit_code, reading(MonitorLine('t', 1.0, 0.5, 2)), tmp_path).reason == describe_exit(exit_code)


def test_missing_results(tmp_path):
    assert judge(0, reading(), tmp_path, training=True).code == 160011
    assert judge(0, reading(), tmp_path, mining=True).code == 160011
    assert judge(0, reading(), tmp_path, infer=True).code == 169999


STAGE = {'stage_name': 'a', 'files': ['a.pth'], 'timestamp': 1700000000, 'mAP': 0.5}


def result_file(tmp_path, document):
    (tmp_path / 'a.pth').write_bytes(b'a')
    (tmp_path / 'result.yaml').write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return tmp_path


@pytest.mark.parametrize(
    'change, words',
    [
        ({'mAP': float('nan')}, 'mAP is nan'),
        ({'mAP': -1}, '0 to 1'),
        ({'mAP': 1.0001}, '0 to 1'),
        ({'mAP': None}, 'mAP is None'),
        ({'timestamp': 1700000000000}, 'seconds'),
        ({'files': 'a.pth'}, 'a list is needed'),
        ({'files': ['b.pth']}, 'b.pth is not a regular file'),
        ({'files': ['/etc/hostname']}, 'not a regular file'),
        ({'tp': -1}, 'tp is -1'),
    ],
)
def test_stages_that_reject_the_whole_result(tmp_path, change, words):
    document = {'best_stage_name': 'a', 'model_stages': {'a': dict(STAGE, **change)}}
    with pytest.raises(ResultRejected, match=words):
        read_training_result(result_file(tmp_path, document))


@pytest.mark.parametrize(
    'document',
    [
        '',
        'a: [',
        '- 1',
        {},
        {'best_stage_name': 'a', 'model_stages': {}},
        {'best_stage_name': 'b', 'model_stages': {'a': STAGE}},
        {'model_stages': {'a': STAGE}},
        {'best_stage_name': 'a', 'model_stages': {'a': STAGE}, 'evaluate_config': {'iou': '0.5:0.95'}},
        {'best_stage_name': 'a', 'model_stages': {'a': STAGE}, 'attachments': {'plots': None}},
        {'best_stage_name': 'a', 'model_stages': {'a': STAGE}, 'attachments': {'plots': ['x.png']}},
        'a: !!python/object:x.Y {}',
        'a: 2024-99-99',
        '[' * 2000,
        {'best_stage_name': ['a'], 'model_stages': {'a': STAGE}},
        {'best_stage_name': 'a', 'model_stages': {'a': dict(STAGE, files=['a' * 5000])}},
        {'best_stage_name': 'a', 'model_stages': {'a': STAGE}, 'attachments': {'plots': ['a' * 5000]}},
    ],
)
def test_documents_that_are_rejected(tmp_path, document):
    with pytest.raises(ResultRejected) as caught:
        read_training_result(result_file(tmp_path, document))
    assert caught.value.code == 160011


def test_what_is_accepted(tmp_path):
    document = {
        'best_stage_name': 'a',
        'model_stages': {'a': dict(STAGE, files=['a.pth'], tp=3, mAP_50=-1.0)},
        'evaluate_config': {'iou': '0.5'},
    }
    result = read_training_result(result_file(tmp_path, document))
    assert result.best == 'a' and result.evaluate_config == {'iou': 0.5}
    assert result.stages['a'].metrics == {'mAP': 0.5, 'tp': 3}
    assert result.stages['a'].files == {'a.pth': tmp_path / 'a.pth'}


def test_the_old_form(tmp_path):
    result = read_training_result(result_file(tmp_path, {'model': ['a.pth'], 'map': 0.25}))
    assert result.best == 'default_best_stage' and result.stages[result.best].metrics == {'mAP': 0.25}


def infer_file(tmp_path, content):
    (tmp_path / 'r.json').write_text(content if isinstance(content, str) else json.dumps(content))
    return tmp_path / 'r.json'


BOX = {'class_name': 'a', 'score': 0.5, 'box': {'x': 1, 'y': 2, 'w': 3, 'h': 4}}


@pytest.mark.parametrize(
    'content, code',
    [
        ('{', 169999),
        ({}, 160011),
        ({'detection': []}, 160011),
        ({'detection': {'a.jpg': None}}, 169999),
        ({'detection': {'a.jpg': {'boxes': 7}}}, 169999),
        (
            {
                'images': [{'id': 1, 'file_name': 'a.jpg'}],
                'categories': [{'id': 1, 'name': 'a'}],
                'annotations': [{'image_id': 1, 'category_id': 1, 'confidence': 'high'}],
            },
            169999,
        ),
        ('[' * 100_000, 169999),
        ({'detection': {'a.jpg': {'boxes': [dict(BOX, box={'x': 5.5})]}}}, 169999),
        ({'detection': {'a.jpg': {'boxes': [dict(BOX, box={'x': True})]}}}, 169999),
        ({'detection': {'a.jpg': {'boxes': [dict(BOX, box={'x': 1, 'z': 1})]}}}, 169999),
        ({'detection': {'a.jpg': {'boxes': [dict(BOX, box={'x': 2**31})]}}}, 169999),
        ({'detection': {'a.jpg': {'boxes': [{'score': 0.5, 'box': {}}]}}}, 169999),
    ],
)
def test_inference_that_is_rejected(tmp_path, content, code):
    with pytest.raises(ResultRejected) as caught:
        read_infer_result(infer_file(tmp_path, content))
    assert caught.value.code == code


def test_inference_as_the_platform_stores_it(tmp_path):
    found = read_infer_result(
        infer_file(
            tmp_path,
            {
                'detection': {
                    '/x/a.jpg': {'boxes': [BOX, dict(BOX, box={'x': '5', 'y': 5.0})]},
                    'b.jpg': {'boxes': [], 'annotations': [BOX]},
                    'c.jpg': {'boxes': [{'class_name': 'a', 'box': {}}]},  # no score: dropped
                    'd.jpg': {},
                }
            },
        )
    )
    assert {name: len(objects) for name, objects in found.items()} == {'a.jpg': 2, 'b.jpg': 1, 'c.jpg': 0, 'd.jpg': 0}


def test_monitor_that_is_half_written_is_forgiven(tmp_path):
    path = tmp_path / 'monitor.txt'
    monitor = MonitorReading()
    for text, problem in (
        ('t\t1', False),
        ('t\t1\t0.5\t2', False),
        ('', False),
        ('', False),
        ('t 1 2 3', False),
        ('t 1 2 3', True),
    ):
        path.write_text(text)
        monitor.read(path)
        assert bool(monitor.problem) == problem, text
    assert monitor.last == MonitorLine('t', 1.0, 0.5, 2)


def test_a_monitor_that_is_gone_at_the_end_counts(tmp_path):
    monitor = MonitorReading()
    monitor.read(tmp_path / 'monitor.txt')
    assert not monitor.problem
    monitor.read(tmp_path / 'monitor.txt', final=True)
    assert monitor.problem


def test_mining_as_the_platform_reads_it(tmp_path):
    """Names may hold any byte but a TAB and a line feed."""
    (tmp_path / 'result.tsv').write_bytes('a\u2028b.jpg\t0.5\n\n'.encode() + b'\xff.jpg\t0.25\nc.jpg\n')
    assert [(line.image, ''.join(line.columns[1:])) for line in read_mining_result(tmp_path / 'result.tsv')] == [
        ('a\u2028b.jpg', '0.5'),
        ('\udcff.jpg', '0.25'),
        ('c.jpg', ''),
    ]
