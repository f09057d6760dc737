"""The rules themselves: each must find what it is there to find, or the other tests prove nothing."""

import json

import pytest

from tests.ymir_exc import platform_rules as rules

GOOD_MONITOR = 't1\t1700000456.123456\t0.37\t2\t0\n'


@pytest.mark.parametrize(
    'text, num_violations',
    [
        (GOOD_MONITOR, 0),
        ('t1\t1700000456.1\t0.37\t2\n', 0),
        ('t1\t1700000456.1\t0.37\t4\t300001\ta message\nline\nline\n', 0),
        ('', 1),
        ('t1 1700000456.1 0.37 2 0\n', 1),
        ('t1\t1700000456.1\t1.37\t2\t0\n', 1),
        ('t1\t1700000456.1\tnan\t2\t0\n', 1),
        ('t1\tnow\t0.37\t5\t\tx\n', 3),
        (GOOD_MONITOR + 'x\n' * 100, 1),
    ],
)
def test_monitor(text, num_violations):
    assert len(rules.monitor_violations(text)) == num_violations


STAGE = 'a: {stage_name: a, files: [a.pth], timestamp: 1700000000, mAP: 0.5}'


@pytest.mark.parametrize(
    'text, word',
    [
        (f'best_stage_name: a\nmodel_stages: {{{STAGE}}}', None),
        ('model: [a.pth]\nmap: "0.61"', None),
        ('', 'mapping'),
        ('best_stage_name: a\nmodel_stages: {}', 'model_stages'),
        (f'best_stage_name: b\nmodel_stages: {{{STAGE}}}', 'best_stage_name'),
        (f'best_stage_name: a\nmodel_stages: {{{STAGE.replace("0.5", ".nan")}}}', 'mAP'),
        (f'best_stage_name: a\nmodel_stages: {{{STAGE.replace("0.5", "-1")}}}', 'mAP'),
        (f'best_stage_name: a\nmodel_stages: {{{STAGE.replace("0.5", "1.0001")}}}', 'mAP'),
        (f'best_stage_name: a\nmodel_stages: {{{STAGE.replace("0.5", "null")}}}', 'mAP'),
        (f'best_stage_name: a\nmodel_stages: {{{STAGE.replace("1700000000", "1700000000000")}}}', 'timestamp'),
        (f'best_stage_name: a\nmodel_stages: {{{STAGE.replace("[a.pth]", "a.pth")}}}', 'files'),
        (f'best_stage_name: a\nmodel_stages: {{{STAGE.replace("a.pth", "b.pth")}}}', 'exist'),
        (f'best_stage_name: a\nmodel_stages: {{{STAGE.replace("a.pth", "link.pth")}}}', 'link'),
        (f'best_stage_name: a\nmodel_stages: {{{STAGE.replace("a.pth", "folder")}}}', 'regular'),
        (f'best_stage_name: a\nmodel_stages: {{{STAGE}}}\nevaluate_config: {{iou: "0.5:0.95"}}', 'evaluate_config'),
        (f'best_stage_name: a\nmodel_stages: {{{STAGE}}}\nattachments: {{plots: [x.png]}}', 'attachment'),
        ('model: [a.pth]', 'map'),
        ('a: !!python/object/apply:numpy.float64 [1]', 'unreadable'),
    ],
)
def test_result_yaml(tmp_path, text, word):
    (tmp_path / 'a.pth').write_text('x')
    (tmp_path / 'link.pth').symlink_to(tmp_path / 'a.pth')
    (tmp_path / 'folder').mkdir()
    path = tmp_path / 'result.yaml'
    path.write_text(text)
    found = rules.result_yaml_violations(path)
    assert found == [] if word is None else any(word in violation for violation in found)


def one_box(**changes):
    item = {'class_name': 'cat', 'score': 0.5, 'box': {'x': 1, 'y': 2, 'w': 3, 'h': 4}}
    item.update(changes)
    return json.dumps({'detection': {'a.jpg': {'boxes': [item]}}})


@pytest.mark.parametrize(
    'text, word',
    [
        (one_box(), None),
        (one_box(box={'x': 1.0, 'y': '2', 'w': 3, 'h': 4}), None),
        (one_box(box={'x': 1.5, 'y': 2, 'w': 3, 'h': 4}), 'x is'),
        (one_box(box={'x': True, 'y': 2, 'w': 3, 'h': 4}), 'x is'),
        (one_box(box={'x': 2**31, 'y': 2, 'w': 3, 'h': 4}), 'x is'),
        (one_box(box={'x': 1, 'z': 2}), 'unknown key'),
        (one_box(class_name=' '), 'class_name'),
        (one_box(score=float('nan')), 'JSON'),
        ('{"detection": {"a.jpg": {"boxes": []}, "b/a.jpg": {"boxes": []}}}', 'basename'),
        ('{"detection": {"a.jpg": {"boxes": []}, "a.jpg": {"boxes": []}}}', 'twice'),
        ('{"detection": {"b.jpg": {"boxes": []}}}', 'candidates'),
        ('{"detection": {"a.jpg": null}}', 'list'),
        ('{"detection": []}', 'dict'),
        ('{"detection": {', 'JSON'),
    ],
)
def test_infer_result(text, word):
    found = rules.infer_result_violations(text, ['/in/assets/a.jpg'])
    assert found == [] if word is None else any(word in violation for violation in found)


@pytest.mark.parametrize(
    'text, word',
    [
        ('a.jpg\t0.9\nb c.jpg\t-1e+300\n', None),
        ('b c.jpg\t0.9\na.jpg\t0.95\n', 'descend'),
        ('a.jpg\tnan\nb c.jpg\t0.5\n', 'finite'),
        ('a.jpg 0.9\nb c.jpg\t0.5\n', 'line 1'),
        ('a.jpg\t0.9\n', 'index'),
    ],
)
def test_mining_result(text, word):
    found = rules.mining_result_violations(text, ['a.jpg', 'b c.jpg'])
    assert found == [] if word is None else any(word in violation for violation in found)
