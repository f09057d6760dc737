import json
import math
import re
from pathlib import Path

import pytest
import yaml

from tests.ymir_local.report import runs
from tests.ymir_local.report.reader import report
from ymir_exc.reading import DetectedObject
from ymir_local.report import write_report
from ymir_local.report.run_files import read_run
from ymir_local.report.training import duration


@pytest.mark.parametrize(
    'file, content, told',
    [
        ('out/monitor.txt', None, 'There is no out/monitor.txt'),
        ('out/monitor.txt', 'x y', 'out/monitor.txt cannot be read'),
        ('out/ymir-executor-out.log', None, 'There is no out/ymir-executor-out.log'),
        ('out/infer-result.json', '{"detection": [1]}', 'infer-result.json cannot be read'),
        ('out/infer-result.json', '{"detection": {"a.jpg": {"boxes": [{"score": 1}]}, "b.jpg": null}}', '1 objects of'),
        ('out/infer-result.json', '{"detec', 'infer-result.json cannot be read'),
        ('out/infer-result.json', None, 'There is no out/infer-result.json'),
        ('in/config.yaml', None, 'config.yaml does not exist'),
        ('in/config.yaml', '- [', 'config.yaml cannot be read'),
        ('in/env.yaml', '', 'env.yaml holds no'),
        ('in/candidate-index.tsv', None, 'No labels are known'),
    ],
)
def test_missing_and_broken_files_are_told(inference, tmp_path, file, content, told):
    path = inference.work_dir / file
    path.unlink()
    if content is not None:
        path.write_text(content)
    assert told in report(inference, tmp_path).html


def test_out_alone(inference, training, tmp_path):
    for name, task in (('a', inference), ('b', training)):
        out = runs.move_out(task, tmp_path / name / 'result')
        html = write_report(out, tmp_path / 'alone.html').read_text()
        assert 'There is no `in` folder' in html and 'class="chart' in html
    empty = tmp_path / 'empty'
    empty.mkdir()
    assert 'No result of a training' in write_report(empty, tmp_path / 'alone.html').read_text()
    with pytest.raises(FileNotFoundError, match='is not a folder'):
        write_report(tmp_path / 'nowhere', tmp_path / 'alone.html')


NASTY = [None, float('inf'), 'x', ['a', 3], {'a': 1}]


@pytest.mark.parametrize('value', NASTY, ids=repr)
def test_any_value_in_any_key(inference, training, tmp_path, images, class_names, value):
    """A page is made whatever stands in the files: one key after the other gets a value of another kind."""
    for task, files in (
        (inference, ('in/config.yaml', 'in/env.yaml')),
        (training, ('in/config.yaml', 'in/env.yaml', 'out/models/result.yaml')),
    ):
        for file in files:
            path = task.work_dir / file
            before = path.read_text(encoding='utf-8')
            content = yaml.safe_load(before)
            content.update({key: value for key in content if not key.startswith('run_')})
            path.write_text(yaml.safe_dump(content), encoding='utf-8')
            page = report(task, tmp_path, labels=runs.dataset(images, class_names)).html
            assert '<h1' in page and page.rstrip().endswith('</html>'), file
            content = dict(
                yaml.safe_load(before),
                model=value,
                map=value,
                model_stages={'a': value, 'b': {'files': value, 'mAP': value, 'timestamp': value, 'mAP_50': value}},
            )
            path.write_text(yaml.safe_dump(content), encoding='utf-8')
            page = report(task, tmp_path, labels=runs.dataset(images, class_names)).html
            assert '<h1' in page and page.rstrip().endswith('</html>'), file
            path.write_text(before, encoding='utf-8')


def test_class_names_that_stand_twice(inference, tmp_path, images, class_names):
    """An unknown class gets a row of its own, also where config.yaml names a class twice."""
    config = yaml.safe_load((inference.in_dir / 'config.yaml').read_text(encoding='utf-8'))
    config['class_names'] = ['Target', 'target', 'crate']
    (inference.in_dir / 'config.yaml').write_text(yaml.safe_dump(config))
    rows = {row[0]: int(row[1]) for row in report(inference, tmp_path).table('class')[1:]}
    counts = [sum(box.class_index == k for image in images for box in image.boxes) for k in range(3)]
    assert list(rows) == ['Target', 'target', 'crate', 'star'] and rows['star'] == counts[2]
    assert rows['Target'] + rows['target'] == counts[0] and rows['crate'] == counts[1]


def test_languages(inference, tmp_path):
    assert '<html lang="en" data-open="en">' in report(inference, tmp_path).html
    html = report(inference, tmp_path, language='zh').html
    assert '<html lang="zh" data-open="zh">' in html and '>推理报告</title>' in html
    assert 'data-open="both"' in report(inference, tmp_path, language='both').html
    with pytest.raises(ValueError, match='allowed: en, zh, both'):
        report(inference, tmp_path, language='de')


def test_every_text_stands_in_both_languages(inference, training, tmp_path, images, class_names):
    for task in (inference, training):
        html = report(task, tmp_path, labels=runs.dataset(images, class_names)).html
        assert html.count('class="en"') == html.count('class="zh"') > 20
        assert not re.search(
            r'\{[a-z0-9:., ]*\}', re.sub(r'<(style|script)>.*?</\1>', '', html, flags=re.S)
        )  # unfilled


def test_the_page_needs_nothing_beside_it(inference, tmp_path, images, class_names):
    page = report(inference, tmp_path, labels=runs.dataset(images[:3], class_names))
    assert page.addresses and all(address.startswith(('data:image/jpeg;base64,', '#')) for address in page.addresses)
    assert not re.search(r'https?:|url\(|@import|<link', page.html)
    assert 'of 6 images have no labels' in page.html
    labels = re.findall(r'<svg class="(?:chart|picture)[^>]*>', page.html)
    assert labels and all('aria-label="' in label for label in labels)


def test_helpers(tmp_path):
    assert [duration(seconds).en for seconds in (9.6, 61, 3720)] == ['10 s', '1 min 1 s', '1 h 2 min']
    (tmp_path / 'infer-result.json').write_text(
        json.dumps(
            {
                'detection': {
                    'a/b.jpg': {
                        'annotations': [
                            {'class_name': ' Cat', 'score': '0.5', 'box': {'x': '1', 'y': 2, 'w': 3}},
                            {'class_name': 'x', 'score': math.nan, 'box': {}},
                        ]
                    }
                }
            }
        )
    )
    assert read_run(tmp_path).detections == {'b.jpg': [DetectedObject('cat', 0.5, (1, 2, 3, 0))]}


def test_an_installed_package_has_the_templates():
    project = (Path(__file__).resolve().parents[3] / 'pyproject.toml').read_text(encoding='utf-8')
    line = next(line for line in project.splitlines() if line.startswith('ymir_local = ['))
    assert '"report/templates/*"' in line and '"texts/*.yaml"' in line
