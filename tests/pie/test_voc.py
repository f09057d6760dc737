"""Label files with the platform's oddities, and broken ones."""

import pytest

from pie.voc import read_voc

# The platform's document prints this file.
DOCUMENT = (
    b'<annotation>\n  <folder>VOC</folder>\n  <filename>100_0.xml</filename>\n  <object_num>1</object_num>\n  <size>\n'
    b'    <width>600</width>\n    <height>600</height>\n    <depth>3</depth>\n  </size>\n  <object>\n'
    b'    <name>airplane</name>\n    <difficult></difficult>\n    <bndbox>\n      <xmin>124.0</xmin>\n'
    b'      <xmax>249.0</xmax>\n      <ymin>172.0</ymin>\n      <ymax>291.0</ymax>\n    </bndbox>\n  </object>\n'
    b'</annotation>\n'
)


def one(box, name='a'):
    return f'<annotation><object><name>{name}</name><bndbox>{box}</bndbox></object></annotation>'.encode()


def corners(*values):
    return ''.join(f'<{name}>{value}</{name}>' for name, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), values))


def test_the_file_of_the_document():
    assert read_voc(DOCUMENT) == ([('airplane', (124.0, 172.0, 249.0, 291.0))], [])


def test_a_polygon_becomes_its_rectangle():
    points = '<x1>5</x1><y1>7</y1><x2>30.5</x2><y2>2</y2><x3>9</x3><y3>40</y3>'
    assert read_voc(one(points)).objects == [('a', (5, 2, 30.5, 40))]


def test_chinese_code():
    text = '<?xml version="1.0" encoding="GBK"?>' + one(corners(1, 2, 3, 4), '飞机').decode()
    assert read_voc(text.encode('gbk')).objects == [('飞机', (1, 2, 3, 4))]
    assert read_voc(b'\xef\xbb\xbf\n' + one(corners(1, 2, 3, 4))).objects == [('a', (1, 2, 3, 4))]


def test_no_object():
    assert read_voc(b'<annotation/>') == ([], [])


@pytest.mark.parametrize(
    'data, fault',
    [
        (one(corners(5, 5, 5, 9)), 'has no area'),
        (one(corners(5, 5, 'nan', 9)), "<xmax> is 'nan'"),
        (one(corners(5, 5, '', 9)), '<xmax> is None'),
        (one('<xmin>1</xmin>'), 'lacks ymin, xmax, ymax'),
        (one(corners(1, 2, 3, 4), ' '), 'has no <name>'),
        (b'<annotation><object><name>a</name></object></annotation>', 'has no <bndbox>'),
    ],
)
def test_an_object_that_cannot_be_used(data, fault):
    objects, (found,) = read_voc(data)
    assert objects == [] and str(found).startswith('object 1: ') and fault in str(found)


@pytest.mark.parametrize(
    'data, words',
    [
        (b'', 'empty'),
        (DOCUMENT[:200], 'no XML .near line 11, column 4'),
        (b'\x89PNG', 'no XML'),
        (b'<html/>', '<annotation> is needed'),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>', 'DOCTYPE'),
        (b'<?xml version="1.0" encoding="no-such"?><annotation/>', 'encoding is wrong'),
        (b'<?xml version="1.0" encoding="gb2312"?><annotation>\xff\xff</annotation>', 'encoding is wrong'),
    ],
)
def test_a_file_that_cannot_be_used(data, words):
    with pytest.raises(ValueError, match=words):
        read_voc(data)
