"""tools/dataset_converters: what each command line writes, number for number."""

import json

import pytest
from PIL import Image

from tests.tools.running import load_tool, run_tool


def write_image(path, size=(200, 100), orientation=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image, exif = Image.new('RGB', size), Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    image.save(path, exif=exif)


def test_balloon(tmp_path, monkeypatch):
    shape = {'name': 'polygon', 'all_points_x': [10, 30, 20], 'all_points_y': [5, 5, 45]}
    regions = {'0': {'shape_attributes': shape}}
    for split, entries in ('train', {'a': regions, 'b': list(regions.values()) * 2}), ('val', {'c': {}}):
        for name in entries:
            write_image(tmp_path / 'data/balloon' / split / f'{name}.jpg')
        content = {f'{name}.jpg123': {'filename': f'{name}.jpg', 'regions': value} for name, value in entries.items()}
        (tmp_path / 'data/balloon' / split / 'via_region_data.json').write_text(json.dumps(content))
    monkeypatch.chdir(tmp_path)
    load_tool('dataset_converters/balloon2coco').main([])
    train, val = (json.loads((tmp_path / f'data/balloon/{split}.json').read_text()) for split in ('train', 'val'))
    assert train['categories'] == val['categories'] == [{'id': 0, 'name': 'balloon'}]
    assert train['images'][1] == {'id': 1, 'file_name': 'b.jpg', 'width': 200, 'height': 100}
    assert [(a['id'], a['image_id']) for a in train['annotations']] == [(1, 0), (2, 1), (3, 1)]
    assert train['annotations'][0] == {
        'id': 1,
        'image_id': 0,
        'category_id': 0,
        'bbox': [10, 5, 20, 40],
        'area': 800,
        'iscrowd': 0,
        'segmentation': [[10.5, 5.5, 30.5, 5.5, 20.5, 45.5]],
    }
    assert len(val['images']) == 1 and val['annotations'] == []


@pytest.fixture
def labelme(tmp_path):
    """Two images with labels and one without; a circle among the rectangles; corners in any order."""
    for name in 'a', 'b', 'c':
        write_image(tmp_path / 'images' / f'{name}.png')
    shapes = {
        'a': [('traffic light', 'rectangle', [[10, 20], [50, 80]]), ('cat', 'circle', [[1, 1], [2, 2]])],
        'b': [('cat', 'rectangle', [[60, 90], [40.5, 30]]), ('traffic light', 'rectangle', [[0, 0], [1, 1]])],
    }
    (tmp_path / 'labels').mkdir()
    for name, entries in shapes.items():
        content = {'shapes': [{'label': l, 'shape_type': t, 'points': p} for l, t, p in entries]}
        (tmp_path / 'labels' / f'{name}.json').write_text(json.dumps(content))
    return tmp_path


def convert_labelme(root, *options):
    out = root / 'out' / 'all.json'
    load_tool('dataset_converters/labelme2coco').main(
        ['--img-dir', str(root / 'images'), '--labels-dir', str(root / 'labels'), '--out', str(out), *options]
    )
    return json.loads(out.read_text())


def test_labelme(labelme):
    coco = convert_labelme(labelme)
    assert coco['images'] == [
        {'id': 1, 'file_name': 'a.png', 'width': 200, 'height': 100},
        {'id': 2, 'file_name': 'b.png', 'width': 200, 'height': 100},
    ]
    assert coco['categories'] == [{'id': 1, 'name': 'traffic light'}, {'id': 2, 'name': 'cat'}]
    assert [(a['id'], a['image_id'], a['category_id'], a['bbox']) for a in coco['annotations']] == [
        (1, 1, 1, [10, 20, 40, 60]),
        (2, 2, 2, [40.5, 30, 19.5, 60]),
        (3, 2, 1, [0, 0, 1, 1]),
    ]
    assert coco['annotations'][0]['segmentation'] == [[10, 20, 50, 20, 50, 80, 10, 80]]
    assert coco['annotations'][0]['area'] == 2400
    assert (labelme / 'out' / 'class_with_id.txt').read_text() == '1 traffic light\n2 cat\n'


def test_labelme_with_a_list_of_classes(labelme):
    txt = labelme / 'classes.txt'
    txt.write_text('3 cat\n7 traffic light\n9 cow\n')
    coco = convert_labelme(labelme, '--class-id-txt', str(txt))
    assert [(c['id'], c['name']) for c in coco['categories']] == [(3, 'cat'), (7, 'traffic light'), (9, 'cow')]
    assert [a['category_id'] for a in coco['annotations']] == [7, 3, 7]
    assert not (labelme / 'out' / 'class_with_id.txt').exists()
    for text, said in (
        ('3 cat\n', r"a.json: shape 1: the class 'traffic light' is not in .*classes.txt"),
        ('cat\n', 'line 1'),
        ('1 cat\n1 dog', 'line 2'),
        ('', 'names no classes'),
    ):
        txt.write_text(text)
        with pytest.raises(SystemExit, match=said):
            convert_labelme(labelme, '--class-id-txt', str(txt))


@pytest.fixture
def yolo(tmp_path):
    """Images a, b, c; c lies on its side and b has no labels."""
    for name, turned in ('a', None), ('b', None), ('c', 6):
        write_image(tmp_path / 'images' / f'{name}.jpg', orientation=turned)
    (tmp_path / 'labels').mkdir()
    (tmp_path / 'labels' / 'a.txt').write_text('1 0.5 0.5 0.25 0.5\n\n0 0.25 0.5 0.5 1\n')
    (tmp_path / 'labels' / 'c.txt').write_text('0 0.5 0.5 0.5 0.5\n')
    (tmp_path / 'classes.txt').write_text('traffic light\ncat\n')
    return tmp_path


def convert_yolo(root):
    load_tool('dataset_converters/yolo2coco').main([str(root)])
    return {path.stem: json.loads(path.read_text()) for path in (root / 'annotations').iterdir()}


def test_yolo(yolo):
    parts = convert_yolo(yolo)
    assert list(parts) == ['result']
    coco = parts['result']
    assert coco['categories'] == [{'id': 0, 'name': 'traffic light'}, {'id': 1, 'name': 'cat'}]
    assert [(i['id'], i['file_name'], i['width'], i['height']) for i in coco['images']] == [
        (0, 'a.jpg', 200, 100),
        (1, 'b.jpg', 200, 100),
        (2, 'c.jpg', 100, 200),
    ]
    assert [(a['id'], a['image_id'], a['category_id'], a['bbox'], a['area']) for a in coco['annotations']] == [
        (1, 0, 1, [75, 25, 50, 50], 2500),
        (2, 0, 0, [0, 0, 100, 100], 10000),
        (3, 2, 0, [25, 50, 50, 100], 5000),
    ]
    assert coco['annotations'][0]['segmentation'] == [[75, 25, 125, 25, 125, 75, 75, 75]]


def test_yolo_split_by_lists(yolo):
    (yolo / 'train.txt').write_text('./images/c.jpg\n')
    (yolo / 'val.txt').write_text('some\\where\\b.jpg\nnone.jpg\n')
    parts = convert_yolo(yolo)
    assert sorted(parts) == ['train', 'val']
    assert [i['file_name'] for i in parts['train']['images']] == ['c.jpg']
    assert [(a['id'], a['image_id']) for a in parts['train']['annotations']] == [(1, 1)]
    assert [i['file_name'] for i in parts['val']['images']] == ['b.jpg'] and not parts['val']['annotations']


def test_yolo_split_by_names_without_ending(yolo):
    (yolo / 'train.txt').write_text('a\nc\n')
    (yolo / 'val.txt').write_text('b\n')
    assert {name: [i['file_name'] for i in part['images']] for name, part in convert_yolo(yolo).items()} == {
        'train': ['a.jpg', 'c.jpg'],
        'val': ['b.jpg'],
    }


def test_yolo_with_a_description(yolo):
    """data.yaml decides where there is one, also when it is named itself."""
    (yolo / 'data.yaml').write_text('train: images\nval: images\nnames: {0: dog, 1: cow}\n')
    for source in yolo, yolo / 'data.yaml':
        load_tool('dataset_converters/yolo2coco').main([str(source)])
        coco = json.loads((yolo / 'annotations' / 'result.json').read_text())
        assert [c['name'] for c in coco['categories']] == ['dog', 'cow'] and len(coco['annotations']) == 3


def test_yolo_classes_on_one_line(yolo):
    (yolo / 'classes.txt').write_text('dog cat')
    assert [c['name'] for c in convert_yolo(yolo)['result']['categories']] == ['dog', 'cat']
    (yolo / 'labels' / 'a.txt').write_text('0 0.5 0.5 0.25 0.5')
    assert [c['name'] for c in convert_yolo(yolo)['result']['categories']] == ['dog cat']
    (yolo / 'classes.txt').write_text('traffic light, cat,\n')
    assert [c['name'] for c in convert_yolo(yolo)['result']['categories']] == ['traffic light', 'cat']
    (yolo / 'classes.txt').write_text('\n')
    with pytest.raises(SystemExit, match='class 0 is unknown, .*classes.txt names no class'):
        convert_yolo(yolo)


# What is wrong with one line; the image is of 200 x 100. Boxes that are kept, and what is said.
YOLO_LINES = [
    ('2 0.5 0.5 0.1 0.1', [], 'line 2: class 2 is unknown'),
    ('-1 0.5 0.5 0.1 0.1', [], 'class -1 is unknown'),
    ('0.5 0.5 0.5 0.1 0.1', [], 'the class index 0.5 is not a whole number'),
    ('0 0.5 0.5 0.1', [], '4 values'),
    ('0 0.5 0.5 0.1 0.1 0.9 0.2 0.3', [], '8 values'),
    ('cat 0 0 0 0', [], "'cat 0 0 0 0' is not a class index and numbers"),
    ('0 64 48 30 40', [], 'divide pixels by width and height'),
    ('0 nan 0.5 0.3 0.4', [], "'0 nan 0.5 0.3 0.4'"),
    ('0 inf 0.5 0.3 0.4', [], "'0 inf 0.5 0.3 0.4'"),
    ('0 0.5 0.5 0 0.4', [], 'has no area'),
    ('0 0.5 0.5 -0.2 0.4', [], 'has no area'),
    ('0 1.6 0.5 0.2 0.4', [], 'lies outside the image'),
    ('0 0.95 0.5 0.3 0.4', [[160, 30, 40, 40]], 'lies partly outside the image'),
    ('1.0 0.5 0.5 0.25 0.5', [[75, 25, 50, 50]], None),
    ('0 0.5 0.5 0.25 0.5 0.9', [[75, 25, 50, 50]], None),  # a score
    ('0,0.5,0.5,0.25,0.5', [[75, 25, 50, 50]], None),
    ('0 0.375 0.25 0.625 0.25 0.625 0.75 0.375 0.75', [[75, 25, 50, 50]], None),  # a polygon
    ('0\t0.5\t0.5  0.25 0.5\r', [[75, 25, 50, 50]], None),
]


@pytest.mark.parametrize('line, boxes, said', YOLO_LINES)
def test_yolo_lines(yolo, capsys, line, boxes, said):
    """One damaged line costs itself; alone, it is an error that names its file, and no file is written."""
    good = '0 0.25 0.5 0.5 1'
    (yolo / 'labels' / 'c.txt').unlink()
    (yolo / 'labels' / 'a.txt').write_text(f'{good}\n{line}\n')
    coco = convert_yolo(yolo)['result']
    assert [a['bbox'] for a in coco['annotations']] == [[0, 0, 100, 100], *boxes]
    told = capsys.readouterr().err
    assert not said or f'{yolo / "labels" / "a.txt"}' in told and said in told
    (yolo / 'annotations' / 'result.json').unlink()
    (yolo / 'labels' / 'a.txt').write_text(f'{line}\n')
    if boxes:
        assert [a['bbox'] for a in convert_yolo(yolo)['result']['annotations']] == boxes
    else:
        with pytest.raises(SystemExit, match=r'(?s)no box was read from .*labels/a\.txt'):
            convert_yolo(yolo)
        assert not list((yolo / 'annotations').iterdir())


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'gbk', 'utf-16'])
def test_yolo_encodings(yolo, encoding):
    (yolo / 'classes.txt').write_bytes('安全帽\r\n人\r\n'.encode(encoding))
    (yolo / 'labels' / 'a.txt').write_bytes('1 0.5 0.5 0.25 0.5\r\n'.encode(encoding))
    coco = convert_yolo(yolo)['result']
    assert [c['name'] for c in coco['categories']] == ['安全帽', '人']
    assert [(a['category_id'], a['bbox']) for a in coco['annotations']][0] == (1, [75, 25, 50, 50])


# Files beside classes.txt of two classes; for each file that is written the images and the number of annotations.
YOLO_FOLDERS = {
    'flat': (['images/a.jpg', 'images/b.jpg'], ['labels/a.txt'], {'result': (['a.jpg', 'b.jpg'], 1)}),
    'splits below images': (
        ['images/train/a.jpg', 'images/train/b.jpg', 'images/val/a.jpg'],
        ['labels/train/a.txt', 'labels/val/a.txt'],
        {'train': (['train/a.jpg', 'train/b.jpg'], 1), 'val': (['val/a.jpg'], 1)},
    ),
    'splits above images': (
        ['train/images/a.jpg', 'valid/images/b.jpg'],
        ['train/labels/a.txt', 'valid/labels/b.txt'],
        {'train': (['train/images/a.jpg'], 1), 'val': (['valid/images/b.jpg'], 1)},
    ),
    'other sub-folders': (
        ['images/x/a.jpg', 'images/y/b.jpg'],
        ['labels/x/a.txt', 'labels/y/b.txt'],
        {'result': (['x/a.jpg', 'y/b.jpg'], 2)},
    ),
    'labels beside images': (['a.jpg', 'b.jpg'], ['a.txt', 'b.txt'], {'result': (['a.jpg', 'b.jpg'], 2)}),
    'other names of folders': (['IMAGES/a.jpg', 'IMAGES/b.jpg'], ['LABELS/a.txt'], {'result': (['a.jpg', 'b.jpg'], 1)}),
    'singular names of folders': (['image/a.jpg'], ['label/a.txt'], {'result': (['a.jpg'], 1)}),
    'a folder of images in images': (['images/img/a.jpg'], ['labels/img/a.txt'], {'result': (['img/a.jpg'], 1)}),
    'other letters': (['images/A.JPG'], ['labels/a.txt'], {'result': (['A.JPG'], 1)}),
}


@pytest.mark.parametrize('name', YOLO_FOLDERS)
def test_yolo_folders(tmp_path, name):
    images, labels, expected = YOLO_FOLDERS[name]
    (tmp_path / 'classes.txt').write_text('dog\ncat\n')
    for path in images:
        write_image(tmp_path / path)
    for path in labels:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text('1 0.5 0.5 0.25 0.5\n')
    parts = convert_yolo(tmp_path)
    assert {
        key: ([i['file_name'] for i in part['images']], len(part['annotations'])) for key, part in parts.items()
    } == expected
    ids = [a['id'] for part in parts.values() for a in part['annotations']]
    assert sorted(ids) == list(range(1, len(labels) + 1))


@pytest.mark.parametrize(
    'files, said',
    [
        ({}, 'holds no YOLO data set with images; looked for .*folders images and labels'),
        ({'images/': None, 'labels/a.txt': '0 0.5 0.5 0.5 0.5'}, 'holds no YOLO data set with images'),
        ({'images/a.jpg': None}, r'(?s)no box was read.*1 of 1 images have no label file.*labels/a\.txt'),
        (
            {'images/a.jpg': None, 'yolo_txt/a.txt': '0 0.5 0.5 0.5 0.5'},
            r'1 of 1 images have no label file .*yolo_txt/a\.txt looks like one: put such files where',
        ),
        ({'images/a.jpg': 'no image', 'labels/a.txt': '0 0.5 0.5 0.5 0.5'}, 'none of its 1 images can be read.*a.jpg'),
    ],
)
def test_nothing_read_is_an_error(tmp_path, files, said):
    for name, text in {**files, 'classes.txt': 'cat'}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith('/'):
            (tmp_path / name).mkdir()
        elif text is None:
            write_image(tmp_path / name)
        else:
            (tmp_path / name).write_text(text)
    with pytest.raises(SystemExit, match=said):
        convert_yolo(tmp_path)
    assert not (tmp_path / 'annotations').exists()
    run_tool('dataset_converters/yolo2coco', tmp_path, code=1) if not files else None


def test_images_that_are_known_to_be_empty_and_one_that_is_broken(yolo, capsys):
    (yolo / 'images' / 'd.jpg').write_bytes(b'no image')
    for name in 'abc':
        (yolo / 'labels' / f'{name}.txt').write_text('')
    coco = convert_yolo(yolo)['result']
    assert [i['file_name'] for i in coco['images']] == ['a.jpg', 'b.jpg', 'c.jpg'] and coco['annotations'] == []
    assert 'd.jpg: it is not an image' in capsys.readouterr().err


LABELME_SHAPE = {'label': 'cat', 'points': [[10, 20], [50, 80]], 'shape_type': 'rectangle'}
# Changes to a file with one good rectangle: boxes, and what is said.
LABELME_FILES = [
    ({}, [[10, 20, 40, 60]], None),
    ({'version': '3.16', 'shapes': [{'label': 'cat', 'points': [[10, 20], [50, 80]]}]}, [[10, 20, 40, 60]], None),
    ({'shapes': [dict(LABELME_SHAPE, shape_type='Rectangle', label=' cat ')]}, [[10, 20, 40, 60]], None),
    ({'imagePath': '..\\images\\a.png', 'imageHeight': None, 'flags': {'x': True}}, [[10, 20, 40, 60]], None),
    ({'shapes': [dict(LABELME_SHAPE, group_id=1, flags={}, description=None, mask=None)]}, [[10, 20, 40, 60]], None),
    (
        {'shapes': [LABELME_SHAPE, dict(LABELME_SHAPE, shape_type='circle')]},
        [[10, 20, 40, 60]],
        'shape 2 is a circle, not a rectangle',
    ),
    ({'shapes': [LABELME_SHAPE, dict(LABELME_SHAPE, shape_type='line')]}, [[10, 20, 40, 60]], 'shape 2 is a line'),
    (
        {'shapes': [LABELME_SHAPE, dict(LABELME_SHAPE, points=[[float('nan'), 1], [2, 3]])]},
        [[10, 20, 40, 60]],
        'shape 2: the box has no usable numbers',
    ),
    (
        {'shapes': [LABELME_SHAPE, dict(LABELME_SHAPE, points=[[150, 50], [900, 80]])]},
        [[10, 20, 40, 60], [150, 50, 50, 30]],
        'shape 2: the box lies partly outside',
    ),
    ({'shapes': [LABELME_SHAPE, {}]}, [[10, 20, 40, 60]], 'shape 2 has no points'),
    ({'imageWidth': 100, 'imageHeight': 50}, [[10, 20, 40, 60]], 'the labels are for an image of 100 x 50'),
    ({'shapes': [dict(LABELME_SHAPE, shape_type='polygon')]}, None, 'shape 1 is a polygon, not a rectangle'),
    ({'shapes': None}, None, 'needs a list "shapes"'),
]


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'gbk', 'utf-16'])
@pytest.mark.parametrize('change, boxes, said', LABELME_FILES)
def test_labelme_files(tmp_path, capsys, change, boxes, said, encoding):
    write_image(tmp_path / 'images' / 'a.png')
    (tmp_path / 'labels').mkdir()
    content = dict(
        {'version': '5.4', 'shapes': [LABELME_SHAPE], 'imagePath': 'a.png', 'imageHeight': 100, 'imageWidth': 200},
        **change,
    )
    text = json.dumps(content, ensure_ascii=False).replace('cat', '安全帽')
    (tmp_path / 'labels' / 'a.json').write_bytes(text.encode(encoding))
    if boxes is None:
        with pytest.raises(SystemExit, match=rf'(?s)labels.*labels/a\.json.*{said}'):
            convert_labelme(tmp_path)
        assert not (tmp_path / 'out').exists()
        return
    coco = convert_labelme(tmp_path)
    assert [a['bbox'] for a in coco['annotations']] == boxes and coco['categories'] == [{'id': 1, 'name': '安全帽'}]
    told = capsys.readouterr().err
    assert bool(told) == (said is not None) and (not said or 'labels/a.json' in told and said in told)


@pytest.mark.parametrize(
    'image, labels',
    [
        ('images/train/a.png', 'labels/train/a.json'),
        ('images/train/a.png', 'labels/a.json'),
        ('images/A.PNG', 'labels/a.json'),
        ('images/a b.png', 'labels/a%20b.json'),
    ],
)
def test_labelme_folders(tmp_path, image, labels):
    write_image(tmp_path / image)
    (tmp_path / labels).parent.mkdir(parents=True)
    (tmp_path / labels).write_text(json.dumps({'shapes': [LABELME_SHAPE]}))
    coco = convert_labelme(tmp_path)
    assert coco['images'] == [{'id': 1, 'file_name': image.removeprefix('images/'), 'width': 200, 'height': 100}]
    assert len(coco['annotations']) == 1


@pytest.mark.parametrize('written', ['a.png', '..\\images\\A.PNG', 'C:\\x\\a.png'])
def test_labelme_files_that_were_renamed(tmp_path, written):
    """The name of the file comes first, then the image that it names."""
    for name in 'a', 'b':
        write_image(tmp_path / 'images' / f'{name}.png')
    (tmp_path / 'labels').mkdir()
    (tmp_path / 'labels' / 'x.json').write_text(json.dumps({'shapes': [LABELME_SHAPE], 'imagePath': written}))
    (tmp_path / 'labels' / 'b.json').write_text(json.dumps({'shapes': [], 'imagePath': 'a.png'}))
    coco = convert_labelme(tmp_path)
    assert [i['file_name'] for i in coco['images']] == ['a.png', 'b.png']
    assert [(a['image_id'], repr(a['bbox'])) for a in coco['annotations']] == [(1, '[10, 20, 40, 60]')]


@pytest.mark.parametrize(
    'files, said',
    [
        (['images/', 'labels/a.json'], 'images holds no image'),
        (['labels/a.json'], '--img-dir: .*images is not a folder'),
        (['images/a.png'], '--labels-dir: .*labels is not a folder'),
        (
            ['images/a.png', 'labels/b.json'],
            r'1 of 1 images have no file of labels <name of the image>\.json in .*labels',
        ),
    ],
)
def test_labelme_of_nothing_is_an_error(tmp_path, files, said):
    for name in files:
        if name.endswith('.png'):
            write_image(tmp_path / name)
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith('.json'):
            (tmp_path / name).write_text(json.dumps({'shapes': [LABELME_SHAPE]}))
        elif name.endswith('/'):
            (tmp_path / name).mkdir()
    with pytest.raises(SystemExit, match=said):
        convert_labelme(tmp_path)
    assert not (tmp_path / 'out').exists()


POLYGON = {'name': 'polygon', 'all_points_x': [10, 30, 20], 'all_points_y': [5, 5, 45]}
NAN_POLYGON = dict(POLYGON, all_points_x=[10, float('nan'), 20])


@pytest.mark.parametrize(
    'regions, count, said',
    [
        ([POLYGON, NAN_POLYGON], 1, 'region 2: its polygon has no usable numbers'),
        ([POLYGON, {'name': 'point', 'cx': 1, 'cy': 2}], 1, 'region 2: it is a point'),
        ([POLYGON, {'name': 'rect', 'x': 1, 'y': 2, 'width': 3, 'height': 4}], 2, None),
        (
            [POLYGON, dict(POLYGON, all_points_x=[910, 930, 920])],
            1,
            'region 2: the box around it lies outside the image',
        ),
        ([POLYGON, dict(POLYGON, all_points_x=[190, 300, 200])], 2, 'the box around it lies partly outside the image'),
        ([NAN_POLYGON], None, 'no region was read from .*via_region_data.json'),
        (None, None, 'via_region_data.json: .* has no "filename" or no "regions"'),
        ('missing', None, 'via_region_data.json cannot be read: No such file'),
        ('no image', None, 'none of its 1 images can be read'),
    ],
)
@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig'])
def test_balloon_files(tmp_path, capsys, regions, count, said, encoding):
    for split in 'train', 'val':
        (tmp_path / split).mkdir()
        if regions != 'no image' or split == 'val':
            write_image(tmp_path / split / 'a.jpg')
        listed = [POLYGON] if isinstance(regions, str) or split == 'val' else regions
        entries = listed and [{'shape_attributes': shape, 'region_attributes': {}} for shape in listed]
        content = json.dumps({'a.jpg9': {'filename': 'a.jpg', 'regions': entries}})
        if regions != 'missing' or split == 'val':
            (tmp_path / split / 'via_region_data.json').write_bytes(content.encode(encoding))
    arguments = ['--data-root', str(tmp_path)]
    if count is None:
        with pytest.raises(SystemExit, match=said):
            load_tool('dataset_converters/balloon2coco').main(arguments)
        assert not list(tmp_path.glob('*.json'))
        return
    load_tool('dataset_converters/balloon2coco').main(arguments)
    annotations = json.loads((tmp_path / 'train.json').read_text())['annotations']
    assert len(annotations) == count and annotations[0]['bbox'] == [10, 5, 20, 40]
    assert all(
        0 <= value <= side
        for a in annotations
        for polygon in a['segmentation']
        for value, side in zip(polygon, (200, 100) * len(polygon))
    )
    assert not said or said in capsys.readouterr().err
