"""`ymir labels`: the table of doubtful labels of a training, on the terminal, as JSON and as a file."""

import json
from pathlib import Path

import pytest

from tests.ymir_local.report import runs
from ymir_exc.label_check import read_labels_to_check
from ymir_local.platform.prepare import SOURCES_FILE


@pytest.fixture
def task(tmp_path, images, class_names):
    task = runs.training(tmp_path / 'run', images, class_names)
    runs.write_stages(task, {'best': 0.25, 'last': 0.2}, 'best')
    return task


@pytest.fixture
def rows(task, images, class_names):
    rows = runs.label_rows(task, images, class_names)
    runs.store_label_rows(task, rows)
    return rows


def test_table(ymir, task, rows, images):
    code, text, errors = ymir('labels', task.work_dir)
    assert code == 0, errors
    lines = [line for line in text.splitlines() if line.startswith('│')]
    assert len(lines) == 4
    for rank, (line, row, kind) in enumerate(
        zip(lines, rows, ('Another class', 'Label missing', 'Nothing there', 'Loose box')), 1
    ):
        cells = [cell.strip() for cell in line.strip('│').split('│')]
        assert cells[:5] == [str(rank), f'{row.score:.2f}', kind, row.labelled or '–', row.predicted or '–']
        assert cells[6:] == [row.part, ', '.join(f'{value:g}' for value in row.label_box or row.predicted_box)]
    assert all(image.path.name in line for image, line in zip(images[-4:], lines))
    assert '4 of 4; in all: Another class 1, Label missing 1, Nothing there 1, Loose box 1' in text


def test_json_gives_the_first_of_the_kinds_that_are_asked_for(ymir, task, rows, images):
    code, text, _ = ymir('labels', task.out_dir, '--json', '--top', 1, '--kind', 'extra', '--kind', 'loose')
    result = json.loads(text)
    assert code == 0 and result['ok'] and result['counts'] == {'class': 1, 'missing': 1, 'extra': 1, 'loose': 1}
    assert result['labels'] == [
        {
            'image': str(images[-2].path),
            'set': rows[2].part,
            'kind': 'extra',
            'labelled': rows[2].labelled,
            'predicted': None,
            'label_box': list(rows[2].label_box),
            'predicted_box': None,
            'score': 0.5,
        }
    ]


def test_csv_keeps_what_is_shown(ymir, task, rows, images, tmp_path):
    (task.work_dir / SOURCES_FILE).write_text(f'{Path(rows[0].image).name}\t/photos/first.jpg\n')
    code, text, _ = ymir('labels', task.work_dir, '--csv', tmp_path / 'mine.csv', '--top', 2)
    assert code == 0 and 'mine.csv' in text
    assert read_labels_to_check(tmp_path / 'mine.csv') == [rows[0]._replace(image='/photos/first.jpg'), rows[1]]


def test_top_0_is_all(ymir, task, rows):
    runs.write_labels_to_check(task.out_dir / 'models' / 'labels-to-check.csv', rows * 10)
    assert len(json.loads(ymir('labels', task.work_dir, '--json')[1])['labels']) == 20
    assert len(json.loads(ymir('labels', task.work_dir, '--json', '--top', 0)[1])['labels']) == 40


def test_chinese(ymir, task, rows):
    text = ymir('labels', task.work_dir, '--lang', 'zh')[1]
    assert '待复查的标注' in text and '类别不同' in text and '显示 4 / 4' in text


def test_a_training_without_the_table(ymir, task):
    code, text, errors = ymir('labels', task.work_dir, '--json')
    assert code == 2 and 'check_labels=false' in json.loads(text)['error'] and 'check_labels=false' in errors


def test_no_folder(ymir):
    assert ymir('labels', 'nowhere')[0] == 2


def test_a_damaged_table(ymir, task, rows):
    path = task.out_dir / 'models' / 'labels-to-check.csv'
    path.write_text(path.read_text().replace('loose', 'odd'))
    code, text, _ = ymir('labels', task.work_dir, '--json')
    assert code == 2 and "line 5: kind is 'odd'" in json.loads(text)['error']


def test_the_table_of_the_model_is_never_written_over(ymir, task, rows):
    path = task.out_dir / 'models' / 'labels-to-check.csv'
    before = path.read_bytes()
    code, _, errors = ymir('labels', task.work_dir, '--csv', path, '--top', 1)
    assert code == 2 and 'name another file' in errors and path.read_bytes() == before


def test_the_end_of_a_training_names_the_command(ymir, coco_folder, fake):
    text = ymir('train', coco_folder, 'check_labels=true', *fake, '--out', 'run')[1]
    assert text.rstrip().endswith('\n  ymir labels run')
