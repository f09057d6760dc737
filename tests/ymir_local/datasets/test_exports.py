"""What CVAT, Label Studio and Roboflow export, and data sets that have travelled, are read as they are."""

import json

import pytest

from ymir_exc.errors import DatasetError
from ymir_local.datasets import found_formats, read_dataset
from ymir_local.platform.labels import LabelledBox

BOX = LabelledBox(0, 16, 12, 32, 24)  # of an image of 64 x 48
ROW = '0 0.5 0.5 0.5 0.5\n'


def coco(*names, categories=((7, 'cat', ''),), **more):
    return json.dumps(
        dict(
            info={},
            categories=[{'id': key, 'name': name, 'supercategory': group} for key, name, group in categories],
            images=[{'id': number, 'file_name': name, 'width': 64, 'height': 48} for number, name in enumerate(names)],
            annotations=[
                {'id': number, 'image_id': number, 'category_id': 7, 'bbox': [16, 12, 32, 24]}
                for number in range(len(names))
            ],
            **more,
        )
    )


def voc(file_name):
    return (
        f'<annotation verified="yes"><filename>{file_name}</filename><size><width>64</width><height>48</height>'
        '<depth>3</depth></size><object><name>cat</name><bndbox><xmin>16.0</xmin><ymin>12.0</ymin>'
        '<xmax>47</xmax><ymax>35</ymax></bndbox></object></annotation>'
    )


LABEL_MAP = '# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:1,2,3::\n'
NOTES = json.dumps({'categories': [{'id': 0, 'name': 'cat'}], 'info': {'contributor': 'Label Studio'}})
ROBOFLOW = ((0, 'animals', 'none'), (7, 'cat', 'animals'))
TREE = {f'images/{split}/{split}.jpg': None for split in ('train', 'val')} | {
    f'labels/{split}/{split}.txt': ROW for split in ('train', 'val')
}
BOTH = {'train': ['images/train/train.jpg'], 'val': ['images/val/val.jpg']}

# format, files (images get noise), expected splits; every image has BOX, and there are no warnings
EXPORTS = {
    'CVAT, COCO 1.0': (
        'coco',
        {
            'annotations/instances_default.json': coco('1.jpg', 'sub/1.jpg'),
            'images/default/1.jpg': None,
            'images/default/sub/1.jpg': None,
        },
        {'all': ['images/default/1.jpg', 'images/default/sub/1.jpg']},
    ),
    'CVAT, Pascal VOC 1.1 with sub-folders': (
        'voc',
        {
            'Annotations/1.xml': voc('1.jpg'),
            'Annotations/s/t/1.xml': voc('s/t/1.jpg'),
            'JPEGImages/1.jpg': None,
            'JPEGImages/s/t/1.jpg': None,
            'ImageSets/Main/default.txt': '1\ns/t/1\n',
            'labelmap.txt': LABEL_MAP,
        },
        {'all': ['JPEGImages/1.jpg', 'JPEGImages/s/t/1.jpg']},
    ),
    'CVAT, Pascal VOC 1.1 with subsets': (
        'voc',
        {
            'Annotations/s/1.xml': voc('s/1.jpg'),
            'Annotations/u/1.xml': voc('u/1.jpg'),
            'JPEGImages/s/1.jpg': None,
            'JPEGImages/u/1.jpg': None,
            'ImageSets/Main/train.txt': 's/1\n',
            'ImageSets/Main/val.txt': 'u/1.jpg\n',
        },
        {'train': ['JPEGImages/s/1.jpg'], 'val': ['JPEGImages/u/1.jpg']},
    ),
    'CVAT, YOLO 1.1': (
        'yolo',
        {
            'obj.data': 'classes = 1\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n',
            'obj.names': 'cat\n',
            'train.txt': 'data/obj_train_data/1.jpg\ndata/obj_train_data/s/1.jpg\n',
            'valid.txt': 'data/obj_valid_data/2.jpg\n',
            **{
                f'obj_{name}.{suffix}': text
                for name in ('train_data/1', 'train_data/s/1', 'valid_data/2')
                for suffix, text in (('jpg', None), ('txt', ROW))
            },
        },
        {'train': ['obj_train_data/1.jpg', 'obj_train_data/s/1.jpg'], 'val': ['obj_valid_data/2.jpg']},
    ),
    'CVAT, Ultralytics YOLO': (
        'yolo',
        {
            **TREE,
            'data.yaml': 'names:\n  0: cat\npath: ./\ntrain: train.txt\nval: val.txt\n',
            'train.txt': 'data/images/train/train.jpg\n',
            'val.txt': 'images/val/val.jpg\n',
        },
        BOTH,
    ),
    'Label Studio, COCO': (
        'coco',
        {
            'result.json': coco('images/1.jpg', 'images\\2.jpg', '../data/upload/3.jpg'),
            'images/1.jpg': None,
            'images/2.jpg': None,
            'images/3.jpg': None,
        },
        {'all': ['images/1.jpg', 'images/2.jpg', 'images/3.jpg']},
    ),
    'Label Studio, YOLO': (
        'yolo',
        {'notes.json': NOTES, 'classes.txt': 'cat\n', 'images/1.jpg': None, 'labels/1.txt': ROW},
        {'all': ['images/1.jpg']},
    ),
    'Label Studio, Pascal VOC XML': (
        'voc',
        {'Annotations/1.xml': voc('1'), 'images/1.jpg': None},
        {'all': ['images/1.jpg']},
    ),
    'data.yaml of a notebook': (
        'yolo',
        {
            **TREE,
            'data.yaml': 'path: /content/my set\ntrain: /content/my set/images/train\n'
            'val: /content/my set/images/val\nnames: [cat]\n',
        },
        BOTH,
    ),
    'data.yaml of Windows': (
        'yolo',
        {**TREE, 'data.yaml': 'train: C:\\sets\\a\\images\\train\nval: C:/sets/a/images/val\nnames: {0: cat}\n'},
        BOTH,
    ),
    'lists of another machine': (
        'yolo',
        {
            **TREE,
            'classes.txt': 'cat\n',
            'train.txt': '/sets/a/images/train/train.jpg\n',
            'val.txt': 'D:\\set\\images\\val\\val.jpg\r\n',
        },
        BOTH,
    ),
    'folders with capitals': (
        'yolo',
        {
            'classes.txt': 'cat\n',
            'Images/Train/1.JPG': None,
            'Labels/Train/1.txt': ROW,
            'Images/Valid/2.Jpeg': None,
            'Labels/Valid/2.txt': ROW,
        },
        {'train': ['Images/Train/1.JPG'], 'val': ['Images/Valid/2.Jpeg']},
    ),
    'two folders of one split': (
        'yolo',
        {
            'classes.txt': 'cat\n',
            **{
                f'train_{part}/{kind}/{part}.{suffix}': text
                for part in 'ab'
                for kind, suffix, text in (('images', 'jpg', None), ('labels', 'txt', ROW))
            },
        },
        {'train': ['train_a/images/a.jpg', 'train_b/images/b.jpg']},
    ),
    'one name in several folders': (
        'coco',
        {
            'a.json': coco('a/1.jpg', 'b/1.jpg', '1.jpg'),
            'images/a/1.jpg': None,
            'images/b/1.jpg': None,
            'images/1.jpg': None,
        },
        {'all': ['images/a/1.jpg', 'images/b/1.jpg', 'images/1.jpg']},
    ),
    'ids as text': (
        'coco',
        {
            'a.json': coco('1.jpg')
            .replace('"image_id": 0', '"image_id": "0"')
            .replace('"category_id": 7', '"category_id": "7"'),
            '1.jpg': None,
        },
        {'all': ['1.jpg']},
    ),
    'an image named twice': ('coco', {'a.json': coco('1.jpg', '1.jpg'), '1.jpg': None}, {'all': ['1.jpg']}),
    'two endings for one name': (
        'voc',
        {'a/1.jpg': None, 'a/1.png': None, 'a/1.xml': voc('1.png'), 'b/1.jpg': None, 'b/1.xml': voc('elsewhere')},
        {'all': ['a/1.png', 'b/1.jpg']},
    ),
}


@pytest.fixture
def lay(draw, put, tmp_path):

    def write(files):
        for name, text in files.items():
            draw(f'set/{name}') if text is None else put(f'set/{name}', text)
        return tmp_path / 'set'

    return write


@pytest.mark.parametrize('name', EXPORTS)
def test_export(name, lay):
    kind, files, splits = EXPORTS[name]
    root = lay(files)
    assert found_formats(root) == [kind]
    dataset = read_dataset(root)
    assert dataset.class_names == ('cat',)
    assert {
        split: [image.path.relative_to(root).as_posix() for image in images] for split, images in dataset.splits.items()
    } == splits
    assert all((image.width, image.height, image.boxes) == (64, 48, (BOX,)) for image in dataset.images())
    assert [text for text in dataset.warnings if 'has no .xml file' not in text] == []


def test_roboflow_names_the_project_as_a_class(lay):
    root = lay(
        {
            'train/_annotations.coco.json': coco('1.jpg', categories=ROBOFLOW),
            'train/1.jpg': None,
            'valid/_annotations.coco.json': coco('2.jpg', categories=ROBOFLOW),
            'valid/2.jpg': None,
        }
    )
    dataset = read_dataset(root)
    assert dataset.class_names == ('cat',) and [len(part) for part in dataset.splits.values()] == [1, 1]
    assert dataset.warnings == (
        f"{root}: category 'animals' has no objects and is the supercategory of others; it is not a class",
    )
    used = json.loads(coco('1.jpg', categories=ROBOFLOW))
    used['annotations'].append({'id': 9, 'image_id': 0, 'category_id': 0, 'bbox': [1, 2, 3, 4]})
    lay({'train/_annotations.coco.json': json.dumps(used)})
    assert read_dataset(root).class_names == ('animals', 'cat')


def test_roboflow_names_test_images_where_there_are_none(lay):
    text = 'train: ../images/train\nval: ../images/val\ntest: ../test/images\nnames: [cat]\n'
    root = lay({**TREE, 'data.yaml': text})
    dataset = read_dataset(root)
    assert list(dataset.splits) == ['train', 'val']
    assert (
        len(dataset.warnings) == 1
        and "data.yaml: test is '../test/images', which does not exist" in dataset.warnings[0]
    )


def test_a_file_for_each_class(lay):
    root = lay({'cats.json': coco('1.jpg'), 'dogs.json': coco('1.jpg').replace('"cat"', '"dog"'), 'images/1.jpg': None})
    dataset = read_dataset(root)
    assert dataset.class_names == ('cat', 'dog') and list(dataset.splits) == ['all']
    assert dataset.images()[0].boxes == (BOX, LabelledBox(1, 16, 12, 32, 24))


def test_an_image_of_another_folder_is_no_substitute(lay):
    dataset = read_dataset(lay({'a.json': coco('b/1.jpg', '1.jpg'), '1.jpg': None}))
    assert [image.boxes for image in dataset.images()] == [(BOX,)]
    assert "the image 'b/1.jpg' does not exist, and" in dataset.warnings[0]


@pytest.mark.parametrize(
    'segmentation',
    [
        {'size': [48, 64], 'counts': [16 * 48 + 12, 24, 24, 24, 30 * 48 - 24, 0, 16 * 48 + 12]},
        [[16, 12, 18, 12, 18, 36, 16, 36]],
    ],
)
def test_box_of_a_shape(lay, segmentation):
    content = json.loads(coco('1.jpg'))
    del content['annotations'][0]['bbox']
    content['annotations'][0]['segmentation'] = segmentation
    if isinstance(segmentation, dict):
        counts = segmentation['counts']
        counts[-1] += 48 * 64 - sum(counts)
    dataset = read_dataset(lay({'a.json': json.dumps(content), '1.jpg': None}))
    assert dataset.images()[0].boxes == (LabelledBox(0, 16, 12, 2, 24),)


@pytest.mark.parametrize(
    'files, words',
    [
        ({'annotations.xml': '<?xml version="1.0"?>\n<annotations><version>1.1</version></annotations>'}, 'CVAT'),
        ({'project.json': '[{"id": 1, "annotations": [], "data": {"image": "/data/upload/1.jpg"}}]'}, 'Label Studio'),
        ({'1.json': '{"objects": [{"classTitle": "cat"}]}'}, 'Supervisely'),
        ({'set.zip': 'PK'}, 'is an archive; unpack it'),
    ],
)
def test_labels_that_are_not_read_are_named(lay, tmp_path, files, words):
    with pytest.raises(DatasetError, match=words):
        read_dataset(lay(files))
    dataset = read_dataset(lay({'images/1.jpg': None}))
    assert len(dataset.images()) == 1
    if 'set.zip' in files:  # the images are there, so it is something else
        assert dataset.warnings == ()
    else:
        assert len(dataset.warnings) == 1 and words in dataset.warnings[0]


def test_a_single_image(draw):
    path = draw('a 图.PNG')
    assert [image.path for image in read_dataset(path).images()] == [path]
