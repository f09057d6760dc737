"""Index files and the annotation formats, among them every edge case of contract section c.8."""

import json

import pytest
from PIL import Image

from ymir_exc import dataset_reader
from ymir_exc.annotations import ArkReader, CocoReader, VocReader, annotation_format
from ymir_exc.env import DatasetType
from ymir_exc.errors import ConfigError, DatasetError
from ymir_exc.util import get_merged_config

CLASSES = ['cat', 'dog', 'bird']


@pytest.mark.parametrize(
    'content, items',
    [
        ('a.jpg\ta.txt\nb.jpg\tb.txt\n', [('a.jpg', 'a.txt'), ('b.jpg', 'b.txt')]),
        ('a.jpg\ta.txt', [('a.jpg', 'a.txt')]),
        ('a.jpg\r\nb.jpg\tb.txt\r\n', [('a.jpg', ''), ('b.jpg', 'b.txt')]),
        ('\n  \na.jpg\n\t\n\n', [('a.jpg', '')]),
        ('my photos/a b.jpg\tmy labels/a b.txt\n', [('my photos/a b.jpg', 'my labels/a b.txt')]),
        ('a.jpg\t\n', [('a.jpg', '')]),
        ('a.jpg\ta.txt\tmore\n', [('a.jpg', 'a.txt')]),
        ('\ufeff图.jpg\t图.txt\n', [('图.jpg', '图.txt')]),
        (b'\xff.jpg\n', [('\udcff.jpg', '')]),
        ('', []),
    ],
)
def test_index_lines(task, content, items):
    path = task.root / 'in/train-index.tsv'
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert list(dataset_reader.item_paths(DatasetType.TRAINING)) == items
    assert dataset_reader.items_count(DatasetType.TRAINING) == len(items)
    assert dataset_reader.images_count(get_merged_config(), 'train') == len(items)


def test_which_index_file_a_split_means(task):
    for split, count in (('train', 1), ('val', 2)):
        task.write_index(split, ['a.jpg'] * count)
    cfg = get_merged_config()
    counts = [dataset_reader.images_count(cfg, split) for split in ('train', 'training', 'val', 'validation')]
    assert counts == [1, 1, 2, 2]
    task.write_env('infer')
    task.write_index('candidate', ['a.jpg'] * 3)
    cfg = get_merged_config()
    assert [dataset_reader.images_count(cfg, split) for split in ('candidate', 'test', 'infer')] == [3, 3, 3]
    with pytest.raises(DatasetError, match="unknown split 'tain'"):
        dataset_reader.images_count(cfg, 'tain')


def test_errors_come_with_the_first_next(task):
    items = dataset_reader.item_paths(DatasetType.CANDIDATE)
    with pytest.raises(ValueError, match='no index file'):
        next(items)
    with pytest.raises(DatasetError, match='train-index.tsv cannot be read'):
        next(dataset_reader.item_paths(DatasetType.TRAINING))
    task.write_index('val', ['a.jpg', '\ta.txt'])
    with pytest.raises(DatasetError, match='val-index.tsv:2: the line has no image'):
        list(dataset_reader.item_paths(DatasetType.VALIDATION))


def test_images_of_one_name(task):
    task.write_index('train', ['/in/1/a.jpg', '/in/2/b.jpg'])
    dataset_reader.check_unique_image_names(DatasetType.TRAINING)
    task.write_index('train', ['/in/1/a.jpg', '/in/2/b.jpg', '/in/3/a.jpg'])
    with pytest.raises(DatasetError, match='/in/1/a.jpg and /in/3/a.jpg'):
        dataset_reader.check_unique_image_names(DatasetType.TRAINING)


def test_filter_broken_images_decodes_to_the_last_pixel(tmp_path):
    good, short, text = (tmp_path / name for name in ('good.jpg', 'short.jpg', 'text.jpg'))
    Image.effect_noise((64, 64), 50).save(good)
    short.write_bytes(good.read_bytes()[:-200])
    text.write_text('no image')
    assert dataset_reader.filter_broken_images([str(short), str(good), str(text), 'missing.jpg']) == [str(good)]


# content -> (class, xmin, ymin, xmax, ymax, quality, angle) with exclusive far corner
@pytest.mark.parametrize(
    'content, objects',
    [
        (b'', []),
        (
            b'0, 37, 52, 118, 240, -1.0, 0.0\n2, -3, 5, 16, 24, 0.800000011920929, 0.30000001192092896\n',
            [(0, 37, 52, 119, 241, -1, 0), (2, -3, 5, 17, 25, 0.800000011920929, 0.30000001192092896)],
        ),
        (b'0,619,667,1030,1055', [(0, 619, 667, 1031, 1056, None, None)]),
        (b'1, 5, 6, 5, 6\n', [(1, 5, 6, 6, 7, None, None)]),
        (b'1, 5, 6, 7, 8, 1\n', [(1, 5, 6, 8, 9, 1, None)]),
        (b'1, 5, 6, 7, 8\r\n2, 1, 1, 2, 2\r\n', [(1, 5, 6, 8, 9, None, None), (2, 1, 1, 3, 3, None, None)]),
        (b'\n1, 5, 6, 7, 8\n\n  \n', [(1, 5, 6, 8, 9, None, None)]),
        (b'1, 5.5, 6.0, 7.25, 8e1\n', [(1, 5.5, 6, 8.25, 81, None, None)]),
        (b'\xef\xbb\xbf0, 1, 2, 3, 4\n', [(0, 1, 2, 4, 5, None, None)]),
        (b'0, 9, 9, 3, 3\n', [(0, 9, 9, 4, 4, None, None)]),
    ],
)
def test_ark(tmp_path, content, objects):
    path = tmp_path / 'my label.txt'
    path.write_bytes(content)
    read = ArkReader(CLASSES).read(str(path), 'a.jpg')
    assert [(item.class_id, *item[1:5], item.quality, item.angle) for item in read] == objects
    assert all(type(item.xmin) is int for item in read if item.xmin == int(item.xmin))


@pytest.mark.parametrize(
    'content, words',
    [
        (
            '0, 1, 2, 3, 4\n3, 1, 2, 3, 4\n',
            r'a.txt:2: class index 3 is out of range; allowed: 0 to 2 \(cat, dog, bird\)',
        ),
        ('-1, 1, 2, 3, 4\n', 'a.txt:1: class index -1'),
        ('0.5, 1, 2, 3, 4\n', 'a.txt:1: class index 0.5'),
        ('cat, 1, 2, 3, 4\n', "a.txt:1: class index is 'cat'"),
        ('\n0, 1, 2, 3\n', 'a.txt:2: .* has 4 values; 5 to 7'),
        ('0, 1, 2, 3, 4, 5, 6, 7\n', 'a.txt:1: .* has 8 values'),
        ('0 1 2 3 4\n', 'has 1 values'),
        ('0, 1, nan, 3, 4\n', "ymin is 'nan'"),
        ('0, 1, 2, inf, 4\n', "xmax is 'inf'"),
        ('0, 1, 2, , 4\n', "xmax is ''"),
    ],
)
def test_malformed_ark(tmp_path, content, words):
    path = tmp_path / 'a.txt'
    path.write_text(content)
    with pytest.raises(DatasetError, match=words):
        ArkReader(CLASSES).read(str(path), 'a.jpg')


@pytest.mark.parametrize('reader', [ArkReader, VocReader, CocoReader])
def test_a_missing_annotation_is_not_an_empty_one(tmp_path, reader):
    assert reader(CLASSES).read(str(tmp_path / 'none'), 'a.jpg') is None
    assert reader(CLASSES).read('', 'a.jpg') is None
    with pytest.raises(DatasetError, match='cannot be read'):
        reader(CLASSES).read(str(tmp_path), 'a.jpg')


VOC_HEAD = (
    '<annotation><folder>folder</folder><filename>/in/assets/a.jpg</filename><source><annotation>unknown'
    '</annotation><image>unknown</image></source><size><width>100</width><height>80</height><depth>3</depth>'
    '</size><segmented>0</segmented><image_quality>0.0000</image_quality>'
)


def voc_object(name, box, extra=''):
    box = (
        ''
        if box is None
        else (
            '<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax>'
            '<rotate_angle>0.2500</rotate_angle></bndbox>'
        ).format(*box)
    )
    return (
        f'<object><name>{name}</name><pose>unknown</pose><truncated>unknown</truncated><occluded>0</occluded>{box}'
        f'<difficult>0</difficult><box_quality>-1.0000</box_quality>{extra}<confidence>-1.0000</confidence></object>'
    )


def test_voc(tmp_path):
    path = tmp_path / 'a.xml'
    path.write_text(
        VOC_HEAD
        + voc_object('dog', (1, 2, 10, 20))
        + voc_object(' Bird ', (-1.5, 2, 10, 20))
        + voc_object('cat', None)
        + '</annotation>'
    )
    read = VocReader(CLASSES).read(str(path), 'a.jpg')
    assert [tuple(item[:5]) + item[6:8] for item in read] == [
        (1, 1, 2, 11, 21, -1, 0.25),
        (2, -1.5, 2, 11, 21, -1, 0.25),
        (0, 0, 0, 0, 0, -1, None),
    ]
    assert read[1].place == f'{path}: object 2'
    path.write_text(VOC_HEAD + '</annotation>')
    assert VocReader(CLASSES).read(str(path), 'a.jpg') == []


@pytest.mark.parametrize(
    'content, words',
    [
        ('', 'not a VOC XML file'),
        ('0, 1, 2, 3, 4\n', 'not a VOC XML file'),
        (
            VOC_HEAD + voc_object('fish', (1, 2, 3, 4)) + '</annotation>',
            "object 1: class 'fish' is unknown; allowed: cat",
        ),
        (VOC_HEAD + voc_object('cat', ('', 2, 3, 4)) + '</annotation>', "xmin is ''"),
        (VOC_HEAD + '<object><name>cat</name><bndbox/></object></annotation>', 'xmin is None'),
    ],
)
def test_malformed_voc(tmp_path, content, words):
    path = tmp_path / 'a.xml'
    path.write_text(content)
    with pytest.raises(DatasetError, match=words):
        VocReader(CLASSES).read(str(path), 'a.jpg')


def coco(**changes):
    """Categories in another order than the classes', without one of them, as the platform writes them."""
    polygon = [[10, 20, 30, 20, 30, 40]]
    content = {
        'images': [{'id': 1, 'file_name': 'a.jpg'}, {'id': 2, 'file_name': 'b.jpg'}],
        'licenses': [],
        'categories': [
            {'id': 2, 'name': 'bird', 'supercategory': 'object'},
            {'id': 0, 'name': 'cat', 'supercategory': 'object'},
        ],
        'annotations': [
            {
                'id': 1,
                'image_id': 2,
                'category_id': 2,
                'iscrowd': 0,
                'bbox': [10, 20, 21, 21],
                'confidence': -1.0,
                'area': 200,
                'segmentation': polygon,
            },
            {
                'id': 2,
                'image_id': 2,
                'category_id': 0,
                'iscrowd': 1,
                'bbox': [1, 2, 1, 1],
                'confidence': -1.0,
                'area': 1,
                'segmentation': {},
            },
        ],
    }
    content.update(changes)
    return json.dumps(content)


def test_coco(tmp_path):
    path = tmp_path / 'coco-annotations.json'
    path.write_text(coco())
    reader = CocoReader(CLASSES)
    assert reader.read(str(path), '/in/assets/0a/a.jpg') == []
    assert reader.read(str(path), '/in/assets/0a/unlisted.jpg') is None
    bird, cat = reader.read(str(path), '/in/assets/0b/b.jpg')
    assert bird[:5] == (2, 10, 20, 31, 41) and cat[:5] == (0, 1, 2, 2, 3)
    assert (bird.area, bird.segmentation, bird.iscrowd) == (200, [[10, 20, 30, 20, 30, 40]], 0)
    assert (cat.area, cat.segmentation, cat.iscrowd) == (1, None, 1)


OBJECT = {'id': 7, 'image_id': 1, 'category_id': 0, 'bbox': [1, 2, 3, 4]}


@pytest.mark.parametrize(
    'content, words',
    [
        ('', 'not a coco file'),
        ('[]', 'not a coco file'),
        (coco(images=None), 'not a coco file'),
        (coco(images=[{'id': 1, 'file_name': 'a.jpg'}, {'id': 2, 'file_name': 'x/a.jpg'}]), 'same file name'),
        (coco(annotations=[dict(OBJECT, category_id=5)]), r'annotation 7: category_id 5 \(not in categories\)'),
        (
            coco(categories=[{'id': 0, 'name': 'fish'}], annotations=[OBJECT]),
            r'category_id 0 \(fish\) is unknown; allowed',
        ),
        (coco(annotations=[dict(OBJECT, image_id=9)]), 'image_id 9'),
        (coco(annotations=[dict(OBJECT, bbox=[1, 2, 3])]), 'bbox is'),
        (coco(annotations=[dict(OBJECT, bbox=[1, 2, None, 4])]), 'bbox is None'),
    ],
)
def test_malformed_coco(tmp_path, content, words):
    path = tmp_path / 'coco.json'
    path.write_text(content)
    with pytest.raises(DatasetError, match=words):
        CocoReader(CLASSES).read(str(path), 'a.jpg')


@pytest.mark.parametrize(
    'export_format, path, name',
    [
        ('ark:raw', '', 'ark'),
        ('DET-ARK:raw', '', 'ark'),
        ('voc:raw', '', 'voc'),
        ('det-voc:raw', '', 'voc'),
        ('coco:raw', '', 'coco'),
        ('seg-coco:raw', '', 'coco'),
        ('ark', '', 'ark'),
        ('ark:raw', 'a.xml', 'ark'),
        (None, '/in/a.txt', 'ark'),
        ('', '/in/a.XML', 'voc'),
        (None, '/in/coco-annotations.json', 'coco'),
        (None, '', 'voc'),
    ],
)
def test_annotation_format(export_format, path, name):
    assert annotation_format(export_format, path) == name


@pytest.mark.parametrize('export_format', ['none:raw', 'ls_json:raw', 3])
def test_formats_without_boxes(export_format):
    with pytest.raises(ConfigError, match='allowed: ark:raw, voc:raw, coco:raw'):
        annotation_format(export_format)


def test_bboxes_count(task):
    lines = [
        task.add_image('a.jpg', '0, 1, 2, 3, 4\n\n1, 1, 2, 3, 4'),
        task.add_image('b.jpg'),
        task.add_image('c.jpg', None),
    ]
    task.write_index('train', lines)
    task.write_index('val', [])
    cfg = get_merged_config()
    assert (dataset_reader.bboxes_count(cfg, 'train'), dataset_reader.bboxes_count(cfg, 'validation')) == (2, 0)
    task.write_config(export_format='coco:raw')
    path = task.annotations / 'coco.json'
    path.write_text(coco())
    task.write_index('train', [f'/in/a.jpg\t{path}', f'/in/b.jpg\t{path}'])
    assert dataset_reader.bboxes_count(get_merged_config(), 'train') == 2
