"""The data sets that are drawn: layouts of the platform, labels of the pixels, the same bytes for the same seed."""

import json
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from pie_local.data_set import classes_of, read_data_set
from pie_local.draw import TASKS, Scene, draw_data_set, draw_large
from pie_local.texts import PieError


@pytest.mark.parametrize('task', TASKS)
def test_layouts(task, tmp_path):
    for name in ('a', 'b'):
        draw_data_set(tmp_path / name, task, 8, 64)
    files = sorted(path.relative_to(tmp_path / 'a') for path in (tmp_path / 'a').rglob('*.*'))
    assert all((tmp_path / 'a' / file).read_bytes() == (tmp_path / 'b' / file).read_bytes() for file in files)
    folders = {'detection': ['images'], 'segmentation': ['images'], 'change': ['A', 'B']}[task]
    for part, number in (('train', 6), ('valid', 2)):
        stems = [
            [path.stem for path in sorted((tmp_path / 'a' / part / name).iterdir())] for name in (*folders, 'labels')
        ]
        assert len(stems[0]) == number and all(one == stems[0] for one in stems)
    data = read_data_set(tmp_path / 'a')
    assert data.task == task and data.label == json.loads((tmp_path / 'a/label.json').read_text(encoding='utf-8'))
    if task != 'detection':
        allowed = {known.value for known in classes_of(data.label)}
        values = [set(np.unique(cv2.imread(str(path), -1))) for path in (tmp_path / 'a').glob('*/labels/*')]
        assert all(one <= allowed for one in values) and set.union(*values) == allowed


def test_labels_are_what_was_drawn():
    for seed in range(5):
        scene = Scene(np.random.default_rng(seed), 96)
        buildings = [box for box in scene.boxes if box[0] == 'building']
        inside = np.zeros((96, 96), bool)
        for _, left, top, right, bottom in buildings:
            part = scene.classes[top:bottom, left:right] == 'building'
            assert part.any(0).all() and part.any(1).all()
            inside[top:bottom, left:right] = True
        assert not (scene.classes == 'building')[~inside].any()
        before, mask = scene.without_some_buildings(np.random.default_rng(seed))
        assert ((before != scene.picture).any(2) <= (mask > 0)).all()
        assert set(np.unique(scene.classes[mask > 0])) <= {'building'}


def test_labels_in_the_form_of_the_platform(tmp_path):
    draw_data_set(tmp_path, 'detection', 4, 64)
    label = ElementTree.parse(next(tmp_path.glob('train/labels/*.xml'))).getroot()
    assert label.findtext('filename').endswith('.xml') and label.find('object/difficult').text is None
    assert [side.tag for side in label.find('object/bndbox')] == ['xmin', 'xmax', 'ymin', 'ymax']
    assert all(float(side.text) == int(float(side.text)) and '.' in side.text for side in label.find('object/bndbox'))


def test_classes_of_xml_without_label_file(tmp_path):
    draw_data_set(tmp_path, 'detection', 6, 64)
    (tmp_path / 'label.json').unlink()
    assert [entry['class_name'] for entry in read_data_set(tmp_path).label] == ['building', 'tank']


def test_faults_of_data_sets(tmp_path):
    with pytest.raises(PieError, match=r'is no data set: it has no folder train/;'):
        read_data_set(tmp_path)
    draw_data_set(tmp_path, 'segmentation', 4, 64)
    (tmp_path / 'label.json').write_text('[{"class_name": "road", "class_value": 1, "class_color": "1,2"}]')
    with pytest.raises(PieError, match=r'label\.json: entry 0: class_value or class_color is wrong; wanted is a list'):
        read_data_set(tmp_path)
    (tmp_path / 'label.json').unlink()
    with pytest.raises(PieError, match=r'label\.json is missing: a list of the classes') as error:
        read_data_set(tmp_path)
    assert error.value.text.zh.startswith('缺少')


@pytest.mark.parametrize('task', TASKS)
def test_a_large_picture_with_its_place_on_earth(task, tmp_path):
    import rasterio

    paths = draw_large(tmp_path, task, 3, 2, 64)
    assert [path.name for path in paths] == {'change': ['A.tif', 'B.tif']}.get(task, ['images.tif'])
    for path in paths:
        with rasterio.open(path) as file:
            assert (file.width, file.height, file.count, file.crs.to_epsg()) == (192, 128, 3, 32650)
            assert file.transform[:6] == (0.5, 0, 500000, 0, -0.5, 4400000)
            assert np.moveaxis(file.read(), 0, 2).tolist() == cv2.imread(str(path))[:, :, ::-1].tolist()
    if task == 'detection':
        root = ElementTree.parse(tmp_path / 'label.xml').getroot()
        assert root.findtext('size/width') == '192' and float(root.findall('object')[-1].find('bndbox/xmin').text) > 64
    else:
        assert cv2.imread(str(tmp_path / 'label.png'), -1).shape == (128, 192)
