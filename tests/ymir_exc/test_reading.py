"""The one reader of the platform's text files: what it takes, what it rejects, and that everybody uses it."""

import json
import os
import re
from pathlib import Path

import pytest

from tests.ymir_exc.conftest import Task
from ymir.candidates import iter_candidates
from ymir_exc import dataset_reader, env
from ymir_exc.annotations import ArkReader, CocoReader, VocReader
from ymir_exc.errors import ConfigError, DatasetError
from ymir_exc.reading import decode, read_index, read_text
from ymir_local.check.facts import Run
from ymir_local.datasets import ymir_in
from ymir_local.report.run_files import read_run

PATHS = ['/in/assets/a b.jpg', '/in/assets/图.jpg', '/in/assets/\x0b\x85.jpg', '/in/assets/\udcff.jpg']
TEXT = ''.join(f'{path}\n' for path in PATHS).encode('utf-8', 'surrogateescape')
INDEXES = {
    'plain': TEXT,
    'byte order mark': b'\xef\xbb\xbf' + TEXT,
    'a mark where two files were joined': b'\xef\xbb\xbf' + TEXT.replace(b'\n', b'\n\xef\xbb\xbf', 1),
    'Windows': b'\xef\xbb\xbf' + TEXT.replace(b'\n', b'\r\n'),
    'old Macintosh': TEXT.replace(b'\n', b'\r'),
    'no last newline': TEXT[:-1],
    'blank lines': b'\xef\xbb\xbf\n \r\n' + TEXT.replace(b'\n', b'\n\n\t\n'),
    'blanks around': TEXT.replace(b'\n', b'  \r\n ').rstrip(b' '),
    'annotations': TEXT.replace(b'\n', b'\t/in/annotations/a.txt\n'),
    'more columns': TEXT.replace(b'\n', b'\t\tmore\n'),
}


@pytest.fixture
def candidates(task: Task) -> Path:
    task.write_env('infer')
    return task.root / 'in/candidate-index.tsv'


@pytest.mark.parametrize('kind', INDEXES)
def test_every_reader_of_the_candidates_gives_the_same_images(candidates, task, kind):
    candidates.write_bytes(INDEXES[kind])
    assert [line.image for line in read_index(candidates)] == PATHS
    assert [image for image, _ in dataset_reader.item_paths(env.DatasetType.CANDIDATE)] == PATHS
    assert list(iter_candidates(str(candidates))) == list(enumerate(PATHS))
    assert Run(task.root / 'out', task.root / 'in').candidates == PATHS
    assert read_run(task.root).candidates == PATHS
    found = ymir_in.read(task.root / 'in').splits['all']
    assert [os.path.basename(image.path) for image in found] == [os.path.basename(path) for path in PATHS]


BAD_INDEXES = {
    'UTF-16': (TEXT.decode('utf-8', 'replace').encode('utf-16'), 'is UTF-16 text; save it as UTF-8'),
    'UTF-16, big end first': (b'\xfe\xff' + 'a.jpg\n'.encode('utf-16-be'), 'is UTF-16 text; save it as UTF-8'),
    'UTF-32': ('a.jpg\n'.encode('utf-32'), 'is UTF-32 text; save it as UTF-8'),
    'UTF-16 without mark': ('a.jpg\nb.jpg\n'.encode('utf-16-le'), ':1: the line holds a NUL byte'),
    'NUL': (b'a.jpg\nb\0.jpg\n', ':2: the line holds a NUL byte'),
    'no image': (b'\n\ta.txt\n', ':2: the line has no image before the TAB'),
    'folder': (None, 'cannot be read: Is a directory'),
    'pipe': (None, 'is a pipe, not a file'),
    'missing': (None, 'does not exist'),
}


@pytest.mark.parametrize('kind', BAD_INDEXES)
def test_an_index_that_cannot_be_used_is_an_error_of_the_data(candidates, task, kind):
    content, words = BAD_INDEXES[kind]
    if content is not None:
        candidates.write_bytes(content)
    elif kind != 'missing':
        {'folder': os.mkdir, 'pipe': os.mkfifo}[kind](candidates)
    readers = [
        lambda: list(read_index(candidates)),
        lambda: list(iter_candidates(str(candidates))),
        lambda: list(dataset_reader.item_paths(env.DatasetType.CANDIDATE)),
    ]
    for reader in readers:
        with pytest.raises(Exception, match=re.escape(words)) as caught:
            reader()
        assert caught.value.code == 300002 and str(candidates) in str(caught.value)
    run = read_run(task.root)
    assert run.candidates == []
    assert kind == 'missing' or any(words in str(gap.en) for gap in run.gaps)


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
