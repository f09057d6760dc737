"""Files of labelme and VIA: every shape, every version, and what is wrong with them."""

import json
import math

import pytest

from tests.ymir_local.datasets.test_layouts import labelme_of, via_of
from ymir_exc.errors import DatasetError
from ymir_local.datasets import read_dataset
from ymir_local.platform.labels import LabelledBox

NAN = float('nan')


def boxes_of(folder, format):
    dataset = read_dataset(folder, format)
    assert [(image.width, image.height) for image in dataset.images()] == [(64, 48)]
    return [(box.x, box.y, box.w, box.h) for box in dataset.images()[0].boxes], '\n'.join(dataset.warnings)


# shape_type, points, the box, what the warning says
LABELME_SHAPES = [
    ('rectangle', [[16, 12], [48, 36]], (16, 12, 32, 24), None),
    ('rectangle', [[48, 12], [16, 36]], (16, 12, 32, 24), None),  # drawn from another corner
    ('rectangle', [[16, 12], [48, 12], [48, 36], [16, 36]], (16, 12, 32, 24), None),  # as newer tools write it
    ('rectangle', [['16', '12'], ['48', '36.0']], (16, 12, 32, 24), None),
    ('rotation', [[16, 12], [48, 12], [48, 36], [16, 36]], (16, 12, 32, 24), None),
    ('polygon', [[16, 20], [30, 12], [48, 36]], (16, 12, 32, 24), None),
    ('mask', [[16, 12], [48, 36]], (16, 12, 32, 24), None),
    ('circle', [[32, 24], [32, 34]], (22, 14, 20, 20), None),
    (None, [[16, 12], [48, 36]], (16, 12, 32, 24), None),  # version 3.16 and before
    (None, [[16, 20], [30, 12], [48, 36]], (16, 12, 32, 24), None),
    ('rectangle', [[40, 12], [80, 36]], (40, 12, 24, 24), 'lies partly outside the image'),
    ('rectangle', [[70, 12], [80, 36]], None, 'lies outside the image'),
    ('rectangle', [[16, 12], [16, 36]], None, 'has no area'),
    ('rectangle', [[16, NAN], [48, 36]], None, 'has no usable numbers'),
    ('polygon', [[16, 12], [NAN, 20], [48, 36]], None, 'has no usable numbers'),
    ('rectangle', [[16, 12], [math.inf, 36]], None, 'has no usable numbers'),
    ('circle', [[10**400, 24], [32, 34]], None, 'has no usable numbers'),
    ('rectangle', [[16, 12]], None, 'a rectangle of 1 points'),
    ('point', [[16, 12]], None, 'a point, which has no area'),
    ('line', [[16, 12], [48, 36]], None, 'a line, which has no area'),
    ('linestrip', [[16, 12], [48, 36], [50, 40]], None, 'a linestrip, which has no area'),
    (None, [[16, 12]], None, 'a point, which has no area'),
    ('rectangle', [[16, 12], [48]], None, 'has no points [[x, y], ...] in numbers'),
    ('rectangle', 'x', None, 'has no points'),
    ('rectangle', None, None, 'has no points'),
    ('rectangle', [['a', 1], [2, 3]], None, 'has no points'),
]


@pytest.mark.parametrize('kind, points, box, said', LABELME_SHAPES)
def test_labelme_shapes(tmp_path, draw, put, kind, points, box, said):
    draw('1.jpg')
    shape = dict(label='cat', points=points, **({} if kind is None else {'shape_type': kind}))
    good = {'label': 'cat', 'points': [[1, 2], [4, 6]], 'shape_type': 'rectangle'}
    put('1.json', labelme_of('1.jpg', shapes=[good, shape]))
    boxes, warnings = boxes_of(tmp_path, None)
    assert boxes == [(1, 2, 3, 4), *([box] if box else [])]
    assert bool(warnings) == (said is not None) and (not said or said in warnings and '1.json: shape 2' in warnings)


@pytest.mark.parametrize(
    'label, said',
    [(None, 'has no label'), ('  ', 'has no label'), (True, 'has no label'), ([1], 'has no label'), (7, None)],
)
def test_labelme_labels(tmp_path, draw, put, label, said):
    draw('1.jpg')
    put('1.json', labelme_of('1.jpg', shapes=[{'label': label, 'points': [[1, 2], [4, 6]]}]))
    dataset = read_dataset(tmp_path)
    assert dataset.class_names == (() if said else ('7',)) and bool(dataset.num_boxes()) == (not said)
    assert not said or said in dataset.warnings[0]


@pytest.mark.parametrize('text', ['', '[]', '{"shapes": {}}', '{"shapes": [', 'null', '{"shapes": [' + '[' * 9999])
def test_a_broken_file_of_labelme_costs_its_image_only(tmp_path, draw, put, text):
    draw('1.jpg'), draw('2.jpg')
    put('1.json', labelme_of('1.jpg'))
    put('2.json', text)
    if '"shapes"' in text:
        put('2.json', text.replace('{', '{"imagePath": "2.jpg", ', 1))
    dataset = read_dataset(tmp_path)
    assert [image.path.name for image in dataset.images()] == ['1.jpg']
    assert '2.jpg' in '\n'.join(dataset.warnings) or '2.json' in '\n'.join(dataset.warnings)


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'gbk', 'utf-16'])
@pytest.mark.parametrize('format, text', [('labelme', labelme_of('图.jpg')), ('via', via_of('图.jpg'))])
def test_encodings(tmp_path, draw, put, format, text, encoding):
    draw('图.jpg')
    content = json.dumps(json.loads(text.replace('"cat"', '"安全帽"')), ensure_ascii=False)
    put('图.json', '').write_bytes(content.encode(encoding))
    dataset = read_dataset(tmp_path)
    assert dataset.class_names == ('安全帽',) and dataset.images()[0].boxes == (LabelledBox(0, 16, 12, 32, 24),)


def test_classes_are_in_the_order_of_the_list(tmp_path, draw, put):
    draw('1.jpg')
    put('labels.txt', '__ignore__\n_background_\nzebra\ncat\n')
    put('1.json', labelme_of('1.jpg'))
    assert read_dataset(tmp_path).class_names == ('zebra', 'cat')


def test_images_without_a_file_of_labelme_may_show_objects(tmp_path, draw, put):
    draw('1.jpg'), draw('2.jpg')
    put('1.json', labelme_of('1.jpg'))
    dataset = read_dataset(tmp_path)
    assert [image.path.name for image in dataset.unlabelled] == ['2.jpg'] and len(dataset.images()) == 1


# shape_attributes, the box, what the warning says
VIA_SHAPES = [
    ({'name': 'rect', 'x': 16, 'y': 12, 'width': 32, 'height': 24}, (16, 12, 32, 24), None),
    ({'name': 'rect', 'x': '16', 'y': '12', 'width': '32', 'height': '24'}, (16, 12, 32, 24), None),
    ({'name': 'polygon', 'all_points_x': [16, 30, 48], 'all_points_y': [20, 12, 36]}, (16, 12, 32, 24), None),
    ({'all_points_x': [16, 30, 48], 'all_points_y': [20, 12, 36]}, (16, 12, 32, 24), None),
    ({'name': 'circle', 'cx': 32, 'cy': 24, 'r': 10}, (22, 14, 20, 20), None),
    ({'name': 'ellipse', 'cx': 32, 'cy': 24, 'rx': 12, 'ry': 6}, (20, 18, 24, 12), None),
    ({'name': 'point', 'cx': 32, 'cy': 24}, None, 'a point, which has no area'),
    ({'name': 'polyline', 'all_points_x': [1, 2, 3], 'all_points_y': [1, 2, 4]}, None, 'a polyline, which has no area'),
    ({'name': 'polygon', 'all_points_x': [16, 30], 'all_points_y': [20, 12]}, None, 'polygon has 2 points'),
    ({'name': 'polygon', 'all_points_x': [16, 30, 48], 'all_points_y': [20, 12]}, None, 'no usable numbers'),
    ({'name': 'polygon', 'all_points_x': [16, NAN, 48], 'all_points_y': [20, 12, 36]}, None, 'no usable numbers'),
    ({'name': 'rect', 'x': 16, 'y': 12, 'width': None, 'height': 24}, None, 'no usable numbers'),
    ({'name': 'rect', 'x': 10**400, 'y': 12, 'width': 3, 'height': 24}, None, 'no usable numbers'),
    ({'name': 'rect', 'x': 16, 'y': 12}, None, 'no usable numbers'),
    ({'name': 'rect', 'x': 16, 'y': 12, 'width': 0, 'height': 24}, None, 'has no area'),
    ({'name': 'rect', 'x': 90, 'y': 12, 'width': 5, 'height': 24}, None, 'lies outside the image'),
    (None, None, 'no shape_attributes'),
]


@pytest.mark.parametrize('shape, box, said', VIA_SHAPES)
@pytest.mark.parametrize('attributes', [{'name': 'cat'}, {'kind': 'cat'}, {'type': {'dog': False, 'cat': True}}, {}])
def test_via_regions(tmp_path, draw, put, shape, box, said, attributes):
    draw('1.jpg')
    good = {
        'shape_attributes': {'name': 'rect', 'x': 1, 'y': 2, 'width': 3, 'height': 4},
        'region_attributes': attributes,
    }
    put(
        'a.json',
        json.dumps(
            {
                '1.jpg9': {
                    'filename': '1.jpg',
                    'regions': [good, {'shape_attributes': shape, 'region_attributes': attributes}],
                }
            }
        ),
    )
    boxes, warnings = boxes_of(tmp_path, 'via')
    assert boxes == [(1, 2, 3, 4), *([box] if box else [])]
    assert bool(warnings) == (said is not None) and (
        not said or said in warnings and 'a.json: 1.jpg, region 2' in warnings
    )
    assert read_dataset(tmp_path).class_names == (('cat',) if attributes else ('object',))


@pytest.mark.parametrize(
    'text, said',
    [
        ('{"a": {"filename": 1, "regions": []}}', 'has no "filename"'),
        ('[', 'is not a JSON'),
        ('[{"filename": "a", "regions": []}]', 'is not a VIA file'),
    ],
)
def test_a_broken_file_of_via_is_named(tmp_path, draw, put, text, said):
    draw('1.jpg')
    put('a.json', text + ' ' * 9 + '"filename" "regions"' * (text == '['))
    with pytest.raises(DatasetError, match=r'a\.json.*' + said):
        read_dataset(tmp_path, 'via')
