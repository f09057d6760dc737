"""From the platform's data set to coco and YOLOv5 files."""

import json
import os

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image
from pycocotools.coco import COCO

from ymir_exc import dataset_convert as convert
from ymir_exc.code import ExecutorReturnCode
from ymir_exc.dataset_convert.image_size import read_image_size
from ymir_exc.errors import ConfigError, DatasetError
from ymir_exc.util import get_merged_config

CLASSES = ['cat', 'dog', 'bird']


def fill(task, train, val=None):
    task.write_index('train', train)
    task.write_index('val', train if val is None else val)


def read(part):
    with open(part['ann_file'] if isinstance(part, dict) else part.ann_file) as stream:
        return json.load(stream)


def test_the_dict_and_every_byte_of_the_file(task):
    fill(
        task,
        [
            task.add_image('my photos/a b.jpg', '0, 37, 52, 60, 61, -1.0, 0.5\r\n\r\n2, 5, 6, 5, 6'),
            task.add_image('b.png', '', size=(30, 40)),
        ],
        [task.add_image('c.bmp', '1, 0, 0, 99, 79')],
    )
    parts = convert.convert_ymir_to_coco()
    folder = task.root / 'out/ymir_dataset'
    assert parts == {
        'train': {'img_dir': str(task.assets), 'ann_file': str(folder / 'ymir_train.json')},
        'val': {'img_dir': str(task.assets), 'ann_file': str(folder / 'ymir_val.json')},
    }
    assert read(parts['train']) == {
        'images': [
            {'id': 1, 'file_name': str(task.assets / 'my photos/a b.jpg'), 'width': 100, 'height': 80},
            {'id': 2, 'file_name': str(task.assets / 'b.png'), 'width': 30, 'height': 40},
        ],
        'annotations': [
            {
                'id': 1,
                'image_id': 1,
                'category_id': 1,
                'bbox': [37, 52, 24, 10],
                'area': 240,
                'iscrowd': 0,
                'segmentation': [],
                'bbox_quality': -1,
                'rotate_angle': 0.5,
            },
            {
                'id': 2,
                'image_id': 1,
                'category_id': 3,
                'bbox': [5, 6, 1, 1],
                'area': 1,
                'iscrowd': 0,
                'segmentation': [],
            },
        ],
        'categories': [{'id': index, 'name': name, 'supercategory': 'object'} for index, name in enumerate(CLASSES, 1)],
    }
    assert read(parts['val'])['annotations'][0]['bbox'] == [0, 0, 100, 80]
    assert COCO(parts['train']['ann_file']).getCatIds() == [1, 2, 3]


def test_category_ids_from_zero(task):
    fill(task, [task.add_image('a.jpg', '2, 1, 2, 3, 4')])
    content = read(convert.convert_ymir_to_coco(cat_id_from_zero=True)['train'])
    assert [category['id'] for category in content['categories']] == [0, 1, 2]
    assert (content['annotations'][0]['category_id'], content['annotations'][0]['id']) == (2, 1)


# line in an image of 100 x 80 -> bbox, and the count of dropped and clipped boxes
@pytest.mark.parametrize(
    'line, bbox, dropped, clipped',
    [
        ('10, 20, 19, 29', [10, 20, 10, 10], 0, 0),
        ('0, 0, 99, 79', [0, 0, 100, 80], 0, 0),
        ('0, 0, 100, 80', [0, 0, 100, 80], 0, 0),  # the far corner written exclusive: clipped without a word
        ('-3, 5, 16, 24', [0, 5, 17, 20], 0, 1),
        ('90, 70, 500, 500', [90, 70, 10, 10], 0, 1),
        ('-50, -50, 500, 500', [0, 0, 100, 80], 0, 1),
        ('9, 9, 9, 9', [9, 9, 1, 1], 0, 0),
        ('10.5, 20, 19.25, 29', [10.5, 20, 9.75, 10], 0, 0),
        ('19, 20, 10, 29', None, 1, 0),
        ('10, 29, 19, 20', None, 1, 0),
        ('19, 29, 10, 20', None, 1, 0),
        ('10, 20, 9, 29', None, 1, 0),
        ('100, 10, 120, 20', None, 1, 0),
        ('-20, 10, -1, 20', None, 1, 0),
        ('99.5, 10, 120, 20', None, 1, 0),
    ],
)
def test_boxes_at_the_border(task, line, bbox, dropped, clipped):
    fill(task, [task.add_image('a.jpg', f'1, 1, 1, 2, 2\n0, {line}\n')])
    report = convert.convert_dataset_to_coco().splits['train']
    boxes = [item['bbox'] for item in read(report)['annotations']]
    assert boxes == [[1, 1, 2, 2]] + ([bbox] if bbox else [])
    assert (report.dropped_boxes.count, report.clipped_boxes.count) == (dropped, clipped)
    for finding in report.dropped_boxes.examples + report.clipped_boxes.examples:
        assert finding.place == f'{task.annotations / "a.txt"}:2' and finding.detail.endswith('image 100 x 80')


def test_the_report(task):
    (task.assets / 'text.jpg').write_text('no image')
    (task.annotations / 'text.txt').write_text('')
    fill(
        task,
        [
            task.add_image('a.jpg', '0, 1, 2, 3, 4\n0, 9, 9, 3, 3\n1, -9, 5, 16, 24\n', size=(60, 50)),
            task.add_image('b.jpg', '', size=(200, 90)),
            task.add_image('c.jpg', '0, 1, 2, 3, 4'),
            task.add_image('d.jpg', None),
            f'{task.assets / "text.jpg"}\t{task.annotations / "text.txt"}',
            f'{task.assets / "gone.jpg"}\t{task.annotations / "text.txt"}',
            str(task.assets / 'a.jpg'),
        ],
    )
    report = convert.convert_dataset_to_coco(splits=['train']).splits['train']
    assert (report.num_listed, report.num_images, report.num_empty_images, report.num_boxes) == (7, 3, 1, 3)
    assert report.boxes_per_class == {'cat': 2, 'dog': 1, 'bird': 0}
    assert (report.image_widths, report.image_heights) == ((60, 100, 200), (50, 80, 90))
    assert report.skipped_images.by_reason == {'missing annotation': 2, 'unreadable image': 1, 'missing image': 1}
    assert [str(finding) for finding in report.skipped_images.examples] == [
        f'{task.assets}/d.jpg: missing annotation ({task.annotations}/d.txt)',
        f'{task.assets}/text.jpg: unreadable image (the image cannot be read (not an image, or a damaged one))',
        f'{task.assets}/gone.jpg: missing image (the image does not exist)',
        f'{task.assets}/a.jpg: missing annotation (the index line names none)',
    ]
    assert [str(finding) for finding in report.dropped_boxes.examples] == [
        f'{task.annotations}/a.txt:2: inverted box (x 9 to 4, y 9 to 4, image 60 x 50)'
    ]
    assert [str(finding) for finding in report.clipped_boxes.examples] == [
        f'{task.annotations}/a.txt:3: box partly outside the image (x -9 to 17, y 5 to 25, image 60 x 50)'
    ]
    assert [os.path.basename(image['file_name']) for image in read(report)['images']] == ['a.jpg', 'b.jpg', 'c.jpg']


def test_of_many_equal_findings_only_the_first_are_kept(task):
    fill(task, [task.add_image('a.jpg', '0, 9, 9, 3, 3\n' * 150 + '0, 1, 1, 2, 2')])
    dropped = convert.convert_dataset_to_coco().splits['train'].dropped_boxes
    assert (dropped.count, dropped.by_reason, len(dropped.examples)) == (150, {'inverted box': 150}, 100)


@pytest.mark.parametrize(
    'make, code, words',
    [
        (lambda task: [], 300002, 'the train set is empty'),
        (
            lambda task: [task.add_image('a.jpg', None), task.add_image('b.jpg', None)],
            300002,
            r'no image of the train set can be used \(2 x missing annotation\); the first: .*a.jpg',
        ),
        (lambda task: ['none.jpg\tnone.txt'], 300003, 'none.jpg: missing image'),
        (
            lambda task: ['none.jpg\tnone.txt', task.add_image('a.jpg', None)],
            300002,
            '1 x missing image, 1 x missing annotation',
        ),
        (
            lambda task: [task.add_image('a.jpg', '0, 9, 9, 3, 3\n0, 500, 9, 600, 30')],
            300002,
            r'all 2 boxes .* are unusable \(1 x inverted box, 1 x box outside the image\); the first: .*a.txt:1',
        ),
        (
            lambda task: [task.add_image('a.jpg', '7, 1, 2, 3, 4')],
            300002,
            r'a.txt:1: unknown class \(class index 7 is out of range; allowed: 0 to 2',
        ),
    ],
)
def test_data_that_cannot_be_used(task, make, code, words):
    fill(task, make(task))
    with pytest.raises(DatasetError, match=words) as caught:
        convert.convert_ymir_to_coco()
    assert caught.value.code == code and code in [*ExecutorReturnCode]
    assert not list(task.root.glob('out/ymir_dataset/*'))


def test_an_empty_validation_set_is_the_executors_decision(task):
    fill(task, [task.add_image('a.jpg', '0, 1, 2, 3, 4')], [])
    report = convert.convert_dataset_to_coco().splits['val']
    assert (report.num_listed, report.num_images, report.image_widths) == (0, 0, (0, 0, 0))
    content = read(report)
    assert (content['images'], content['annotations'], len(content['categories'])) == ([], [], 3)


@pytest.mark.parametrize(
    'class_names, words',
    [(None, 'not None'), ([], r'not \[\]'), ('cat', "not 'cat'"), (['cat', 'dog', 'cat'], 'more than once: cat')],
)
def test_bad_class_names(task, class_names, words):
    task.write_config(class_names=class_names)
    fill(task, [task.add_image('a.jpg')])
    with pytest.raises(ConfigError, match=words):
        convert.convert_ymir_to_coco()


def test_a_class_named_null_or_a_number(task):
    task.write_config(class_names=['1', 2, 'cat'])
    fill(task, [task.add_image('a.jpg', '1, 1, 2, 3, 4')])
    assert convert.convert_dataset_to_coco().splits['train'].boxes_per_class == {'1': 0, '2': 1, 'cat': 0}


def test_a_conversion_may_be_repeated(task):
    fill(task, [task.add_image('a.jpg', '0, 1, 2, 3, 4\n0, 9, 9, 3, 3'), task.add_image('b.jpg', None)])
    first = convert.convert_dataset_to_coco()
    (task.annotations / 'a.txt').write_text('0, 1, 2, 3, 4\n1, 1, 2, 30, 40')
    again = convert.convert_dataset_to_coco()
    assert (first.splits['train'].num_boxes, again.splits['train'].num_boxes) == (1, 2)
    assert len(read(again.splits['train'])['annotations']) == 2
    convert.convert_dataset_to_coco(splits=['train'], cat_id_from_zero=True)
    assert read(again.splits['train'])['categories'][0]['id'] == 0


def test_progress_over_all_splits(task):
    fill(task, [task.add_image(f'{index}.jpg') for index in range(100)], [task.add_image('v.jpg')])
    seen = []
    convert.convert_dataset_to_coco(progress=lambda done, total: seen.append((done, total)))
    assert seen == [(64, 101), (100, 101), (101, 101)]


@pytest.mark.parametrize('num_workers', [1, 7])
def test_the_order_is_that_of_the_index_for_any_number_of_workers(task, num_workers):
    names = [f'{(index * 37) % 200}.png' for index in range(200)]
    fill(task, [task.add_image(name, size=(20 + index, 20)) for index, name in enumerate(names)])
    report = convert.convert_dataset_to_coco(splits=['train'], num_workers=num_workers).splits['train']
    images = read(report)['images']
    assert [os.path.basename(image['file_name']) for image in images] == names
    assert [image['width'] for image in images] == [20 + index for index in range(200)]


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp', 'tiff', 'bmp', 'unknown'])
@pytest.mark.parametrize('orientation', [None, 1, 3, 6, 8, 9])
def test_sizes_are_those_of_the_loader(tmp_path, suffix, orientation):
    path = tmp_path / f'a.{suffix}'
    options = {}
    if orientation is not None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options = {'exif': exif}
    Image.fromarray(np.arange(40 * 60 * 3, dtype=np.uint8).reshape(40, 60, 3)).save(
        path, format='JPEG' if suffix == 'unknown' else None, **options
    )
    loaded = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if loaded is None:  # OpenCV 4.12 cannot load a TIFF that is to be turned
        assert suffix == 'tiff' and orientation in (6, 8)
        return
    assert read_image_size(str(path)) == loaded.shape[1::-1]


def test_images_beyond_the_pixel_limit_of_pil(task, monkeypatch):
    fill(task, [task.add_image('a.png', size=(300, 200))])
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 10000)
    assert convert.convert_dataset_to_coco().splits['train'].num_images == 1
    assert Image.MAX_IMAGE_PIXELS == 10000


def write_voc(task, names):
    for name in names:
        (task.annotations / f'{name}.xml').write_text(
            '<annotation><size><width>9</width><height>9</height><depth>3</depth></size>'
            '<object><name>dog</name><bndbox><xmin>10</xmin><ymin>20</ymin><xmax>19</xmax><ymax>29</ymax></bndbox>'
            '</object></annotation>'
        )
    return [f'{task.assets}/{name}.jpg\t{task.annotations}/{name}.xml' for name in names]


def write_coco(task, names):
    path = task.annotations / 'coco-annotations.json'
    path.write_text(
        json.dumps(
            {
                'images': [
                    {'id': index, 'file_name': f'{name}.jpg', 'width': 9, 'height': 9}
                    for index, name in enumerate(names, 1)
                ],
                'categories': [{'id': 1, 'name': 'dog'}],
                'annotations': [
                    {
                        'id': index,
                        'image_id': index,
                        'category_id': 1,
                        'bbox': [10, 20, 10, 10],
                        'iscrowd': 1,
                        'area': 55,
                        'segmentation': [[10, 20, 20, 20, 20, 30]],
                    }
                    for index, _ in enumerate(names, 1)
                ],
            }
        )
    )
    return [f'{task.assets}/{name}.jpg\t{path}' for name in names]


@pytest.mark.parametrize(
    'export_format, write, extra',
    [
        ('voc:raw', write_voc, {}),
        (None, write_voc, {}),
        ('seg-coco:raw', write_coco, {'area': 55, 'iscrowd': 1, 'segmentation': [[10, 20, 20, 20, 20, 30]]}),
        ('', write_coco, {'area': 55, 'iscrowd': 1, 'segmentation': [[10, 20, 20, 20, 20, 30]]}),
    ],
)
def test_other_annotation_formats(task, export_format, write, extra):
    for name in 'abc':
        task.add_image(f'{name}.jpg', None)
    task.write_config(export_format=export_format)
    lines = write(task, 'abc')
    fill(task, lines[:2], lines[2:])
    report = convert.convert_dataset_to_coco()
    assert (report.splits['train'].num_boxes, report.splits['val'].num_boxes) == (2, 1)
    content = read(report.splits['val'])
    assert content['images'] == [{'id': 1, 'file_name': f'{task.assets}/c.jpg', 'width': 100, 'height': 80}]
    expected = {
        'id': 1,
        'image_id': 1,
        'category_id': 2,
        'bbox': [10, 20, 10, 10],
        'area': 100,
        'iscrowd': 0,
        'segmentation': [],
    }
    assert content['annotations'] == [dict(expected, **extra)]


def test_yolov5(task):
    fill(
        task,
        [
            task.add_image('my photos/a b.jpg', '0, 10, 20, 29, 39\n2, -10, 0, 9, 79\n1, 9, 9, 3, 3'),
            task.add_image('b.jpg'),
            task.add_image('c.jpg', None),
        ],
        [task.add_image('d.png', '1, 0, 0, 99, 79')],
    )
    out = task.root / 'out'
    for _ in range(2):  # it may be repeated
        path = convert.convert_ymir_to_yolov5(get_merged_config())
    assert path == str(out / 'data.yaml')
    data = yaml.safe_load((out / 'data.yaml').read_text())
    assert data == {
        'path': str(out),
        'nc': 3,
        'names': CLASSES,
        'train': str(out / 'train-index.txt'),
        'val': str(out / 'val-index.txt'),
        'test': str(out / 'test-index.txt'),
    }
    assert (out / 'test-index.txt').read_text() == ''
    images = (out / 'train-index.txt').read_text().splitlines()
    assert images == [str(out / 'images/my photos/a b.jpg'), str(out / 'images/b.jpg')]
    assert all(os.path.isfile(image) for image in images)
    assert (out / 'labels/my photos/a b.txt').read_text() == '0 0.2 0.375 0.2 0.25\n2 0.05 0.5 0.1 1\n'
    assert (out / 'labels/b.txt').read_text() == ''
    assert (out / 'labels/d.txt').read_text() == '1 0.5 0.5 1 1\n'


@pytest.mark.parametrize('tasks', ['mining', 'infer', 'mining infer'])
def test_yolov5_of_candidates(task, tasks):
    """Every candidate has to be in the result, so also what cannot be read is listed, in the order of the index."""
    task.write_env(tasks)
    names = ['12/b.jpg', 'a b.png', '12/gone.jpg']
    for name in names[:2]:
        task.add_image(name, None)
    task.write_index('candidate', [f'{task.assets}/{name}' for name in names])
    out = task.root / 'out'
    data = yaml.safe_load(open(convert.convert_ymir_to_yolov5(get_merged_config())))
    assert data == dict(
        path=str(out),
        nc=3,
        names=CLASSES,
        **{split: str(out / f'{split}-index.txt') for split in ('train', 'val', 'test')},
    )
    listed = (out / 'test-index.txt').read_text().splitlines()
    assert listed == [str(out / 'images' / name) for name in names]
    assert [os.path.isfile(path) for path in listed] == [True, True, False]
    assert (out / 'train-index.txt').read_text() == (out / 'val-index.txt').read_text() == ''
    task.write_index('candidate', ['/elsewhere/a.jpg'])
    with pytest.raises(DatasetError, match='/elsewhere/a.jpg lies outside'):
        convert.convert_ymir_to_yolov5(get_merged_config())


def test_yolov5_elsewhere_and_in_the_way(task, tmp_path):
    fill(task, [task.add_image('a.jpg', '0, 10, 20, 29, 39')])
    other = tmp_path / 'other'
    (other / 'images').mkdir(parents=True)
    with pytest.raises(DatasetError, match='in the way'):
        convert.convert_ymir_to_yolov5(get_merged_config(), str(other))
    (other / 'images').rmdir()
    (other / 'images').symlink_to(tmp_path)
    assert convert.convert_ymir_to_yolov5(get_merged_config(), str(other)) == str(other / 'data.yaml')
    assert os.readlink(other / 'images') == str(task.assets)
    task.add_image('a.png', '0, 10, 20, 29, 39')
    fill(task, [f'{task.assets}/a.{suffix}\t{task.annotations}/a.txt' for suffix in ('jpg', 'png')])
    with pytest.raises(DatasetError, match='a.jpg and .*a.png'):
        convert.convert_ymir_to_yolov5(get_merged_config(), str(other))
