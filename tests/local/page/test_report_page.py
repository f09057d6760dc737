import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from tests.local.page import runs
from ymir.local.labels import Dataset, LabelledBox, LabelledImage
from ymir.local.page import pictures, write_report
from ymir.local.page.mining import reason_of
from ymir.local.page.pictures import ABSENT, BROKEN, LEFT_OUT, Album
from ymir.local.page.run_files import Found, ascii_table, read_run
from ymir.local.page.training import duration


class Page(HTMLParser):
    """What stands in a report: tables as English text, titles, addresses."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.html = file.read_text(encoding='utf-8')
        self.tables, self.addresses, self.text, self.skip, self.in_cell = [], [], [], 0, False
        self.feed(self.html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.skip += bool(self.skip) or attrs.get('class') == 'zh' if tag in ('span', 'tspan') else 0
        self.addresses += [attrs[name] for name in ('src', 'href') if name in attrs]
        if tag == 'table':
            self.tables.append([])
        elif tag == 'tr':
            self.tables[-1].append([])
        elif tag in ('td', 'th'):
            self.tables[-1][-1].append('')
            self.in_cell = True

    def handle_endtag(self, tag):
        if tag in ('span', 'tspan') and self.skip:
            self.skip -= 1
        self.in_cell = self.in_cell and tag not in ('td', 'th')

    def handle_data(self, data):
        if not self.skip:
            self.text.append(data)
            if self.in_cell:
                self.tables[-1][-1][-1] += data

    def table(self, first: str):
        return next(table for table in self.tables if table[0][0] == first)


@pytest.fixture
def inference(tmp_path, images, class_names):
    """A finished inference whose predictions are the labels: the first moved off, the second of another class."""
    objects = [[(class_names[box.class_index], 0.9, box.x, box.y, box.w, box.h) for box in image.boxes]
               for image in images]
    task = runs.candidates(tmp_path / 'infer', [image.path for image in images], class_names)
    runs.write_detections(task, objects)
    runs.finish(task)
    return task


def report(task, tmp_path, **options) -> Page:
    return Page(write_report(task.out_dir, tmp_path / 'report.html', **options))


def test_perfect_predictions(inference, tmp_path, images, class_names):
    page = report(inference, tmp_path, labels=runs.dataset(images, class_names))
    count = [sum(box.class_index == k for image in images for box in image.boxes) for k in range(3)]
    rows = page.table('class')
    assert rows[0] == [
        'class', 'objects', 'found', 'precision', 'recall', 'AP50', 'AP50:95', 'best threshold', 'F1 there'
    ]
    for row, name, num in zip(rows[1:], class_names, count):
        assert row == ([name, str(num), str(num), *['1.000'] * 4, '0.900', '1.000']
                       if num else [name, '0', '0', *['–'] * 6])
    assert '<dd id="map">1.000</dd>' in page.html
    assert 'There are no mistakes' in page.html
    assert 'Images with most mistakes' not in page.html and 'id="gaps"' not in page.html


def test_numbers_by_hand(tmp_path, images):
    """Two images: one box found, one missed, one invented."""
    names = ['a', 'b']
    labelled = [
        LabelledImage(images[0].path, 64, 64, (LabelledBox(0, 0, 0, 20, 20), LabelledBox(1, 30, 30, 20, 20))),
        LabelledImage(images[1].path, 64, 64, (LabelledBox(0, 5, 5, 20, 20), ))
    ]
    task = runs.candidates(tmp_path / 'infer', [image.path for image in labelled], names)
    runs.write_detections(task, [[('a', 0.8, 0, 0, 20, 20), ('b', 0.4, 0, 40, 8, 8)], [('a', 0.6, 40, 40, 10, 10)]])
    runs.finish(task)
    page = report(task, tmp_path, labels=runs.dataset(labelled, names))
    # F1: at 0.8 2*1/(1+3) = 0.5, lower scores add only mistakes
    assert page.table('class')[1:] == [['a', '2', '1', '1.000', '0.500', '0.505', '0.505', '0.800', '0.667'],
                                       ['b', '1', '0', '–', '0.000', '0.000', '0.000', '–', '0.000']]
    assert '<dd id="map50">0.252</dd>' in page.html
    assert re.search(r'Missed</span>.*?class="count">2<', page.html, re.S)


def test_labels_are_found_by_source_by_hash_and_by_name(inference, tmp_path, images, class_names):
    copies = []
    for k, image in enumerate(images):
        copies.append(LabelledImage(tmp_path / f'copy{k}.jpg', image.width, image.height, image.boxes))
        copies[-1].path.write_bytes(image.path.read_bytes())
    assert '<dd id="map">1.000</dd>' in report(inference, tmp_path, labels=runs.dataset(copies, class_names)).html
    (inference.in_dir / 'candidate-src-index.tsv').unlink()
    page = report(
        inference,
        tmp_path,
        labels=Dataset(
            ('star', 'TARGET ', 'crate', 'bird'), {
                'all':
                tuple(
                    LabelledImage(
                        i.path, i.width, i.height,
                        tuple(LabelledBox((box.class_index + 1) % 3, box.x, box.y, box.w, box.h) for box in i.boxes))
                    for i in images)
            }))
    assert '<dd id="map">1.000</dd>' in page.html  # classes are joined by name


def test_annotations_of_the_run_serve_as_labels(inference, tmp_path, images):
    for asset, image in zip((inference.in_dir / 'candidate-index.tsv').read_text().split(), images):
        (inference.in_dir / 'annotations' / f'{Path(asset).stem}.txt').write_text(''.join(
            f'{b.class_index}, {b.x}, {b.y}, {b.x + b.w - 1}, {b.y + b.h - 1}, -1.0, 0.0\n' for b in image.boxes))
    assert '<dd id="map">1.000</dd>' in report(inference, tmp_path).html


def test_without_labels(inference, tmp_path, images, class_names):
    page = report(inference, tmp_path)
    boxes = [box.class_index for image in images for box in image.boxes]
    for row, name, k in zip(page.table('class')[1:], class_names, range(3)):
        assert row[:2] == [name, str(boxes.count(k))] and row[3] == ('0.900' if k in boxes else '–')
    assert 'No labels are known' in page.html and 'id="map"' not in page.html


def test_nothing_found(tmp_path, images, class_names):
    task = runs.candidates(tmp_path / 'infer', [image.path for image in images], class_names)
    runs.write_detections(task, [[]] * len(images))
    runs.finish(task)
    page = report(task, tmp_path, labels=runs.dataset(images, class_names))
    assert 'Nothing was found' in page.html and '<dd id="map">0.000</dd>' in page.html
    assert 'Images without boxes' in report(task, tmp_path).html


@pytest.mark.parametrize('num_classes', [1, 80, 150])
def test_any_number_of_classes_and_any_name(tmp_path, images, num_classes):
    names = ['猫 🐈 <b>"&\'', *(f'class {k} 类别' for k in range(1, num_classes))]
    labelled = [
        LabelledImage(image.path, image.width, image.height,
                      tuple(LabelledBox(k % num_classes, k % 40, k % 40, 20, 20) for k in range(n * 30, n * 30 + 30)))
        for n, image in enumerate(images)
    ]
    task = runs.candidates(tmp_path / 'infer', [image.path for image in images], names)
    runs.write_detections(task, runs.jittered(labelled, names))
    runs.finish(task)
    page = report(task, tmp_path, labels=runs.dataset(labelled, names))
    assert len(page.table('class')) == num_classes + 1
    assert page.table('class')[1][0] == names[0] and '<b>"&' not in page.html
    assert len(page.html) < 8_000_000
    assert ('heat-map' in page.html.partition('<body>')[2]) == (num_classes <= 100)


def test_odd_images(tmp_path, class_names):
    tiny, large, broken, empty = (tmp_path / name for name in ('一 tiny.png', 'large.jpg', 'broken.jpg', 'empty.jpg'))
    cv2.imencode('.png', np.zeros((1, 1, 3), np.uint8))[1].tofile(tiny)
    cv2.imencode('.jpg', np.full((6000, 8000, 3), 90, np.uint8))[1].tofile(large)
    broken.write_bytes(b'\xff\xd8\xff broken')
    empty.write_bytes(b'')
    paths = [tiny, large, broken, empty]
    task = runs.candidates(tmp_path / 'infer', paths, class_names)
    runs.write_detections(
        task, [[('star', 0.5, 0, 0, 1, 1)], [('star', 0.9, -50, 4000, 3000, 9000)], [('crate', 0.4, 1, 1, 2, 2)], []])
    runs.finish(task)
    assert report(task, tmp_path).html.count('class="no-picture"') == 2
    labels = runs.dataset([LabelledImage(path, 1, 1, (LabelledBox(0, 0, 0, 1, 1), )) for path in paths], class_names)
    page = report(task, tmp_path, labels=labels)
    assert BROKEN.en in page.html and len(page.html) < 2_000_000


def test_album(tmp_path, images):
    album = Album()
    whole = album.whole(images[0].path, 32)
    assert max(whole.width, whole.height) == 32
    assert album.whole(images[0].path, 32) is whole and len(album.pictures) == 1
    assert album.whole(tmp_path / 'no.jpg', 32).problem == ABSENT == album.whole(None, 32).problem
    small = Album(max_bytes=10)
    assert small.whole(images[0].path, 32).problem == LEFT_OUT
    # a box of 10 x 10 in the middle, shown with half as much again on each side
    cv2.imwrite(str(tmp_path / 'grey.png'), np.zeros((100, 100, 3), np.uint8))
    crop = album.crop(tmp_path / 'grey.png', (45, 45, 10, 10), 100)
    assert crop.origin == (40, 40) and crop.scale == pytest.approx(100 / 21)


def test_pictures_stay_within_their_allowance(inference, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, 'MAX_BYTES', 6000)
    monkeypatch.setattr(pictures.Album.__init__, '__defaults__', (6000, ))
    page = report(inference, tmp_path)
    assert sum(len(address) for address in page.addresses if address.startswith('data:')) <= 6000
    assert LEFT_OUT.en in page.html


def test_mining_and_inference(tmp_path, images, class_names):
    objects = [[('star', 0.5, 1, 1, 9, 9), ('crate', 0.25, 2, 2, 9, 9)], [], *[[('star', 0.9, 1, 1, 9, 9)]] * 4]
    task = runs.candidates(tmp_path / 'mining', [image.path for image in images], class_names, mining=True)
    runs.write_detections(task, objects)
    runs.write_ranking(task, objects)
    runs.finish(task)
    page = report(task, tmp_path)
    text = ' '.join(page.text)
    assert '#1 · 1' in text and '1 = 0.50 + 0.50' in text and '2 boxes: 0.50, 0.25' in text
    assert '#6 · 0' in text and 'no boxes' in text
    assert text.index(images[0].path.name) < text.index(images[1].path.name)
    assert 'Mining and inference report' in text


def test_reason():
    boxes = [Found('a', 0.5, (0, 0, 1, 1)), Found('b', 0.25, (0, 0, 1, 1))]
    assert [part and part.en for part in reason_of(1.0, boxes, 'entropy')] == ['2 boxes: 0.50, 0.25', '1 = 0.50 + 0.50']
    assert 'another threshold' in reason_of(2.0, boxes, 'entropy')[1].en
    assert reason_of(2.0, boxes, 'other') == (reason_of(1.0, boxes, 'entropy')[0], None)
    assert reason_of(2.0, None, 'entropy') == (None, None)


def test_a_ranking_out_of_order_and_without_numbers_is_told(tmp_path, images, class_names):
    task = runs.candidates(tmp_path / 'mining', [image.path for image in images], class_names, mining=True)
    (task.out_dir / 'result.tsv').write_text('/in/assets/a.jpg\t0.1\n/in/assets/b.jpg\tnan\n/in/assets/c.jpg\t0.4\n')
    html = report(task, tmp_path).html
    assert 'is not sorted' not in html and '1 lines of result.tsv have no finite score' in html
    (task.out_dir / 'result.tsv').write_text('/in/assets/a.jpg\t0.1\n/in/assets/c.jpg\t0.4\n')
    assert 'is not sorted' in report(task, tmp_path).html


@pytest.fixture
def training(tmp_path, images, class_names):
    task = runs.training(tmp_path / 'training', images, class_names, dict(model_name='yolov8_s', max_epochs=30))
    runs.write_events(
        task, {
            'loss': [(k, 10 / k) for k in range(1, 41)],
            'loss_cls': [(k, 4 / k) for k in range(1, 41)],
            'lr': [(k, 0.01 / k) for k in range(1, 41)],
            'coco/bbox_mAP': [(5, 0.1), (10, 0.25), (15, 0.2)],
            'coco/bbox_mAP_s': [(5, -1.0)],
        })
    runs.write_stages(task, dict(best=0.25, last=0.2), 'best')
    table = [
        'Recipe', '+-----+', '| model | yolov8_s (x) |', '| warm-up | 50 steps |', '+-----+', 'System environment:',
        '    Python: 3.11.7', '    Secret: no', '    PyTorch: 2.13.0', 'Runtime environment:'
    ]
    runs.finish(task, log='\n'.join(table))
    return task


def test_training(training, tmp_path, images, class_names):
    page = report(training, tmp_path)
    assert page.table('parameter')[1:] == [['max_epochs', '30', '100'], ['model_name', 'yolov8_s', 'yolov8_n']]
    best, last = page.table('stage')[1:]
    assert [cell.strip()
            for cell in best[:4]] == ['best ★ best', '10', '0.2500', 'mAP_50 0.375'] and best[4] == 'best.pth (2.0 KB)'
    assert last[:3] == ['last', '15', '0.2000']
    counts = [[
        str(sum(box.class_index == k for image in part for box in image.boxes)) for part in (images[:3], images[3:])
    ] for k in range(3)]
    assert [row[1:3] for row in page.table('class')[1:]] == counts
    assert ['warm-up', '50 steps'] in page.table('model') and ['PyTorch', '2.13.0'] in page.table('Python')
    titles = re.findall(r'<title>([^<]*)</title>', page.html)
    assert 'mAP: 0.25 (10)' in titles and 'mAP_s' not in titles and 'loss: 10 (1)' in titles
    assert 'class="state done"' in page.html and 'id="failure"' not in page.html


def test_failed_training(training, tmp_path):
    (training.out_dir / 'models' / 'result.yaml').unlink()
    runs.finish(training, 0.3, 4, 300103, 'CUDA out of memory <here>.', '\n'.join(f'line {k}' for k in range(9)))
    html = report(training, tmp_path).html
    assert 'The run failed: code 300103' in html and 'CUDA out of memory &lt;here&gt;.' in html
    assert '<pre>line 4\nline 5\nline 6\nline 7\nline 8</pre>' in html and 'Lower samples_per_gpu' in html
    assert 'There is no out/models/result.yaml' in html and 'class="state failed"' in html


@pytest.mark.parametrize('file, content, told', [
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
])
def test_missing_and_broken_files_are_told(inference, tmp_path, file, content, told):
    path = inference.work_dir / file
    path.unlink()
    if content is not None:
        path.write_text(content)
    assert told in report(inference, tmp_path).html


def test_training_with_broken_files(training, tmp_path):
    events = next((training.out_dir / 'tensorboard').glob('*tfevents*'))
    events.write_bytes(events.read_bytes()[:-7])
    assert 'mAP: 0.25 (10)' in report(training, tmp_path).html
    events.write_bytes(b'nonsense' * 10)
    (training.out_dir / 'models' /
     'result.yaml').write_text('model_stages: {best: 3, last: {files: [a.pth]}}\nbest_stage_name: best')
    page = report(training, tmp_path)
    assert 'There are no curves' in page.html and page.table('stage')[1][4] == 'a.pth (missing)'


def test_out_alone(inference, training, tmp_path):
    for name, task in (('a', inference), ('b', training)):
        out = runs.move_out(task, tmp_path / name / 'result')
        html = write_report(out, tmp_path / 'alone.html').read_text()
        assert 'There is no `in` folder' in html and 'class="chart' in html
    empty = tmp_path / 'empty'
    empty.mkdir()
    assert 'No result of a training' in write_report(empty, tmp_path / 'alone.html').read_text()
    with pytest.raises(FileNotFoundError, match='is no folder'):
        write_report(tmp_path / 'nowhere', tmp_path / 'alone.html')


def test_languages(inference, tmp_path):
    assert '<html lang="en" data-open="en">' in report(inference, tmp_path).html
    html = report(inference, tmp_path, language='zh').html
    assert '<html lang="zh" data-open="zh">' in html and '<title>推理报告</title>' in html
    assert 'data-open="both"' in report(inference, tmp_path, language='both').html
    with pytest.raises(ValueError, match="allowed: en, zh, both"):
        report(inference, tmp_path, language='de')


def test_every_text_stands_in_both_languages(inference, training, tmp_path, images, class_names):
    for task in (inference, training):
        html = report(task, tmp_path, labels=runs.dataset(images, class_names)).html
        assert html.count('class="en"') == html.count('class="zh"') > 20
        assert not re.search(r'\{[a-z0-9:., ]*\}', re.sub(r'<(style|script)>.*?</\1>', '', html,
                                                          flags=re.S))  # unfilled


def test_the_page_needs_nothing_beside_it(inference, tmp_path, images, class_names):
    page = report(inference, tmp_path, labels=runs.dataset(images[:3], class_names))
    assert page.addresses and all(address.startswith(('data:image/jpeg;base64,', '#')) for address in page.addresses)
    assert not re.search(r'https?:|url\(|@import|<link', page.html)
    assert 'of 6 images have no labels' in page.html
    labels = re.findall(r'<svg class="(?:chart|picture)[^>]*>', page.html)
    assert labels and all('aria-label="' in label for label in labels)


def test_helpers(tmp_path):
    assert ascii_table(['x', 'Data', '+---+', '|   | a |', '|---+---|', '| n | 1 |', '+---+', 'y'],
                       'Data') == [['', 'a'], ['n', '1']]
    assert ascii_table(['Data', 'nothing'], 'Data') == []
    assert [duration(seconds).en for seconds in (9.6, 61, 3720)] == ['10 s', '1 min 1 s', '1 h 2 min']
    (tmp_path / 'infer-result.json').write_text(
        json.dumps({
            'detection': {
                'a/b.jpg': {
                    'annotations': [
                        dict(class_name=' Cat', score='0.5', box=dict(x='1', y=2, w=3)),
                        dict(class_name='x', score=math.nan, box={})
                    ]
                }
            }
        }))
    assert read_run(tmp_path).detections == {'b.jpg': [Found('cat', 0.5, (1, 2, 3, 0))]}


NASTY = [None, float('inf'), 'x', ['a', 3], {'a': 1}]


@pytest.mark.parametrize('value', NASTY, ids=repr)
def test_any_value_in_any_key(inference, training, tmp_path, images, class_names, value):
    """A page is made whatever stands in the files: one key after the other gets a value of another kind."""
    for task, files in ((inference, ('in/config.yaml', 'in/env.yaml')),
                        (training, ('in/config.yaml', 'in/env.yaml', 'out/models/result.yaml'))):
        for file in files:
            path = task.work_dir / file
            before = path.read_text(encoding='utf-8')
            content = yaml.safe_load(before)
            content.update({key: value for key in content if not key.startswith('run_')})
            path.write_text(yaml.safe_dump(content), encoding='utf-8')
            report(task, tmp_path, labels=runs.dataset(images, class_names))
            content = dict(yaml.safe_load(before), model=value, map=value, model_stages={'a': value, 'b': {
                'files': value, 'mAP': value, 'timestamp': value, 'mAP_50': value}})
            path.write_text(yaml.safe_dump(content), encoding='utf-8')
            report(task, tmp_path, labels=runs.dataset(images, class_names))
            path.write_text(before, encoding='utf-8')


def test_the_old_form_of_a_training_result(training, tmp_path):
    (training.out_dir / 'models' / 'result.yaml').write_text('model: [best.pth, a.json]\nmap: 0.61\n')
    rows = report(training, tmp_path).table('stage')
    assert [cell.strip() for cell in rows[1][:3]] == ['default_best_stage ★ best', '', '0.6100']
    assert rows[1][4] == 'best.pth (2.0 KB)a.json (missing)'


def test_parameters_of_another_image_are_not_compared(training, tmp_path):
    (training.in_dir / 'config.yaml').write_text('{model_name: other, their_key: 3, class_names: [a]}')
    env = training.in_dir / 'env.yaml'
    env.write_text(re.sub('manifest_file: .*', 'manifest_file: /img-man/manifest.yaml', env.read_text()))
    page = report(training, tmp_path)
    assert 'differ from the template' not in page.html and ['their_key', '3'] in page.table('model_name')


def test_an_installed_package_has_the_templates():
    project = (Path(__file__).resolve().parents[3] / 'pyproject.toml').read_text(encoding='utf-8')
    line = next(line for line in project.splitlines() if line.startswith('ymir = ['))
    assert '"local/page/templates/*"' in line
