"""The list of classes, as the platform writes it and as users do."""

import json

import pytest

from pie.labels import objects_of, read_labels
from pie.texts import PieError

# The document has a full-width comma between the entries.
DOCUMENT = (
    '[{"class_number":0,"class_name":"background","class_value":0,"class_title":"背景","class_color":"0,0,0"}，'
    '{"class_number":3251,"class_name":"road","class_value":255,"class_title":"道路","class_color":"255,255,255"}]'
)


def entry(**changes):
    return {'class_name': 'road', 'class_value': 1, 'class_title': '道路', 'class_color': '1,2,3', **changes}


def test_the_list_of_the_document(caplog):
    labels = read_labels(DOCUMENT, 'background,road')
    assert [(one.name, one.value, one.color) for one in labels] == [
        ('background', 0, (0, 0, 0)),
        ('road', 255, (255, 255, 255)),
    ]
    assert [one.name for one in objects_of(labels)] == ['road']
    assert 'full-width punctuation' in caplog.text


def test_forms_of_the_list():
    wanted = read_labels([entry()])
    assert read_labels(json.dumps([entry()])) == wanted
    assert read_labels(str([entry()])) == wanted  # as Python writes it
    assert read_labels(json.dumps([entry()]).replace(':', '：').replace(', ', '，')) == wanted


def test_full_width_punctuation_in_a_title_stays():
    text = (
        '[{"class_name":"a","class_title":"道路，桥","class_color":"1,2,3"}，{"class_name":"b","class_color":"1,2,3"}]'
    )
    assert read_labels(text)[0].title == '道路，桥'


def test_nothing_is_executed(tmp_path):
    target = tmp_path / 'x'
    with pytest.raises(PieError, match='no JSON list'):
        read_labels(f'[__import__("pathlib").Path({str(target)!r}).touch()]')
    assert not target.exists()


@pytest.mark.parametrize(
    'label, words',
    [
        ('[]', 'at least one class'),
        ('', 'no JSON list'),
        (None, 'at least one class'),
        ('[1]', 'Entry 1 of label'),
        ([entry(class_name='')], 'class_name in entry 1'),
        ([entry(class_name='a,b')], 'without commas'),
        ([entry(class_name='a\nb')], 'class_name in entry 1'),
        ([entry(), entry()], 'more than once: road'),
        ([entry(class_value=-1)], 'class_value of road is -1'),
        ([entry(class_value='x')], "class_value of road is 'x'"),
        ([entry(class_value=1.5)], 'class_value of road is 1.5'),
        ([entry(class_color='255,0')], 'class_color of road'),
        ([entry(class_color='256,0,0')], 'class_color of road'),
        ([entry(class_color=[0, 0, 'x'])], 'class_color of road'),
        ('[' * 5000, 'no JSON list'),
    ],
)
def test_bad_lists(label, words):
    with pytest.raises(PieError, match=words):
        read_labels(label)


def test_a_color_is_chosen_where_there_is_none(caplog):
    first, second = read_labels([entry(class_color=''), {'class_name': 'b'}])
    assert first.color != second.color and second.value == 1
    assert 'Class road has no class_color' in caplog.text


@pytest.mark.parametrize('class_name', ['', 'road', 'road,background', ' background , road '])
def test_background_may_stand_anywhere(class_name):
    assert len(read_labels([entry(), entry(class_name='background', class_value=0)], class_name)) == 2


def test_names_in_one_list_only():
    with pytest.raises(PieError, match='class_name has river, which label lacks; label has road'):
        read_labels([entry()], 'road,river')
    with pytest.raises(PieError, match='label has road, which class_name lacks'):
        read_labels([entry(), entry(class_name='river')], 'river')
