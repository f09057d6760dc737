"""What is wrong with a data set is left out and named, file and place; the rest is read."""

import json
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from ymir_exc.errors import DatasetError
from ymir_local.datasets import read_dataset
from ymir_local.datasets.raw import SHOWN_PER_KIND
from ymir_local.platform.labels import LabelledBox

GOOD = LabelledBox(0, 1, 2, 3, 4)


@pytest.fixture
def coco(tmp_path, draw):
    """Writes a COCO set of one image of 64 x 48 with a good annotation and others, and reads it."""

    def read(annotations=(), images=(), categories=(), **options):
        if not (tmp_path / '1.jpg').exists():
            draw('1.jpg')
        first = {'id': 1, 'image_id': 1, 'category_id': 1, 'bbox': [1, 2, 3, 4]}
        (tmp_path / 'a.json').write_text(
            json.dumps(
                {
                    'images': [{'id': 1, 'file_name': '1.jpg'}, *images],
                    'annotations': [first, *(dict(dict(first, id=7), **entry) for entry in annotations)],
                    'categories': [{'id': 1, 'name': 'cat'}, *categories],
                }
            ),
            encoding='utf-8',
        )
        return read_dataset(tmp_path, 'coco', **options)

    return read


@pytest.mark.parametrize(
    'entry, expected, warning',
    [
        ({'bbox': [10.4, 10.5, 5.2, 5.2]}, (10, 11, 6, 5), None),
        ({'bbox': [10.6, 10, 0.7, 5]}, (10, 10, 1, 5), None),  # within one pixel
        ({'bbox': [60, 40, 5, 9]}, (60, 40, 4, 8), None),  # one pixel too far is usual
        ({'bbox': [-0.4, 0, 5, 5]}, (0, 0, 5, 5), None),
        (
            {'bbox': [-9, 40, 19, 90]},
            (0, 40, 10, 8),
            'annotation 7: the box lies partly outside the image (x -9 to 10, y '
            '40 to 130, image 64 x 48); it is clipped',
        ),
        ({'bbox': [64, 0, 5, 5]}, None, 'annotation 7: the box lies outside the image'),
        ({'bbox': [-9, 0, 5, 5]}, None, 'annotation 7: the box lies outside the image'),
        ({'bbox': [9, 9, -5, 5]}, None, 'annotation 7: the box is inverted or has no area'),
        ({'bbox': [9, 9, 0, 5]}, None, 'annotation 7: the box is inverted or has no area'),
        ({'bbox': [9, 9, float('nan'), 5]}, None, 'annotation 7: the box has no usable numbers'),
        ({'bbox': [9, 9, 1e20, 5]}, None, 'annotation 7: the box has no usable numbers'),
        ({'bbox': [9, 9, 5]}, None, 'annotation 7: its bbox [9, 9, 5] is not [x, y, w, h] in numbers'),
        ({'bbox': '9'}, None, "annotation 7: its bbox '9' is not"),
        ({'bbox': None}, None, 'annotation 7: it has neither bbox nor segmentation'),
        ({'bbox': [9, 9, 10**400, 5]}, None, 'annotation 7: its bbox [9, 9, 1000'),
        *(
            ({'bbox': None, 'segmentation': shape}, None, f'annotation 7: {problem}')
            for shape, problem in (
                ([[1, 1, 9]], 'a polygon of its segmentation has 3 numbers; x and y of each point are needed'),
                ([1, 1, 9, 1, 9, 9, 20], 'a polygon of its segmentation has 7 numbers'),
                ([[1, 1, 9, 1, 9, 9], [1]], 'a polygon of its segmentation has 1 numbers'),
                *(
                    (other, 'its segmentation is not a list of polygons')
                    for other in (
                        [[]],
                        [[1, 1, float('nan'), 1, 9, 9]],
                        [[1, 1, 9, float('inf'), 9, 9]],
                        [[1, 1, 10**400, 1, 9, 9]],
                        [[1, 1, 9, 1, 9, 9], 5],
                        [None],
                        'text',
                        5,
                    )
                ),
            )
        ),
        ({'bbox': None, 'segmentation': [[1, 1, 9, 1, 9, 9], []]}, (1, 1, 8, 8), None),
        ({'category_id': 5}, None, 'annotation 7: category_id 5 is not among the categories'),
        ({'image_id': 5}, None, 'annotation 7: image_id 5 is not among the images'),
        ({'image_id': [1], 'category_id': [1]}, None, 'annotation 7: category_id [1] is not'),
        ({'image_id': [1]}, None, 'annotation 7: image_id [1] is not'),
        ({'iscrowd': 1}, None, 'annotation 7: it is a crowd; it is left out'),
    ],
)
def test_annotation(coco, tmp_path, entry, expected, warning):
    dataset = coco([entry])
    assert dataset.images()[0].boxes == (GOOD, *([LabelledBox(0, *expected)] if expected else []))
    assert len(dataset.warnings) == bool(warning)
    if warning:
        assert f'{tmp_path / "a.json"}: {warning}' in dataset.warnings[0].replace(' (1.jpg)', '')


def test_many_warnings_of_a_kind_are_counted(coco):
    warnings = coco([{'iscrowd': 1, 'id': number} for number in range(SHOWN_PER_KIND + 5)]).warnings
    assert len(warnings) == SHOWN_PER_KIND + 1 and warnings[-1] == '... and 5 more of the same: annotations left out'


def test_images_missing_unreadable_and_twice(coco, tmp_path, draw):
    draw('1.jpg')
    shutil.copy(tmp_path / '1.jpg', tmp_path / 'copy.jpg')
    (tmp_path / 'broken.jpg').write_bytes(b'\xff\xd8 no image')
    names = ('gone.jpg', 'broken.jpg', 'copy.jpg')
    dataset = coco([{'image_id': 4}], [{'id': number, 'file_name': name} for number, name in enumerate(names, 2)])
    assert [image.path.name for image in dataset.images()] == ['1.jpg']
    gone, broken, copy = dataset.warnings
    assert f'{tmp_path / "gone.jpg"}: the image does not exist' in gone and 'a.json' in gone
    assert f'{tmp_path / "broken.jpg"}: it is not an image, or its beginning is broken' in broken
    assert f'{tmp_path / "copy.jpg"} is the same image as {tmp_path / "1.jpg"}' in copy and '1 boxes' in copy


def test_no_image_at_all_is_an_error(tmp_path, put):
    put('a.json', json.dumps({'images': [{'id': 1, 'file_name': 'x.jpg'}], 'annotations': [], 'categories': []}))
    with pytest.raises(DatasetError, match=r'none of its 1 images .*x\.jpg: the image does not exist; copy the images'):
        read_dataset(tmp_path, 'coco')


@pytest.mark.parametrize(
    'text, message',
    [('{"images": [', 'is not a JSON file'), ('{"images": {}}', 'is not a COCO file'), ('[1]', 'is not a COCO file')],
)
def test_broken_file_is_an_error(tmp_path, put, text, message):
    with pytest.raises(DatasetError, match=message):
        read_dataset(put('a.json', text), 'coco')


def test_class_names(coco):
    dataset = coco(
        [{'category_id': 3}, {'category_id': 2}], categories=[{'id': 3, 'name': ' CAT'}, {'id': 2, 'name': 'Dog '}]
    )
    assert dataset.class_names == ('cat', 'dog')
    assert [box.class_index for box in dataset.images()[0].boxes] == [0, 0, 1]
    assert "the classes 'cat', ' CAT' become one class, 'cat'" in dataset.warnings[0]


def test_classes_asked_for(coco, tmp_path):
    dataset = coco([{'category_id': 2}], categories=[{'id': 2, 'name': 'dog'}], class_names=['bird', 'DOG'])
    assert dataset.class_names == ('bird', 'dog')
    assert [box.class_index for box in dataset.images()[0].boxes] == [1]
    assert "class 'cat' is not among the classes asked for; its 1 boxes are left out" in dataset.warnings[0]
    assert dataset.warnings[1] == f"{tmp_path}: no class is called 'bird'; there are 'cat', 'dog'"
    with pytest.raises(DatasetError, match="'dog' twice"):
        coco(class_names=['dog', 'Dog '])


def test_yolo_lines(tmp_path, draw, put):
    draw('images/1.jpg')
    draw('images/2.jpg')
    put('data.yaml', 'train: images\nnames: [cat]\nnc: 3\n')
    put(
        'labels/1.txt',
        'cat 0.5 0.5 0.5 0.5\n1 0.5 0.5 0.5 0.5\n-1 0.5 0.5 0.5 0.5\n0 0.5 0.5\n0.5 0.5 0.5 0.5 0.5\n'
        '0 0.5 0.5 0.5 0.5\n',
    )
    dataset = read_dataset(tmp_path)
    assert [image.boxes for image in dataset.images()] == [(LabelledBox(0, 16, 12, 32, 24),), ()]
    text = '\n'.join(dataset.warnings)
    for part in (
        "1.txt: line 1: 'cat 0.5",
        '1.txt: line 2: class 1 is unknown',
        'data.yaml names 0 to 0',
        'line 3: class -1',
        'line 4: 3 values',
        'line 5: the class index 0.5',
        'nc is 3, but there are 1 names',
        '1 of 2 images have no label file',
    ):
        assert part in text
    put('data.yaml', 'train: nowhere\nval: images\nnames: [cat]\n')
    with pytest.raises(DatasetError, match="train is 'nowhere', which does not exist; write there a folder"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    'files',
    [
        {
            'images/train/1.jpg': None,
            'labels/train/1.txt': '0 0.5 0.5 0.5 0.5',
            'images/2.jpg': None,
            'images/more/3.jpg': None,
        },
        {
            'images/1.jpg': None,
            'labels/1.txt': '0 0.5 0.5 0.5 0.5',
            'train.txt': 'images/1.jpg\n',
            'images/2.jpg': None,
            'images/3.jpg': None,
        },
    ],
)
def test_yolo_images_in_no_part_are_told(tmp_path, draw, put, files):
    for name, text in {**files, 'classes.txt': 'cat'}.items():
        draw(name) if text is None else put(name, text)
    dataset = read_dataset(tmp_path)
    assert [image.path.name for image in dataset.images()] == ['1.jpg']
    assert (
        f'2 images below {tmp_path / "images"} are in none of the lists or folders of the parts train'
        in dataset.warnings[0]
    )


def test_yolo_without_names(tmp_path, draw, put):
    draw('images/1.jpg')
    put('labels/1.txt', '2 0.5 0.5 0.5 0.5\n')
    dataset = read_dataset(tmp_path)
    assert dataset.class_names == ('class_0', 'class_1', 'class_2') and 'names no classes' in dataset.warnings[0]
    assert read_dataset(tmp_path, class_names=['a', 'b', 'c']).images()[0].boxes[0].class_index == 2


def test_voc_files(tmp_path, draw, put):
    corners = '<bndbox><xmin>{}</xmin><ymin>2</ymin><xmax>8</xmax><ymax>9</ymax></bndbox>'
    good = f'<object><name>Cat</name><difficult>1</difficult>{corners.format(1)}</object>'
    for name in 'abcd':
        draw(f'JPEGImages/{name}.jpg')
    put(
        'Annotations/a.xml',
        f'<annotation>{good}<object><name>cat</name></object><object><name/>{corners.format(1)}</object>'
        f'<object><name>cat</name>{corners.format("one")}</object></annotation>',
    )
    put('Annotations/b.xml', '<annotation><object>')
    put('Annotations/d.xml', f'<annotation>{good}</annotation>')
    put('ImageSets/Main/train.txt', 'a\nb\nc\n')
    put('ImageSets/Main/val.txt', 'a\n')
    dataset = read_dataset(tmp_path)
    assert dataset.class_names == ('cat',)
    assert [image.path.name for image in dataset.images()] == ['a.jpg']
    assert dataset.images()[0].boxes == (LabelledBox(0, 1, 2, 8, 8, difficult=True),)
    text = '\n'.join(dataset.warnings)
    for part in (
        'a.xml: object 2: the box has no usable numbers',
        "a.xml: object 3: class '' is unknown",
        'a.xml: object 4: the box',
        'b.xml: it is not a readable XML file',
        'c has no ',
        'd.xml is in no list of',
        'val.txt: a is in train.txt too',
    ):
        assert part in text


def test_ymir_lines(tmp_path, draw, put):
    draw('assets/1.jpg')
    draw('assets/2.jpg')
    put('config.yaml', 'class_names: [cat]\n')
    put('annotations/1.txt', '0,1,2,3,5\r\n5, 1, 2, 3, 4\nx\n')
    put('train-index.tsv', '/in/assets/1.jpg\t/in/annotations/1.txt\n\n/in/assets/2.jpg\t/in/annotations/2.txt\n')
    dataset = read_dataset(tmp_path)
    assert [image.boxes for image in dataset.images()] == [(GOOD,)]
    text = '\n'.join(dataset.warnings)
    for part in (
        '1.txt: line 2: class index 5 is out of range',
        "1.txt: line 3: 'x' has 1 values",
        'train-index.tsv:3',
    ):
        assert part in text


def test_size_is_that_of_the_turned_image(tmp_path, draw):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(tmp_path / 'a.jpg', exif=exif)
    image = read_dataset(tmp_path).images()[0]
    assert (image.height, image.width) == cv2.imread(str(tmp_path / 'a.jpg')).shape[:2] == (64, 48)


def test_names_in_yaml_are_text(tmp_path, draw, put):
    """YAML 1.1 would have a bool, a number and nothing."""
    draw('images/1.jpg')
    put('data.yaml', 'train: images\nval: ~\ntest:\nnames: [no, 007, null, 1e3]\n')
    dataset = read_dataset(tmp_path)
    assert dataset.class_names == ('no', '007', 'null', '1e3') and list(dataset.splits) == ['train']


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'gb18030'])
def test_encodings_of_text_files(tmp_path, draw, put, encoding):
    draw('images/1.jpg')
    put('labels/1.txt', '').write_bytes('1 0.5 0.5 0.5 0.5\r\n'.encode(encoding))
    put('classes.txt', '').write_bytes('人\r\n叉车\r\n'.encode(encoding))
    dataset = read_dataset(tmp_path)
    assert dataset.class_names == ('人', '叉车') and dataset.images()[0].boxes[0].class_index == 1


def test_broken_yaml_is_told_in_one_line(tmp_path, draw, put):
    draw('images/1.jpg')
    with pytest.raises(DatasetError, match=r'data\.yaml is not a YAML file, line 2, column 10: expected .*') as caught:
        read_dataset(put('data.yaml', 'train: images\nnames: [a').parent)
    assert '\n' not in str(caught.value)
    put('in/train-index.tsv', '')
    with pytest.raises(DatasetError, match=r'config\.yaml cannot be read: line 1, column 15'):
        read_dataset(put('in/config.yaml', 'class_names: [').parent)
