"""labels-to-check.csv: what is written is read again, and a damaged file is rejected with file, line and reason."""

import csv

import pytest

from ymir_exc.errors import ResultError
from ymir_exc.label_check import (
    COLUMNS,
    LABELS_TO_CHECK_FILE,
    LabelToCheck,
    read_labels_to_check,
    write_labels_to_check,
)

ROWS = [
    LabelToCheck(
        '/in/a b,"c".jpg', 'training', 'class', 'dog, brown', 'cat', (1, 2, 30, 40.5), (1.5, 2, 31, 40), 0.9875
    ),
    LabelToCheck('/in/\udcff.jpg', 'validation', 'missing', '', '猫', None, (0, 0, 12345.5, 7), 0.5),
    LabelToCheck('/in/b.jpg', 'training', 'extra', '猫', '', (3, 4, 5, 6), None, 0.25),
    LabelToCheck('/in/b.jpg', 'training', 'loose', 'cat', 'cat', (3, 4, 5, 6), (4, 4, 5, 6), 0.0),
]


@pytest.fixture
def file(tmp_path):
    write_labels_to_check(tmp_path / LABELS_TO_CHECK_FILE, ROWS)
    return tmp_path / LABELS_TO_CHECK_FILE


def test_what_is_written_is_read(file):
    assert read_labels_to_check(file) == ROWS
    with open(file, encoding='utf-8', errors='surrogateescape', newline='') as stream:
        assert [row['label_w'] for row in csv.DictReader(stream)] == ['30', '', '5', '5']


@pytest.mark.parametrize('text', ['=1+1', '+cat', '-1.jpg', '@SUM(A1)', "'=x", "''-", '=', '\tcat'])
def test_a_name_that_looks_like_a_formula_is_text_to_spreadsheets(tmp_path, text):
    row = ROWS[0]._replace(image=text, labelled=text, predicted=text, label_box=(-1, -2, 3, 4))
    write_labels_to_check(tmp_path / 'x.csv', [row])
    with open(tmp_path / 'x.csv', newline='') as stream:
        cells = list(csv.reader(stream))[1]
    assert cells[0] == cells[3] == cells[4] == f"'{text}" and cells[5:7] == ['-1', '-2']
    assert read_labels_to_check(tmp_path / 'x.csv') == [row]


@pytest.mark.parametrize('text', ["'cat'", "it's", 'a=b', '0-1', '', "'"])
def test_other_names_stand_as_they_are(tmp_path, text):
    row = ROWS[0]._replace(image=text)
    write_labels_to_check(tmp_path / 'x.csv', [row])
    with open(tmp_path / 'x.csv', newline='') as stream:
        assert list(csv.reader(stream))[1][0] == text
    assert read_labels_to_check(tmp_path / 'x.csv') == [row]


def test_no_rows(tmp_path):
    write_labels_to_check(tmp_path / 'empty.csv', [])
    assert read_labels_to_check(tmp_path / 'empty.csv') == []
    assert (tmp_path / 'empty.csv').read_text() == ','.join(COLUMNS) + '\n'


def test_boxes_keep_a_tenth_of_a_pixel_and_never_vanish(tmp_path):
    write_labels_to_check(tmp_path / 'x.csv', [ROWS[3]._replace(predicted_box=(1.26, 1.24, 0.01, 3))])
    assert read_labels_to_check(tmp_path / 'x.csv')[0].predicted_box == (1.3, 1.2, 0.1, 3)


def test_a_failure_leaves_the_old_file(file):
    def rows():
        yield ROWS[0]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_labels_to_check(file, rows())
    assert read_labels_to_check(file) == ROWS
    assert list(file.parent.iterdir()) == [file]


def test_saved_by_a_spreadsheet(file):
    """With a byte order mark, line ends of Windows, a column of one's own, and blank lines."""
    lines = file.read_bytes().decode('utf-8', 'surrogateescape').splitlines()
    text = '\ufeffnote,' + '\r\n,'.join(lines) + '\r\n' + ',' * len(COLUMNS) + '\r\n\r\n'
    file.write_bytes(text.encode('utf-8', 'surrogateescape'))
    assert read_labels_to_check(file) == ROWS


@pytest.mark.parametrize(
    ('old', 'new', 'words'),
    [
        ('set,', 'sat,', 'lacks the columns set'),
        (','.join(COLUMNS), ';'.join(COLUMNS), 'predicted_h, score, which commas must separate'),
        ('extra', 'odd', "line 4: kind is 'odd'; allowed: class, missing, extra, loose"),
        ('validation', 'test', "line 3: set is 'test'; allowed: training, validation"),
        ('0.9875', '1.5', 'line 2: score is 1.5; allowed is 0 to 1'),
        ('0.9875', 'high', 'high'),
        ('40.5', 'nan', "line 2: 'nan' is not a number"),
        ('40.5', '', "line 2: '' is not a number"),
        ('40.5', '-1', 'line 2: width and height of the label box must be above 0'),
        ('12345.5', '12345.5,7', 'line 3 has 15 cells, 14 are needed'),
        ('extra,猫', 'extra,', 'line 4: kind extra needs a class and a box in the columns of the label box'),
        ('missing,,', 'missing,dog,', 'line 3: kind missing needs neither class nor box in the columns of the label'),
        ('"dog, brown"', '"dog"x', 'cannot be read'),
    ],
)
def test_damaged(file, old, new, words):
    text = file.read_bytes().decode('utf-8', 'surrogateescape')
    assert old in text
    file.write_bytes(text.replace(old, new, 1).encode('utf-8', 'surrogateescape'))
    with pytest.raises(ResultError) as caught:
        read_labels_to_check(file)
    assert str(file) in str(caught.value) and words in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(ResultError, match='none.csv'):
        read_labels_to_check(tmp_path / 'none.csv')
