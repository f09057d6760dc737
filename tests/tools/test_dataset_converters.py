"""tools/dataset_converters: what each command line writes, number for number."""
import json

import pytest
from PIL import Image

from tests.tools.running import load_tool


def write_image(path, size=(200, 100), orientation=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image, exif = Image.new('RGB', size), Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    image.save(path, exif=exif)


def test_balloon(tmp_path, monkeypatch):
    shape = dict(name='polygon', all_points_x=[10, 30, 20], all_points_y=[5, 5, 45])
    regions = {'0': dict(shape_attributes=shape)}
    for split, entries in ('train', {'a': regions, 'b': list(regions.values()) * 2}), ('val', {'c': {}}):
        for name in entries:
            write_image(tmp_path / 'data/balloon' / split / f'{name}.jpg')
        content = {f'{name}.jpg123': dict(filename=f'{name}.jpg', regions=value) for name, value in entries.items()}
        (tmp_path / 'data/balloon' / split / 'via_region_data.json').write_text(json.dumps(content))
    monkeypatch.chdir(tmp_path)
    load_tool('dataset_converters/balloon2coco').main([])
    train, val = (json.loads((tmp_path / f'data/balloon/{split}.json').read_text()) for split in ('train', 'val'))
    assert train['categories'] == val['categories'] == [dict(id=0, name='balloon')]
    assert train['images'][1] == dict(id=1, file_name='b.jpg', width=200, height=100)
    assert [(a['id'], a['image_id']) for a in train['annotations']] == [(1, 0), (2, 1), (3, 1)]
    assert train['annotations'][0] == dict(
        id=1, image_id=0, category_id=0, bbox=[10, 5, 20, 40], area=800, iscrowd=0,
        segmentation=[[10.5, 5.5, 30.5, 5.5, 20.5, 45.5]])  # yapf: disable
    assert len(val['images']) == 1 and val['annotations'] == []


@pytest.fixture
def labelme(tmp_path):
    """Two images with labels and one without; a circle among the rectangles; corners in any order."""
    for name in 'a', 'b', 'c':
        write_image(tmp_path / 'images' / f'{name}.png')
    shapes = dict(
        a=[('traffic light', 'rectangle', [[10, 20], [50, 80]]), ('cat', 'circle', [[1, 1], [2, 2]])],
        b=[('cat', 'rectangle', [[60, 90], [40.5, 30]]), ('traffic light', 'rectangle', [[0, 0], [1, 1]])])
    (tmp_path / 'labels').mkdir()
    for name, entries in shapes.items():
        content = dict(shapes=[dict(label=l, shape_type=t, points=p) for l, t, p in entries])
        (tmp_path / 'labels' / f'{name}.json').write_text(json.dumps(content))
    return tmp_path


def convert_labelme(root, *options):
    out = root / 'out' / 'all.json'
    load_tool('dataset_converters/labelme2coco').main(
        ['--img-dir', str(root / 'images'), '--labels-dir', str(root / 'labels'), '--out', str(out), *options])
    return json.loads(out.read_text())


def test_labelme(labelme):
    coco = convert_labelme(labelme)
    assert coco['images'] == [dict(id=1, file_name='a.png', width=200, height=100),
                              dict(id=2, file_name='b.png', width=200, height=100)]  # yapf: disable
    assert coco['categories'] == [dict(id=1, name='traffic light'), dict(id=2, name='cat')]
    assert [(a['id'], a['image_id'], a['category_id'], a['bbox']) for a in coco['annotations']] == [
        (1, 1, 1, [10, 20, 40, 60]), (2, 2, 2, [40.5, 30, 19.5, 60]), (3, 2, 1, [0, 0, 1, 1])
    ]  # yapf: disable
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
    txt.write_text('3 cat\n')
    with pytest.raises(ValueError, match="a.json: the class 'traffic light'"):
        convert_labelme(labelme, '--class-id-txt', str(txt))
    txt.write_text('cat\n')
    with pytest.raises(ValueError, match='line 1'):
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
    assert coco['categories'] == [dict(id=0, name='traffic light'), dict(id=1, name='cat')]
    assert [(i['id'], i['file_name'], i['width'], i['height']) for i in coco['images']] == [
        (0, 'a.jpg', 200, 100), (1, 'b.jpg', 200, 100), (2, 'c.jpg', 100, 200)
    ]  # yapf: disable
    assert [(a['id'], a['image_id'], a['category_id'], a['bbox'], a['area']) for a in coco['annotations']] == [
        (1, 0, 1, [75, 25, 50, 50], 2500), (2, 0, 0, [0, 0, 100, 100], 10000), (3, 2, 0, [25, 50, 50, 100], 5000)
    ]  # yapf: disable
    assert coco['annotations'][0]['segmentation'] == [[75, 25, 125, 25, 125, 75, 75, 75]]


def test_yolo_split_by_lists(yolo):
    (yolo / 'train.txt').write_text('./images/c.jpg\n')
    (yolo / 'val.txt').write_text('some\\where\\b.jpg\nnone.jpg\n')
    parts = convert_yolo(yolo)
    assert sorted(parts) == ['train', 'val']
    assert [i['file_name'] for i in parts['train']['images']] == ['c.jpg']
    assert [a['id'] for a in parts['train']['annotations']] == [3]
    assert [i['file_name'] for i in parts['val']['images']] == ['b.jpg'] and not parts['val']['annotations']


def test_yolo_classes_on_one_line(yolo):
    (yolo / 'classes.txt').write_text('dog cat')
    assert [c['name'] for c in convert_yolo(yolo)['result']['categories']] == ['dog', 'cat']


@pytest.mark.parametrize('line, said', [('2 0.5 0.5 0.1 0.1', 'class 2 must be from 0 to 1'),
                                        ('0 0.5 0.5 0.1', 'must be `class cx cy w h`'), ('x 0 0 0 0', 'line 2')])
def test_yolo_names_a_damaged_line(yolo, line, said):
    (yolo / 'labels' / 'a.txt').write_text(f'0 0.5 0.5 0.1 0.1\n{line}\n')
    with pytest.raises(ValueError, match=said):
        convert_yolo(yolo)
    assert not (yolo / 'annotations').exists()


def test_yolo_in_another_folder(tmp_path):
    with pytest.raises(ValueError, match='has no images, labels, classes.txt'):
        convert_yolo(tmp_path)
