"""Whatever lies in `out` gives findings and no exception; findings as table and as JSON."""

import json
import os
from pathlib import Path

import pytest
from rich.console import Console

from tests.ymir_local.check import runs
from tests.ymir_local.check.planted import stage
from ymir_local.check import all_rules, check_out, has_errors, render, to_json
from ymir_local.texts import t


def failed(findings):
    return {finding.rule for finding in findings if finding.ok is False}


DEEP = '[' * 3000 + ']' * 3000
GARBAGE = [
    b'',
    b'\x00',
    b'\xff' * 999,
    b'null',
    b'[]',
    b'5',
    b'"text"',
    b'{}',
    b'NaN',
    b'- a',
    b'a: b: c',
    b'\t',
    b'\n' * 500,
    b'{"detection": {"a.jpg": {"boxes": [null, {"box": null}, {"box": {"x": null}}, [], '
    b'{"score": [], "class_name": 1}]}}}',
    b'{"images": [null], "categories": 5, "annotations": [{"bbox": [null, 1, {}, []], "segmentation": 5}]}',
    b'{"detection": {"\\ud800": {"boxes": [{"class_name": "\\ud800", "score": 1e999}]}}}',
    b'model_stages: {a: 5, b: null, 3: {files: [null, 5, {}], timestamp: [], mAP: {}}}\nbest_stage_name: []',
    b'model: [[], {}]\nmap: []\nattachments: []\nevaluate_config: 3',
    b'&a [*a]',
    b'model_stages: &a {x: *a}',
    b'best_stage_name: 2024-13-45',
    b'? [a, b]\n: 1',
    b'!!binary x',
    b'!!python/object:os.system {}',
    DEEP.encode(),
    b'{"detection": {"a": {"boxes": [{"box": {"x": ' + b'9' * 5000 + b'}}]}}}',
    b'model_stages: {"a\\0b": {files: ["x\\0y"]}}',
    b'a\t\t\t\t\t\n',
    b't\t1e999\tnan\t-1\t1_0\n',
    'ü\t１\t１\t２\n'.encode(),
]


@pytest.mark.parametrize('content', GARBAGE, ids=[repr(content[:20]) for content in GARBAGE])
def test_garbage_is_a_finding_and_never_an_exception(content, tmp_path, images):
    task = runs.make('mining+infer', tmp_path / 'work', images)
    names = ('monitor.txt', 'infer-result.json', 'result.tsv', 'models/result.yaml')
    for name in names:
        (task.out_dir / name).write_bytes(content)
    for kind in ('training', 'mining+infer'):
        findings = check_out(task.out_dir, task.in_dir, task=kind)
        assert has_errors(findings)
        assert not [finding for finding in findings if 'the check itself stopped' in finding.message]
    json.loads(to_json(findings))
    with open(os.devnull, 'w', encoding='utf-8') as sink:
        render(findings, Console(file=sink, width=100), 'zh')
    for name in ('env.yaml', 'config.yaml', 'candidate-index.tsv'):
        (task.in_dir / name).write_bytes(content)
    check_out(task.out_dir, task.in_dir)


def test_strange_entries_in_the_place_of_files(tmp_path, images):
    task = runs.make('mining+infer', tmp_path / 'work', images)
    for name, make in (
        ('infer-result.json', Path.mkdir),
        ('result.tsv', os.mkfifo),
        ('monitor.txt', lambda path: path.symlink_to(path)),
    ):
        (task.out_dir / name).unlink()
        make(task.out_dir / name)
    assert failed(check_out(task.out_dir, task.in_dir)) == {'monitor/exists', 'infer/exists', 'mining/exists'}


def test_huge_files_are_not_read(tmp_path, images):
    task = runs.make('mining+infer', tmp_path / 'work', images)
    for name in ('infer-result.json', 'result.tsv', 'monitor.txt'):
        os.truncate(task.out_dir / name, 2**40)  # sparse
    assert failed(check_out(task.out_dir, task.in_dir)) == {'monitor/readable', 'infer/readable', 'mining/readable'}


def test_the_end_of_a_huge_log_is_read(tmp_path, images):
    task = runs.make('mining', tmp_path / 'work', images)
    os.truncate(task.log_file, 2**40)  # sparse
    with open(task.log_file, 'ab') as log:
        log.write(b'\nthe disk is full\n')
    findings = [finding for finding in check_out(task.out_dir, task.in_dir, exit_code=3) if finding.ok is False]
    assert {finding.rule for finding in findings} == {'container/exit-code', 'monitor/code-on-failure'}
    assert 'the disk is full' in findings[0].message


def test_unknown_task(tmp_path):
    with pytest.raises(ValueError, match="'fly' is not a task"):
        check_out(tmp_path, task='fly')


def test_texts():
    for rule in all_rules():
        for text in (rule.must, t(f'rules.{rule.name}.fix')):
            assert text.en.endswith('.') and text.zh.endswith('。'), rule.name
        assert any('\u4e00' <= letter <= '\u9fff' for letter in rule.must.zh), rule.name
        assert rule.section and rule.severity in ('error', 'warning')
    names = [rule.name for rule in all_rules()]
    assert len(set(names)) == len(names) >= 110


@pytest.mark.parametrize(
    'language, words', [('en', ('mAP [0]', 'How to fix', 'error', '2 error(s)')), ('zh', ('修复方法', '错误 2 个'))]
)
def test_table(language, words, tmp_path, images):
    task = runs.make('training', tmp_path / 'work', images)
    stage(mAP='[0]', files=['mAP [0]'])(task)
    console = Console(width=160, record=True, file=open(os.devnull, 'w'))
    render(check_out(task.out_dir, task.in_dir), console, language)
    table = console.export_text()
    assert all(word in table for word in words), table
    assert 'training/metrics' in table and 'training/file-exists' in table and 'monitor/columns' not in table


def test_json(tmp_path, images):
    task = runs.make('training', tmp_path / 'work', images)
    stage(mAP=2)(task)
    value = json.loads(to_json(check_out(task.out_dir, task.in_dir)))
    assert (value['errors'], value['warnings']) == (1, 0) and value['passed'] > 30
    (broken,) = [finding for finding in value['findings'] if finding['status'] == 'failed']
    assert (broken['rule'], broken['severity'], broken['section']) == ('training/metrics', 'error', 'd.2')
    assert broken['fix'] and broken['fix_zh'] and broken['message_zh']
