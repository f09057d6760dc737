import os
import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import yaml

from tests.ymir_local.report import runs
from tests.ymir_local.report.reader import Page, report
from ymir_exc.preflight import PreflightRow, preflight_file
from ymir_exc.training_summary import CLASS_NUMBERS, TrainingSummary, read_training_summary, write_training_summary
from ymir_local.platform.event_scalars import scalars_of
from ymir_local.report import write_report


def test_training(training, tmp_path, images, class_names):
    page = report(training, tmp_path)
    assert page.table('parameter')[1:] == [['max_epochs', '30', '100'], ['model_name', 'yolov8_s', 'yolov8_n']]
    best, last = page.table('stage')[1:]
    assert [cell.strip() for cell in best[:4]] == ['best ★ best', '10', '0.2500', 'mAP_50 0.375'] and best[
        4
    ] == 'best.pth (2.0 KB)'
    assert last[:3] == ['last', '15', '0.2000']
    counts = [
        [str(sum(box.class_index == k for image in part for box in image.boxes)) for part in (images[:3], images[3:])]
        for k in range(3)
    ]
    assert [row[1:3] for row in page.table('class')[1:]] == counts
    assert [row[3] for row in page.table('class')] == ['AP of the best model', '0.375', '0.125', '–']
    text = ' '.join(page.text)
    assert f'Weakest by AP: {class_names[1]} (0.125)' in text
    assert ['warm-up', '50 steps'] in page.table('model') and ['PyTorch', '2.13.0'] in page.table('Python')
    assert page.table('')[:3] == [
        ['', 'training', 'validation'],
        ['images used', '3', '3'],
        ['width (min, median, max)', '64, 64, 64', ''],
    ]
    assert [[row[0].strip(), *row[1:]] for row in page.table('')[3:]] == [
        [name, *map(str, counts)] for name, counts in zip(class_names, [[3, 4], [5, 6], [7, 0]])
    ]
    titles = re.findall(r'<title>([^<]*)</title>', page.html)
    assert 'mAP: 0.25 (10)' in titles and 'mAP_s' not in titles and 'loss: 10 (1)' in titles
    assert 'class="state done"' in page.html and 'id="failure"' not in page.html
    assert re.search('Time waiting for data.{0,200}41 %', text) and '4, needed: 7' in text


def test_what_is_kept_with_the_model(training, tmp_path):
    """Files lead from where the page stands; thresholds stand beside the AP of each class."""
    out = training.out_dir
    summary = read_training_summary(out)
    numbers = dict.fromkeys(CLASS_NUMBERS, 0)
    summary.best_classes = [
        {**numbers, 'name': name, 'score_threshold': score, 'precision': 0.5, 'recall': None}
        for name, score in zip(summary.class_names, (0.25, None, 0.75))
    ]
    write_training_summary(out, summary)
    folder = out / 'models/attachments/evaluation'
    folder.mkdir(parents=True)
    for name in ('pr-curves.png', '<b>#1?.csv'):
        (folder / name).write_text('x' * 2048)
    result = out / 'models/result.yaml'
    content = yaml.safe_load(result.read_text())
    names = ['pr-curves.png', '<b>#1?.csv', 'missing.png', '../../result.yaml', '/etc/passwd', 'a\0b']
    result.write_text(yaml.safe_dump({**content, 'attachments': {'evaluation': names, '..': ['result.yaml']}}))
    page = report(training, tmp_path)
    header, *rows = page.table('class')
    assert header[4:7] == ['Best score threshold', 'Precision there', 'Recall there']
    assert [row[4:7] for row in rows] == [['0.250', '0.500', '–'], ['–', '0.500', '–'], ['0.750', '0.500', '–']]
    links = [address for address in page.addresses if 'attachments' in address and not address.startswith('#')]
    assert [unquote(link) for link in links] == [
        f'{os.path.relpath(folder, tmp_path)}/{name}' for name in ('pr-curves.png', '<b>#1?.csv')
    ]
    assert '<b>#1' not in page.html and 'evaluation/pr-curves.png' in page.html and '2.0 KB' in page.html


def test_what_the_check_of_the_data_found(training, tmp_path):
    assert 'What the check of the data found' not in report(training, tmp_path).html  # of an executor without it
    rows = [
        PreflightRow('training', '/in/assets/a.jpg', '', 'truncated image', '10 bytes', 'image skipped'),
        PreflightRow('training', '/in/a.txt', '3', 'inverted box', '<b>x 2 to 1</b>', 'box skipped'),
        PreflightRow('validation', '/in/b.txt', '7', 'inverted box', 'x 9 to 5', 'box skipped'),
        PreflightRow('training', '', '', 'class without a box', 'cat', 'kept'),
        PreflightRow('training', 'c', '', 'a kind of tomorrow', 'd', 'mended'),
    ]
    with preflight_file(str(training.out_dir)) as write:
        for row in rows:
            write(row)
    page = report(training, tmp_path)
    assert page.table('finding') == [
        ['finding', 'training', 'validation', 'done', 'first example'],
        ['Truncated image', '1', '0', 'image skipped', 'a.jpg (10 bytes)'],
        ['Inverted box', '1', '1', 'box skipped', 'a.txt: 3 (<b>x 2 to 1</b>)'],
        ['Class without a box', '1', '0', 'kept', 'cat'],
        ['a kind of tomorrow', '1', '0', 'mended', 'c (d)'],
    ]
    assert '<b>x' not in page.html and 'preflight.csv in the output folder' in page.html
    (training.out_dir / 'preflight.csv').write_text('broken')
    page = report(training, tmp_path)
    assert 'preflight.csv cannot be read as a table of findings' in page.html and 'First example' not in page.html
    with preflight_file(str(training.out_dir)):
        pass
    assert 'It found nothing wrong.' in report(training, tmp_path).html


def test_a_time_budget_and_the_epochs_that_came_of_it(tmp_path, images, class_names):
    task = runs.training(tmp_path / 'training', images, class_names, {'max_minutes': 7.5, 'max_epochs': 100})
    runs.write_events(task, {'coco/bbox_mAP': [(100, 0.1), (212, 0.25)]})
    runs.write_stages(task, {'best': 0.25}, 'best')
    write_training_summary(task.out_dir, TrainingSummary(epochs=212, best_epoch=212, best_metrics={'mAP': 0.25}))
    runs.finish(task)
    page = report(task, tmp_path)
    assert re.search(r'Time budget in minutes.{0,200}7\.5', ' '.join(page.text)) and ' 212 ' in ' '.join(page.text)
    assert page.table('stage')[1][1] == '212'


@pytest.mark.parametrize('known, shown', [(4, '4'), (0, 'auto')])
def test_the_batch_that_was_chosen(tmp_path, images, class_names, known, shown):
    task = runs.training(tmp_path / 'training', images, class_names, {'samples_per_gpu': 'auto'})
    write_training_summary(task.out_dir, TrainingSummary(samples_per_gpu=known))
    runs.finish(task)
    assert re.search(rf'Batch size per device.{{0,50}} {shown} ', ' '.join(report(task, tmp_path).text))


@pytest.mark.parametrize('text', ['0', '0.0', 'soon', ''])
def test_no_time_budget_as_text(tmp_path, images, class_names, text):
    task = runs.training(tmp_path / 'training', images, class_names, {'max_minutes': text, 'max_epochs': 77})
    runs.finish(task)
    words = ' '.join(report(task, tmp_path).text)
    assert 'Time budget in minutes' not in words and re.search(r'Epochs.{0,50} 77 ', words)


def test_the_model_on_the_validation_images(training, tmp_path, images, class_names):
    hint = 'ymir report RUN --evaluate'
    assert hint in report(training, tmp_path).html
    paths = [line.split('\t')[0] for line in (training.in_dir / 'val-index.tsv').read_text().splitlines()]
    task = runs.candidates(training.work_dir / 'validation', [Path(path) for path in paths], class_names)
    objects = [
        [(class_names[box.class_index], 0.9, box.x, box.y, box.w, box.h) for box in image.boxes] for image in images[3:]
    ]
    runs.write_detections(task, [objects[0][1:], *objects[1:]])
    runs.finish(task)
    page = report(training, tmp_path)
    assert hint not in page.html and 'The model on the validation images' in page.html
    labelled, found = sum(map(len, objects)), sum(map(len, objects)) - 1
    assert f'are found ({found} of {labelled}); of the boxes all are right ({found} of {found})' in page.html
    assert page.table('parameter') and 'Missed</span>' in page.html
    (task.work_dir / 'run.yaml').write_text('ok: false')  # it failed after it had written a part
    assert hint in report(training, tmp_path).html


@pytest.mark.parametrize(
    'content, gap',
    [
        (None, ''),
        ('{}', ''),
        ('{"class_names": ["other"], "best_metrics": {"mAP": 0.25}, "best_class_ap": [0.5]}', ''),
        ('{"recipe": [', 'training-summary.json cannot be read as JSON'),
        ('{"recipe": 3}', 'training-summary.json: recipe must be a list of pairs'),
        ('\x00', 'training-summary.json cannot be read as JSON'),
    ],
)
def test_a_training_without_a_usable_summary(training, tmp_path, content, gap):
    """Runs of other executors and older ones have none, and their logs are not searched for tables."""
    summary = training.out_dir / 'training-summary.json'
    summary.unlink()
    if content is not None:
        summary.write_text(content)
    runs.finish(training, log='Recipe\n+---+\n| model | of the log |\n+---+\nSystem environment:\n    Python: 3.11.7\n')
    page = report(training, tmp_path)
    assert page.table('stage')[1][1:3] == ['10', '0.2500']
    assert page.table('class')[0] == ['class', 'training objects', 'validation objects', '']
    assert 'of the log' not in page.html and '3.11.7' not in page.html and 'Weakest by AP' not in page.html
    assert ('training-summary.json' in page.html) == bool(gap) and gap in page.html


def test_precisions_of_a_model_that_was_replaced_are_not_shown(training, tmp_path):
    """Killed between result.yaml and the summary."""
    runs.write_stages(training, {'best': 0.3, 'last': 0.3}, 'best')
    page = report(training, tmp_path)
    assert 'AP of the best model' not in page.html and 'Weakest by AP' not in page.html
    assert ['warm-up', '50 steps'] in page.table('model')


def test_the_summary_alone_gives_the_classes(training, tmp_path, class_names):
    page = Page(write_report(runs.move_out(training, tmp_path / 'alone' / 'out'), tmp_path / 'report.html'))
    assert [row[:4] for row in page.table('class')[1:]] == [
        [class_names[0], '3', '4', '0.375'],
        [class_names[1], '5', '6', '0.125'],
        [class_names[2], '7', '0', '–'],
    ]


def test_failed_training(training, tmp_path):
    (training.out_dir / 'models' / 'result.yaml').unlink()
    runs.finish(training, 0.3, 4, 300103, 'CUDA out of memory <here>.', '\n'.join(f'line {k}' for k in range(9)))
    html = report(training, tmp_path).html
    assert 'The run failed: code 300103' in html and 'CUDA out of memory &lt;here&gt;.' in html
    assert '<pre>line 4\nline 5\nline 6\nline 7\nline 8</pre>' in html and 'Lower samples_per_gpu' in html
    assert 'There is no out/models/result.yaml' in html and 'class="state failed"' in html


def test_training_with_broken_files(training, tmp_path):
    events = next((training.out_dir / 'tensorboard').glob('*tfevents*'))
    events.write_bytes(events.read_bytes()[:-7])
    assert 'mAP: 0.25 (10)' in report(training, tmp_path).html
    events.write_bytes(b'nonsense' * 10)
    (training.out_dir / 'models' / 'result.yaml').write_text(
        'model_stages: {best: 3, last: {files: [a.pth]}}\nbest_stage_name: best'
    )
    page = report(training, tmp_path)
    assert 'There are no curves' in page.html and page.table('stage')[1][4] == 'a.pth (missing)'


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


def test_accuracy_over_steps_is_not_called_epochs(training, tmp_path):
    """Some executors log accuracy by step: the chart says so, and no stage gets an epoch."""
    (training.out_dir / 'training-summary.json').unlink()
    runs.write_events(training, {'val/mAP': [(500, 0.1), (1000, 0.25)]})
    for path in (training.out_dir / 'tensorboard').glob('*tfevents*'):
        if b'coco/bbox_mAP' in path.read_bytes():
            path.unlink()
    page = report(training, tmp_path)
    assert page.table('stage')[1][1] == '' and 'epoch</tspan>' not in page.html
    assert 'The best model has mAP 0.250 (mAP50 0.375); 1 is perfect.' in page.html


def test_scalars_in_both_forms(tmp_path):
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.util.tensor_util import make_tensor_proto

    values = [
        Summary.Value(tag='old', simple_value=0.5),
        Summary.Value(tag='new', tensor=make_tensor_proto(0.25)),
        Summary.Value(tag='double', tensor=make_tensor_proto(np.float64(0.125))),
        Summary.Value(tag='count', tensor=make_tensor_proto(np.int64(3))),
        Summary.Value(tag='text', tensor=make_tensor_proto('x')),
        Summary.Value(tag='many', tensor=make_tensor_proto(np.zeros(3, np.float32))),
    ]
    assert dict(scalars_of(Event(summary=Summary(value=values)))) == {
        'old': 0.5,
        'new': 0.25,
        'double': 0.125,
        'count': 3,
    }
