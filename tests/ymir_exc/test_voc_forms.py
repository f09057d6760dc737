"""VOC files that are read by patterns give what the tree of their elements gives; odd ones go through the tree."""

import random

import pytest

from tests.ymir_exc.test_dataset_reader import CLASSES, VOC_HEAD, voc_object
from tests.ymir_local.datasets.test_mutations import mutated
from ymir_exc.annotations import VocReader
from ymir_exc.annotations.objects import UNKNOWN_CLASS

PLATFORM = VOC_HEAD + voc_object('dog', (1, 2, 10, 20)) + voc_object('cat', (-1.5, 2, 10.25, 20)) + '</annotation>'
LABELIMG = """<annotation verified="yes">
\t<folder>photos</folder>
\t<size>
\t\t<width>100</width>
\t\t<height>80</height>
\t\t<depth>3</depth>
\t</size>
\t<object>
\t\t<name>Dog </name>
\t\t<pose>Unspecified</pose>
\t\t<difficult>0</difficult>
\t\t<bndbox>
\t\t\t<xmin>1</xmin>
\t\t\t<ymin>2</ymin>
\t\t\t<xmax>10</xmax>
\t\t\t<ymax>20</ymax>
\t\t</bndbox>
\t</object>
</annotation>
"""


@pytest.fixture
def both(tmp_path, monkeypatch):
    """Reads a text both ways; gives whether patterns were enough, and what was found."""

    def read(text, must_agree=True):
        path = tmp_path / 'a.xml'
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        reader, tree_reader = VocReader(CLASSES), VocReader(CLASSES)
        plain = reader._plain_rows(path.read_bytes())
        monkeypatch.setattr(tree_reader, '_plain_rows', lambda data: None)
        found = tree_reader.rows(str(path), '')
        assert not must_agree or plain is None or repr(plain) == repr(found._replace(faults=tuple(found.faults)))
        return plain is not None, found

    return read


@pytest.mark.parametrize('text', [PLATFORM, LABELIMG, LABELIMG.replace('\t', '    '), VOC_HEAD + '</annotation>\r\n'])
def test_plain_files(both, text):
    is_plain, found = both(text)
    assert is_plain and found.size == (100, 80) and not found.faults


@pytest.mark.parametrize(
    'old, new',
    [
        ('<name>dog</name>', '<name>dog</name><part><name>head</name></part>'),
        ('<name>dog</name>', '<name>d&#111;g</name>'),
        ('<name>dog</name>', '<name>图</name>'),
        ('<name>dog</name>', ''),
        ('<name>dog</name>', '<name>fish</name>'),
        ('<name>dog</name>', '<name><![CDATA[dog]]></name>'),
        ('<pose>unknown</pose>', '<!-- <object> --><pose>unknown</pose>'),
        ('<xmin>1</xmin><ymin>2</ymin>', '<ymin>2</ymin><xmin>1</xmin>'),
        ('<xmin>1</xmin>', '<xmin>nan</xmin>'),
        ('<xmin>1</xmin>', '<xmin>1e999</xmin>'),
        ('<xmin>1</xmin>', '<xmin></xmin>'),
        ('<box_quality>-1.0000</box_quality>', ''),
        ('<box_quality>-1.0000</box_quality>', '<box_quality>nan</box_quality>'),
        ('<rotate_angle>0.2500</rotate_angle>', '<rotate_angle>x</rotate_angle>'),
        ('</object></annotation>', '</object>'),
        ('</object></annotation>', '</object></annotation><!-- end -->'),
    ],
)
def test_odd_files_go_through_the_tree(both, old, new):
    assert old in PLATFORM
    assert not both(PLATFORM.replace(old, new, 1))[0]


def test_an_object_without_a_box_does_not_take_that_of_the_next(both):
    is_plain, found = both(VOC_HEAD + voc_object('dog', None) + voc_object('cat', (1, 2, 10, 20)) + '</annotation>')
    assert not is_plain and [row[:5] for row in found.rows] == [(1, 0, 0, 0, 0), (0, 1, 2, 11, 21)]


def test_mutated_files_read_by_patterns(both):
    """What patterns take of a file that is no XML has whole objects; of XML they give what the tree gives."""
    generator = random.Random(0)
    plain = 0
    for _ in range(2000):
        data = mutated(generator.choice((PLATFORM, LABELIMG)), generator)
        is_plain, found = both(data, must_agree=False)
        plain += is_plain
        if is_plain and found.rows is not None:
            both(data)
    assert plain > 100


def test_all_unknown_classes_are_listed(both):
    text = PLATFORM.replace('<name>dog<', '<name>fish<').replace('<name>cat<', '<name>cow<')
    _, found = both(text)
    assert [(fault.kind, fault.line) for fault in found.faults] == [
        (UNKNOWN_CLASS, 'object 1'),
        (UNKNOWN_CLASS, 'object 2'),
    ]
