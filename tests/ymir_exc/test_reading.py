"""The one reader of the platform's text files: what it takes, what it rejects, and that everybody uses it."""

import json
import math

import pytest

from ymir_exc import env
from ymir_exc.annotations import ArkReader, CocoReader, VocReader
from ymir_exc.errors import ConfigError, DatasetError
from ymir_exc.reading import decode, read_text, scores_repeat_the_order

ARK = '0, 1, 2, 3, 4, -1.0, 0.0\n'
VOC = (
    '<annotation><object><name>cat</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>'
    '</object></annotation>'
)
COCO = json.dumps(
    {
        'images': [{'id': 1, 'file_name': 'a.jpg', 'width': 9, 'height': 9}],
        'categories': [{'id': 0, 'name': 'cat'}],
        'annotations': [{'id': 1, 'image_id': 1, 'category_id': 0, 'bbox': [1, 2, 3, 3], 'area': 9, 'iscrowd': 0}],
    }
)


@pytest.mark.parametrize('reader, text', [(ArkReader, ARK), (VocReader, VOC), (CocoReader, COCO)])
def test_annotations_with_a_byte_order_mark(tmp_path, reader, text):
    path = tmp_path / 'annotation'
    path.write_bytes(b'\xef\xbb\xbf' + text.encode())
    (item,) = reader(['cat']).read(str(path), 'a.jpg')
    assert item[:5] == (0, 1, 2, 4, 5)
    path.write_bytes(text.encode('utf-16'))
    if reader is ArkReader:
        with pytest.raises(DatasetError, match='is UTF-16 text; save it as UTF-8'):
            reader(['cat']).read(str(path), 'a.jpg')
    else:  # XML and JSON say themselves how their encoding is found
        assert reader(['cat']).read(str(path), 'a.jpg') == [item]


@pytest.mark.parametrize('name', ['env.yaml', 'config.yaml'])
def test_yaml_of_the_task(task, name):
    path = task.root / 'in' / name
    text = path.read_text()
    path.write_bytes(b'\xef\xbb\xbf' + text.encode())
    assert env.get_executor_config() == task.config
    for encoding, words in (('utf-16', 'is UTF-16 text; save it as UTF-8'), ('utf-32', 'is UTF-32 text')):
        path.write_bytes(text.encode(encoding))
        with pytest.raises(ConfigError, match=f'{name} {words}'):
            env.get_executor_config()
    path.write_bytes(text.encode() + 'note: Gerät\n'.encode('latin-1'))
    lines = text.count('\n') + 1
    with pytest.raises(ConfigError, match=rf'{name} is not UTF-8 text \(line {lines}\); save it as UTF-8'):
        env.get_executor_config()


def test_text(tmp_path):
    path = tmp_path / 'text'
    path.write_bytes(b'\xef\xbb\xbfa\n\xff')
    assert read_text(path, 'surrogateescape') == 'a\n\udcff' == decode(path.read_bytes(), 'surrogateescape')
    with pytest.raises(UnicodeError, match=r'is not UTF-8 text \(line 2\)'):
        read_text(path)


@pytest.mark.parametrize(
    'scores, expected',
    [
        ([], True),
        ([1.0], True),
        ([1.0, 0.75, 0.5, 0.25], True),
        ([round(1 - k / 7, 7) for k in range(7)], True),
        ([1.0, 0.5, 0.25], False),
        ([0.9, 0.4], False),
        ([1.0, math.nan], False),
    ],
)
def test_scores_that_repeat_the_order(scores, expected):
    assert scores_repeat_the_order(scores) == expected
