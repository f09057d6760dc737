"""The data set of a detection: layouts, pairs, pictures of many bands, and the COCO files that come of it."""

import json

import cv2
import numpy as np
import pytest

from pie.dataset import prepare_detection
from pie.labels import read_labels
from pie.layout import check_layout, pair_files, seen_layout, table
from pie.storage import Storage, StoredFile
from pie.texts import PieError
from tests.pie.store import Store

URL = 's3://b/d/'
LABELS = read_labels([{'class_name': name, 'class_color': '1,2,3'} for name in ('plane', 'ship')])


def picture(width=40, height=30, suffix='.png'):
    return cv2.imencode(suffix, np.full((height, width, 3), 90, np.uint8))[1].tobytes()


def label(*objects):
    """Rows of name, x1, y1, x2, y2."""
    parts = [
        f'<object><name>{name}</name><bndbox><xmin>{x1}</xmin><xmax>{x2}</xmax><ymin>{y1}</ymin><ymax>{y2}</ymax>'
        '</bndbox></object>'
        for name, x1, y1, x2, y2 in objects
    ]
    return f'<annotation>{"".join(parts)}</annotation>'.encode()


def stored(*keys):
    return [StoredFile(key, 1, '') for key in sorted(keys)]


def prepared(objects, tmp_path):
    store = Store({f'd/{key}': body for key, body in objects.items()})
    return prepare_detection(Storage(store, 'b'), URL, LABELS, tmp_path, tmp_path, 'yolov8_s'), store


def read(path):
    return json.loads(path.read_text(encoding='utf-8'))


def test_coco_files(tmp_path):
    objects = {
        'train/images/a.jpg': picture(suffix='.jpg'),
        'train/labels/a.xml': label(('ship', 1, 2, 11.5, 22), ('car', 1, 1, 5, 5), ('plane', -5, 20, 50, 40)),
        'train/images/b.PNG': picture(),
        'train/labels/b.xml': label(),
        'valid/images/v.png': picture(),
        'valid/labels/v.xml': label(('plane', 0, 0, 10, 10)),
    }
    data, store = prepared(objects, tmp_path)
    coco = read(data.training.train_file)
    assert [category['name'] for category in coco['categories']] == ['plane', 'ship']
    assert [(image['width'], image['height']) for image in coco['images']] == [(40, 30), (40, 30)]
    assert [(one['image_id'], one['category_id'], one['bbox'], one['area']) for one in coco['annotations']] == [
        (0, 1, [1, 2, 10.5, 20], 210),
        (0, 0, [0, 20, 40, 10], 400),  # cut at the borders
    ]
    assert data.training.image_sizes == ((40, 30), (40, 30)) and data.training.num_val == 1
    assert len(read(data.training.val_file)['annotations']) == 1 and len(read(data.sample_file)['images']) == 1
    store.gets.clear()
    prepared(objects, tmp_path)
    assert not store.gets  # all is in the cache


def test_what_is_left_out_is_named(tmp_path, caplog, capsys):
    objects = {
        'train/images/a.png': picture(),
        'train/labels/a.xml': label(('ship', 1, 2, 3, 4)),
        'train/images/broken.png': b'no picture',
        'train/labels/broken.xml': label(),
        'train/images/cut.png': picture(),
        'train/labels/cut.xml': b'<annotation><object>',
        'train/images/alone.png': picture(),
        'train/labels/lonely.xml': label(),
        'train/notes.txt': b'x',
        'valid/images/v.png': picture(),
        'valid/labels/v.xml': label(('ship', 0, 0, 10, 10), ('ship', 60, 60, 70, 70)),
    }
    data, _ = prepared(objects, tmp_path)
    assert len(read(data.training.train_file)['images']) == 1
    for words in (
        'd/train/images/broken.png: not a readable picture',
        'cut.xml: it is no XML',
        'lies outside of its image',
    ):
        assert words in caplog.text
    assert 'No object in train of the classes: plane' in caplog.text
    shown = capsys.readouterr().out
    for words in ('1: alone', '1: lonely', '1: notes.txt', '成对 pairs'):
        assert words in shown


def test_no_valid_part(tmp_path, caplog):
    objects = {}
    for index in range(20):
        objects[f'train/images/{index}.png'] = picture()
        objects[f'train/labels/{index}.xml'] = label(('ship', 0, 0, 9, 9))
    data, _ = prepared(objects, tmp_path)
    assert (data.training.num_train, data.training.num_val) == (18, 2)
    assert '2 training images are validated on, 18 are trained on' in caplog.text


@pytest.mark.parametrize(
    'objects, words',
    [
        ({}, 'There is nothing below s3://b/d/train/'),
        ({'train/x.png': b''}, 'The layout below s3://b/d/train/ is not known'),
        ({'train/A/x.png': b'', 'train/B/x.png': b'', 'train/labels/x.png': b''}, 'has the layout of change'),
        ({'train/images/x.png': b'', 'train/labels/x.png': b''}, 'layout of segmentation, but the network yolov8_s'),
        ({'train/images/x.png': b'', 'train/labels/y.xml': b''}, 'No image and label'),
        ({'train/images/x.png': b'', 'train/labels/x.xml': label()}, 'No sample below .* can be used'),
        ({'train/images/x.png': picture(), 'train/labels/x.xml': label(('car', 0, 0, 9, 9))}, r'there are car \(1\)'),
    ],
)
def test_a_data_set_that_cannot_be_used(objects, words, tmp_path):
    with pytest.raises(PieError, match=words):
        prepared(objects, tmp_path)


def test_pairs_of_change_detection():
    files = stored('t/A/1.tif', 't/A/2.tif', 't/B/1.png', 't/labels/1.png', 't/labels/2.png', 't/labels/2.bmp')
    part = pair_files(files, 't/', 'change')
    assert [[one.key for one in sample] for sample in part.samples] == [['t/A/1.tif', 't/B/1.png', 't/labels/1.png']]
    assert part.lonely == {'A': ['2'], 'B': [], 'labels': ['2']} and part.doubled == ['labels/2.png']
    assert ('A/', '2') in table({'train': part})


def test_folders_of_a_longer_name_are_others():
    part = pair_files(stored('t/images/1.jpg', 't/images2/1.jpg', 't/labels/1.xml'), 't/', 'detection')
    assert len(part.samples) == 1 and part.others == ['images2/1.jpg']


def test_names_in_folders_below():
    files = stored('t/images/a/1.jpg', 't/images/b/1.jpg', 't/labels/a/1.xml', 't/labels/b/1.xml')
    assert len(pair_files(files, 't/', 'detection').samples) == 2
    assert seen_layout(files, 't/') == 'detection'
    check_layout(files, 't/', URL, 'detection', 'm')
