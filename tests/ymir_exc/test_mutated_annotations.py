"""Whatever stands in the annotations of a training, it is read or rejected with a code and the name of the file."""

import copy
import json
import math
import random

import pytest

from tests.ymir_local.datasets.test_mutations import VOC, mutated
from ymir_exc import dataset_convert as convert
from ymir_exc.code import ExecutorReturnCode
from ymir_exc.errors import ExecutorError

COCO = {
    'info': {'year': 2024},
    'images': [
        {'id': 1, 'file_name': 'a.jpg', 'width': 100, 'height': 80},
        {'id': 2, 'file_name': 'b.jpg', 'width': 100, 'height': 80},
    ],
    'categories': [{'id': 3, 'name': 'dog', 'supercategory': 'animal'}, {'id': 7, 'name': 'Cat'}],
    'annotations': [
        {
            'id': 5,
            'image_id': 1,
            'category_id': 3,
            'bbox': [10, 20, 30.5, 10],
            'iscrowd': 0,
            'area': 305.0,
            'segmentation': [[10, 20, 40, 20, 40, 30]],
        },
        {
            'id': 6,
            'image_id': 2,
            'category_id': 7,
            'bbox': [0, 0, 50, 50],
            'iscrowd': 1,
            'segmentation': {'size': [80, 100], 'counts': [0, 8000]},
        },
    ],
}
DEEP = json.loads('[' * 400 + ']' * 400)
VALUES = (
    None,
    True,
    False,
    0,
    -1,
    2,
    1.5,
    10**20,
    10**400,
    -(10**400),
    math.nan,
    math.inf,
    -math.inf,
    '',
    ' ',
    'x',
    '1',
    'a.jpg',
    'dog',
    '\0',
    '\ud800',
    [],
    {},
    [1],
    [None],
    [[]],
    [[1, 'x']],
    {'a': 1},
    {'size': 1, 'counts': 2},
    [1, 2, 3, math.nan],
    [1, 2, 3, True],
    [[math.nan] * 6],
    [1, 2, '3', 4],
    DEEP,
    'x' * 5000,
)


def places(node, path=()):
    """Every place of a document, the document itself among them."""
    yield path
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from places(value, (*path, key))


def changed(document, generator):
    """Drop, replace, double or move the value at a random place."""
    document = copy.deepcopy(document)
    path = generator.choice(list(places(document)))
    if not path:
        return generator.choice(VALUES)
    node = document
    for key in path[:-1]:
        node = node[key]
    action = generator.choice(('drop', 'replace', 'replace', 'replace', 'double', 'move'))
    if action == 'drop':
        del node[path[-1]]
    elif action == 'double' and isinstance(node, list):
        node.append(copy.deepcopy(node[path[-1]]))
    elif action == 'move':
        node[path[-1]] = copy.deepcopy(generator.choice([document[key] for key in document]))
    else:
        node[path[-1]] = generator.choice(VALUES)
    return document


def coco_text(generator):
    document = COCO
    for _ in range(generator.randint(1, 3)):
        document = changed(document, generator) if isinstance(document, dict) else document
    return json.dumps(document).encode() if generator.random() < 0.8 else mutated(json.dumps(COCO), generator)


@pytest.fixture
def convert_all(task):
    """Converts a training with the given content of its annotation files; gives coco file, error and findings."""
    for name in 'ab':
        task.add_image(f'{name}.jpg', None)

    def run(export_format, content):
        task.write_config(export_format=f'{export_format}:raw')
        suffix = {'coco': 'json', 'voc': 'xml', 'ark': 'txt'}[export_format]
        path = task.annotations / f'it.{suffix}'
        path.write_bytes(content)
        task.write_index('train', [f'{task.assets}/{name}.jpg\t{path}' for name in 'ab'])
        task.write_index('val', [f'{task.assets}/a.jpg\t{path}'])
        found = []
        try:
            report = convert.convert_dataset_to_coco(num_workers=1, on_finding=lambda _, one: found.append(one))
        except ExecutorError as error:
            return None, error, found
        return json.loads(open(report.splits['train'].ann_file).read(), parse_constant=pytest.fail), None, found

    return run


def check(coco, error, content):
    if error is not None:
        assert error.code in (
            ExecutorReturnCode.RC_EXEC_DATASET_ERROR,
            ExecutorReturnCode.RC_EXEC_UNKNOWN_IMAGE_FORMAT,
        ), content
        assert len(str(error)) < 1000 and ('/it.' in str(error) or 'the train set' in str(error)), (content, error)
        return
    ids = {image['id'] for image in coco['images']}
    for item in coco['annotations']:
        x, y, w, h = item['bbox']
        assert 0 <= x < x + w <= 100 and 0 <= y < y + h <= 80 and item['image_id'] in ids, content
        assert item['category_id'] in (1, 2, 3) and 0 <= item['area'] <= 10**12 and item['iscrowd'] in (0, 1), content


@pytest.mark.parametrize(
    'export_format, make',
    [
        ('coco', coco_text),
        ('voc', lambda generator: mutated(VOC, generator)),
        ('ark', lambda generator: mutated('0, 16, 12, 47, 35, -1.0, 0.0\n2, 1, 2, 4, 5\n', generator)),
    ],
)
def test_mutated_annotations(export_format, make, convert_all):
    generator = random.Random(export_format)
    rejected = 0
    for _ in range(200):
        content = make(generator)
        coco, error, found = convert_all(export_format, content)
        check(coco, error, content)
        for finding in found:
            text = str(finding)
            assert len(text) < 1000 and ('/it.' in text or finding.path.endswith('.jpg') or not finding.path), content
        rejected += any('/it.' in str(finding) for finding in found)
    assert 20 < rejected < 200


def with_values(**values):
    """COCO with values at paths such as images__0__id; a value of `...` drops the key."""
    document = copy.deepcopy(COCO)
    for path, value in values.items():
        *keys, last = [int(key) if key.isdigit() else key for key in path.split('__')]
        node = document
        for key in keys:
            node = node[key]
        if value is ...:
            del node[last]
        else:
            node[last] = value
    return document


@pytest.mark.parametrize(
    'document, words',
    [
        ([], 'images is missing; a list is needed'),
        (with_values(images=...), 'images is missing'),
        (with_values(annotations={}), 'annotations is a dict'),
        (with_values(categories='dog'), 'categories is a str'),
        (with_values(images__1=None), 'images[1] is None; a mapping'),
        (with_values(images__1__id=...), 'images[1]: id is None'),
        (with_values(images__1__id=1), 'images[1]: the id 1 is that of another one, a.jpg'),
        (with_values(images__1__id=[]), 'images[1]: id is []'),
        (with_values(images__1__id=math.nan), 'images[1]: id is nan'),
        (with_values(images__0__file_name=None), 'images[0]: file_name is None'),
        (with_values(images__0__file_name='x/b.jpg'), 'names two images with the same file name'),
        (with_values(categories__0__name={}), 'categories[0]: name is {}'),
        (with_values(categories__1__id=3), 'the id 3 is that of another one, dog'),
        (with_values(annotations__0=5), 'annotations[0] is 5'),
        (with_values(annotations__0__image_id='1'), "image_id '1' is not among"),
        (with_values(annotations__0__image_id={}), 'image_id {} is not among'),
        (with_values(annotations__0__category_id=[3]), 'category_id [3] (not in categories)'),
        (with_values(annotations__0__bbox=...), 'bbox is None'),
        (with_values(annotations__0__bbox=[1, 2, 3]), 'bbox is [1, 2, 3]'),
        (with_values(annotations__0__bbox__2=None), 'bbox is None; it must be a number'),
        (with_values(annotations__0__bbox__2=True), 'bbox is True; it must be a number'),
        (with_values(annotations__0__bbox__2=10**400), 'it must be a number'),
        (with_values(annotations__0__area='big'), "area is 'big'"),
        (with_values(annotations__0__area=-1), 'area is -1'),
        (with_values(annotations__0__segmentation=[[math.nan] * 6]), 'segmentation is [[nan'),
        (with_values(annotations__0__segmentation='x'), "segmentation is 'x'"),
        (with_values(annotations__0__segmentation={'counts': 5}), "segmentation is {'counts'"),
    ],
)
def test_what_is_wrong_is_named(document, words, convert_all):
    coco, error, found = convert_all('coco', json.dumps(document).encode())
    assert any(words in str(finding) and '/it.json' in str(finding) for finding in found)
    if error is None:  # only the object is left out, or what is wrong about it
        left_out = any(finding.done == 'box skipped' for finding in found)
        assert len(coco['annotations']) == 2 - left_out
    else:
        assert error.code == ExecutorReturnCode.RC_EXEC_DATASET_ERROR and words in str(error)


@pytest.mark.parametrize(
    'document',
    [
        with_values(images__0__width=..., images__0__height=None),
        with_values(annotations__0__area=..., annotations__0__iscrowd=..., annotations__0__segmentation=..., info=...),
        with_values(annotations__0__segmentation=None, annotations__0__id=...),
        with_values(images__0__id='one', annotations__0__image_id='one'),
        with_values(images__0__id=1.0, categories__0__id=3.0),
        with_values(annotations__1__segmentation=[[0, 0, 5, 5]]),
    ],
)
def test_what_may_be_left_out(document, convert_all):
    coco, error, _ = convert_all('coco', json.dumps(document).encode())
    assert error is None and [item['bbox'] for item in coco['annotations']] == [[10, 20, 30.5, 10], [0, 0, 50, 50]]
