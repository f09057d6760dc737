"""Every layout in which people keep their data is found, read and split as it says."""

import json

import pytest

from ymir_exc.errors import DatasetError
from ymir_local.datasets import detect_format, found_formats, read_dataset
from ymir_local.platform.labels import LabelledBox
from ymir_local.platform.prepare import Host, ModelStage, prepare_candidates, prepare_training

BOX = LabelledBox(0, 16, 12, 32, 24)  # of an image of 64 x 48
YOLO = '0 0.5 0.5 0.5 0.5\n'
VOC = (
    '<annotation><object><name>cat</name><bndbox><xmin>16</xmin><ymin>12</ymin><xmax>47</xmax><ymax>35</ymax></bndbox>'
    '</object></annotation>'
)


def coco_of(*names, **more):
    return json.dumps(
        dict(
            images=[{'id': number, 'file_name': name} for number, name in enumerate(names)],
            annotations=[
                {'id': number, 'image_id': number, 'category_id': 7, 'bbox': [16, 12, 32, 24]}
                for number in range(len(names))
            ],
            categories=[{'id': 7, 'name': 'cat'}],
            **more,
        )
    )


def labelme_of(name, **more):
    return json.dumps(
        dict(
            {
                'version': '5.4',
                'flags': {},
                'imagePath': name,
                'imageData': None,
                'imageHeight': 48,
                'imageWidth': 64,
                'shapes': [
                    {
                        'label': 'cat',
                        'shape_type': 'rectangle',
                        'points': [[16, 12], [48, 36]],
                        'group_id': None,
                        'flags': {},
                    }
                ],
            },
            **more,
        )
    )


def via_of(*names):
    shape = {'name': 'rect', 'x': 16, 'y': 12, 'width': 32, 'height': 24}
    region = {'shape_attributes': shape, 'region_attributes': {'name': 'cat'}}
    return json.dumps(
        {f'{name}9': {'filename': name, 'size': 9, 'regions': [region], 'file_attributes': {}} for name in names}
    )


# files (images get noise), expected splits by the name of the image's file; every image has BOX
LAYOUTS = {
    'coco, official': (
        'coco',
        {
            'annotations/instances_train2017.json': coco_of('1.jpg', '2.jpg'),
            'annotations/instances_val2017.json': coco_of('3.jpg'),
            'annotations/captions_val2017.json': '{"images": [], "annotations": []}',
            'train2017/1.jpg': None,
            'train2017/2.jpg': None,
            'val2017/3.jpg': None,
        },
        {'train': ['1.jpg', '2.jpg'], 'val': ['3.jpg']},
    ),
    'coco, images below images': (
        'coco',
        {
            'annotations/instances_train.json': coco_of('1.jpg'),
            'annotations/instances_val.json': coco_of('3.jpg'),
            'images/train/1.jpg': None,
            'images/val/3.jpg': None,
        },
        {'train': ['1.jpg'], 'val': ['3.jpg']},
    ),
    'coco, one file with images beside it': (
        'coco',
        {'labels.json': coco_of('1.jpg'), '1.jpg': None},
        {'all': ['1.jpg']},
    ),
    'coco, one file and images': ('coco', {'a.json': coco_of('1.jpg'), 'images/1.jpg': None}, {'all': ['1.jpg']}),
    'coco, paths of another machine': (
        'coco',
        {'a.json': coco_of('D:\\data\\1.jpg'), 'images/1.jpg': None},
        {'all': ['1.jpg']},
    ),
    'coco, Roboflow': (
        'coco',
        {
            'train/_annotations.coco.json': coco_of('1.jpg'),
            'train/1.jpg': None,
            'valid/_annotations.coco.json': coco_of('2.jpg'),
            'valid/2.jpg': None,
            'test/_annotations.coco.json': coco_of('3.jpg'),
            'test/3.jpg': None,
        },
        {'train': ['1.jpg'], 'val': ['2.jpg'], 'test': ['3.jpg']},
    ),
    'voc, devkit of two years': (
        'voc',
        {
            **{
                f'VOCdevkit/VOC20{year}/{name}': text
                for year in ('07', '12')
                for name, text in {
                    f'JPEGImages/{year}a.jpg': None,
                    f'JPEGImages/{year}b.jpg': None,
                    f'Annotations/{year}a.xml': VOC,
                    f'Annotations/{year}b.xml': VOC,
                    'ImageSets/Main/train.txt': f'{year}a\n',
                    'ImageSets/Main/val.txt': f'{year}b\n',
                    'ImageSets/Main/trainval.txt': f'{year}a\n{year}b\n',
                    'ImageSets/Main/cat_train.txt': f'{year}a -1\n',
                }.items()
            }
        },
        {'train': ['07a.jpg', '12a.jpg'], 'val': ['07b.jpg', '12b.jpg']},
    ),
    'voc, trainval and test, marks behind names': (
        'voc',
        {
            'JPEGImages/a.jpg': None,
            'JPEGImages/b c.png': None,
            'Annotations/a.xml': VOC,
            'Annotations/b c.xml': VOC,
            'ImageSets/Main/trainval.txt': 'a  1\n',
            'ImageSets/Main/test.txt': 'b c\n',
        },
        {'train': ['a.jpg'], 'test': ['b c.png']},
    ),
    'voc, no lists': ('voc', {'Annotations/a.xml': VOC, 'images/a.bmp': None}, {'all': ['a.bmp']}),
    'voc, beside images': ('voc', {'a.xml': VOC, 'a.jpg': None}, {'all': ['a.jpg']}),
    'voc, beside images in splits': (
        'voc',
        {'train/a.xml': VOC, 'train/a.jpg': None, 'valid/b.xml': VOC, 'valid/b.jpg': None},
        {'train': ['a.jpg'], 'val': ['b.jpg']},
    ),
    'voc, folders below both': (
        'voc',
        {
            'annotations/train/a.xml': VOC,
            'images/train/a.jpg': None,
            'annotations/val/b.xml': VOC,
            'images/val/b.jpg': None,
        },
        {'train': ['a.jpg'], 'val': ['b.jpg']},
    ),
    'voc, images and gt': ('voc', {'gt/a.xml': VOC, 'images/a.jpg': None}, {'all': ['a.jpg']}),
    'yolo, folders and a mapping': (
        'yolo',
        {
            'data.yaml': 'path: .\ntrain: images/train\nval: images/val\nnames: {0: cat}\n',
            'images/train/1.jpg': None,
            'labels/train/1.txt': YOLO,
            'images/val/2.jpg': None,
            'labels/val/2.txt': YOLO,
        },
        {'train': ['1.jpg'], 'val': ['2.jpg']},
    ),
    'yolo, Roboflow': (
        'yolo',
        {
            'data.yaml': 'train: ../train/images\nval: ../valid/images\nnc: 1\nnames: [cat]\n',
            'train/images/1.jpg': None,
            'train/labels/1.txt': YOLO,
            'valid/images/2.jpg': None,
            'valid/labels/2.txt': YOLO,
        },
        {'train': ['1.jpg'], 'val': ['2.jpg']},
    ),
    'yolo, lists of files and of folders': (
        'yolo',
        {
            'my.yaml': 'path: ../elsewhere/set\ntrain: [images/a, images/b]\nval: val.txt\nnames: [cat]\n',
            'images/a/1.jpg': None,
            'labels/a/1.txt': YOLO,
            'images/b/2.jpg': None,
            'labels/b/2.txt': YOLO,
            'val.txt': './images/c/3.jpg\n',
            'images/c/3.jpg': None,
            'labels/c/3.txt': YOLO,
        },
        {'train': ['1.jpg', '2.jpg'], 'val': ['3.jpg']},
    ),
    'yolo, tree and classes.txt': (
        'yolo',
        {
            'classes.txt': 'cat\n',
            'images/train/1.jpg': None,
            'labels/train/1.txt': YOLO,
            'images/val/2.jpg': None,
            'labels/val/2.txt': YOLO,
        },
        {'train': ['1.jpg'], 'val': ['2.jpg']},
    ),
    'yolo, splits above images': (
        'yolo',
        {
            'classes.txt': 'cat\n',
            'train/images/1.jpg': None,
            'train/labels/1.txt': YOLO,
            'val/images/2.jpg': None,
            'val/labels/2.txt': YOLO,
        },
        {'train': ['1.jpg'], 'val': ['2.jpg']},
    ),
    'yolo, beside images': ('yolo', {'classes.txt': 'cat\n', '1.jpg': None, '1.txt': YOLO}, {'all': ['1.jpg']}),
    'yolo, Darknet': (
        'yolo',
        {'obj.names': 'cat\n', 'train.txt': 'data/obj/1.jpg\n', 'data/obj/1.jpg': None, 'data/obj/1.txt': YOLO},
        {'train': ['1.jpg']},
    ),
    'labelme, beside the images': (
        'labelme',
        {'1.jpg': None, '1.json': labelme_of('1.jpg'), 'sub/图 2.png': None, 'sub/图 2.json': labelme_of('图 2.png')},
        {'all': ['1.jpg', '图 2.png']},
    ),
    'labelme, folders of labels': (
        'labelme',
        {'images/1.jpg': None, 'labels/1.json': labelme_of('..\\images\\1.jpg')},
        {'all': ['1.jpg']},
    ),
    'labelme, splits': (
        'labelme',
        {
            'train/1.jpg': None,
            'train/1.json': labelme_of('1.jpg'),
            'val/images/2.jpg': None,
            'val/json/2.json': labelme_of('../images/2.jpg'),
        },
        {'train': ['1.jpg'], 'val': ['2.jpg']},
    ),
    'labelme, renamed': (
        'labelme',
        {'images/1.jpg': None, 'labels/x.json': labelme_of('C:\\a\\1.JPG', imageHeight=None, imageWidth=None)},
        {'all': ['1.jpg']},
    ),
    'VIA, one file': (
        'via',
        {'a.json': via_of('1.jpg', '2.jpg'), '1.jpg': None, '2.jpg': None},
        {'all': ['1.jpg', '2.jpg']},
    ),
    'VIA, a project with splits': (
        'via',
        {
            'train/via_region_data.json': json.dumps(
                {'_via_settings': {}, '_via_img_metadata': json.loads(via_of('1.jpg'))}
            ),
            'train/1.jpg': None,
            'val/via_region_data.json': via_of('2.jpg'),
            'val/2.jpg': None,
        },
        {'train': ['1.jpg'], 'val': ['2.jpg']},
    ),
    'ymir, ark': (
        'ymir',
        {
            'in/config.yaml': 'class_names: [cat]\n',
            'in/assets/1.jpg': None,
            'in/annotations/1.txt': '0, 16, 12, 47, 35, -1.0, 0.0\n',
            'in/train-index.tsv': '/in/assets/1.jpg\t/in/annotations/1.txt\n',
            'in/val-index.tsv': '',
        },
        {'train': ['1.jpg']},
    ),
    'ymir, voc': (
        'ymir',
        {
            'config.yaml': 'class_names: [cat]\n',
            'assets/1.jpg': None,
            'annotations/1.xml': VOC,
            'train-index.tsv': '',
            'val-index.tsv': '/in/assets/1.jpg\t/in/annotations/1.xml\n',
        },
        {'val': ['1.jpg']},
    ),
    'ymir, coco': (
        'ymir',
        {
            'in/config.yaml': 'class_names: [cat]\n',
            'in/assets/1.jpg': None,
            'in/assets/2.jpg': None,
            'in/annotations/coco-annotations.json': coco_of('1.jpg', '2.jpg'),
            'in/train-index.tsv': '/in/assets/1.jpg\t/in/annotations/coco-annotations.json\n',
            'in/val-index.tsv': '/in/assets/2.jpg\t/in/annotations/coco-annotations.json\n',
        },
        {'train': ['1.jpg'], 'val': ['2.jpg']},
    ),
}


@pytest.fixture
def lay(draw, put):

    def write(files):
        for name, text in files.items():
            draw(f'数据 set/{name}') if text is None else put(f'数据 set/{name}', text)

    return write


@pytest.mark.parametrize('name', LAYOUTS)
def test_layout(name, tmp_path, lay):
    kind, files, splits = LAYOUTS[name]
    lay(files)
    root = tmp_path / '数据 set'
    assert found_formats(root) == [kind]
    dataset = read_dataset(root)
    assert dataset.class_names == ('cat',)
    assert {split: [image.path.name for image in images] for split, images in dataset.splits.items()} == splits
    assert all((image.width, image.height, image.boxes) == (64, 48, (BOX,)) for image in dataset.images())
    assert dataset.warnings == ()


def test_images_alone(tmp_path, lay):
    lay({'b.JPG': None, 'a 1/图.png': None, '.hidden/c.jpg': None, 'readme.md': 'x'})
    assert detect_format(tmp_path) == 'images'
    dataset = read_dataset(tmp_path)
    assert [image.path.name for image in dataset.splits['all']] == ['b.JPG', '图.png']
    assert dataset.class_names == () and all(image.boxes == () for image in dataset.images())


def test_candidates_of_a_task(tmp_path, lay):
    lay(
        {
            'in/config.yaml': 'class_names: [cat]\n',
            'in/assets/a b.jpg': None,
            'in/candidate-index.tsv': '/in/assets/a b.jpg\n',
        }
    )
    assert [image.path.name for image in read_dataset(tmp_path / '数据 set').splits['all']] == ['a b.jpg']


def test_a_file_names_its_data_set(tmp_path, lay):
    for name, file in (('coco, one file and images', 'a.json'), ('yolo, Roboflow', 'data.yaml')):
        lay(LAYOUTS[name][1])
        assert len(read_dataset(tmp_path / '数据 set' / file).class_names) == 1


def test_a_file_that_the_user_names_has_no_split(tmp_path, lay):
    lay(LAYOUTS['coco, official'][1])
    dataset = read_dataset(tmp_path / '数据 set/annotations/instances_val2017.json')
    assert list(dataset.splits) == ['all'] and [image.path.name for image in dataset.images()] == ['3.jpg']


def test_nothing_there_says_what_was_looked_for(tmp_path, put):
    put('empty/notes.md', 'x')
    with pytest.raises(DatasetError, match=r'(?s)no data set.*train-index.tsv.*COCO.*VOCdevkit.*data.yaml.*images'):
        detect_format(tmp_path / 'empty')
    with pytest.raises(DatasetError, match='does not exist'):
        read_dataset(tmp_path / 'nowhere')
    with pytest.raises(DatasetError, match='unknown format .pascal.; there are: ymir, coco'):
        read_dataset(tmp_path, 'pascal')


def test_two_formats_in_one_folder(tmp_path, lay):
    lay({**LAYOUTS['coco, one file and images'][1], 'labels/1.txt': '0 0.5 0.5 1 1\n', 'classes.txt': 'dog\n'})
    root = tmp_path / '数据 set'
    assert found_formats(root) == ['coco', 'yolo']
    dataset = read_dataset(root)
    assert dataset.class_names == ('cat',) and 'looks like yolo too' in dataset.warnings[0]
    assert read_dataset(root, 'yolo').class_names == ('dog',)


def test_yolo_rows(tmp_path, lay, put):
    lay(
        {
            'data.yaml': 'train: images\nnames: [cat]\n',
            'images/1.jpg': None,
            'labels/1.txt': '0 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75\n0 0.5 0.5 0.5 0.5 0.9\n'
            '0.0 .25 .25 .75 .75 .25 .75\r\n\n',
        }
    )
    assert read_dataset(tmp_path / '数据 set').splits['train'][0].boxes == (BOX,) * 3
    put('数据 set/data.yaml', 'train: images\nnames: [cat]\nkpt_shape: [1, 2]\n')
    put('数据 set/labels/1.txt', '0 0.5 0.5 0.5 0.5 0.1 0.1\n')
    assert read_dataset(tmp_path / '数据 set').splits['train'][0].boxes == (BOX,)


def test_coco_polygons_give_boxes_where_there_is_no_bbox(tmp_path, lay):
    content = json.loads(coco_of('1.jpg'))
    content['annotations'][0].update(bbox=[], segmentation=[[16, 12, 48, 12, 20, 20], [16, 36, 30, 20, 20, 20]])
    lay({'a.json': json.dumps(content), '1.jpg': None})
    assert read_dataset(tmp_path / '数据 set').images()[0].boxes == (BOX,)


def test_files_of_other_programs_are_no_labels(tmp_path, lay):
    name = 'yolo, tree and classes.txt'
    lay({**LAYOUTS[name][1], 'project.xml': '<project/>', 'package.json': '{"info": {}}', 'tool.yaml': 'a: !x [b]'})
    assert found_formats(tmp_path / '数据 set') == ['yolo']


@pytest.mark.parametrize('in_container', [False, True])
def test_a_run_that_was_moved(tmp_path, lay, in_container):
    lay(LAYOUTS['coco, one file and images'][1])
    dataset = read_dataset(tmp_path / '数据 set')
    prepare_training(
        tmp_path / 'run',
        dataset.class_names,
        dataset.images(),
        (),
        {'export_format': 'ark:raw'},
        host=Host(in_container=in_container),
    )
    (tmp_path / 'run').rename(tmp_path / 'kept')
    moved = read_dataset(tmp_path / 'kept')
    assert moved.warnings == () and [image.boxes for image in moved.splits['train']] == [
        image.boxes for image in dataset.images()
    ]


def test_runs_in_a_data_set_are_no_part_of_it(tmp_path, draw):
    image = draw('photos/1.jpg')
    stage = ModelStage('best', (draw('model.png'),), {'class_names': ['cat']})
    prepare_candidates(tmp_path / 'photos/ymir_runs/first', [image], stage, {}, infer=True)
    dataset = read_dataset(tmp_path / 'photos')
    assert ([item.path for item in dataset.images()], dataset.warnings) == ([image], ())


def test_images_without_labels_are_kept_for_mining(tmp_path, lay):
    """In VOC and YMIR an image without objects has a file that says so; one without a file may show any."""
    lay({'Annotations/a.xml': VOC, 'JPEGImages/a.jpg': None, 'JPEGImages/b.jpg': None})
    dataset = read_dataset(tmp_path / '数据 set')
    assert [image.path.stem for image in dataset.images()] == ['a']
    assert [image.path.stem for image in dataset.unlabelled] == ['b']
    assert (
        'b.jpg has no .xml file; the image may show objects, so it is for inference and mining only'
        in dataset.warnings[0]
    )
    lay({'ImageSets/Main/train.txt': 'a\nb\nc\n'})
    dataset = read_dataset(tmp_path / '数据 set')
    assert [image.path.stem for image in (*dataset.splits['train'], *dataset.unlabelled)] == ['a', 'b']
    assert len(dataset.warnings) == 2
