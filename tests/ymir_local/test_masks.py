"""Masks of objects from a data set to a task of object type 4."""

import json

import numpy as np
import pytest
import yaml
from PIL import Image

from ymir_local.datasets import read_dataset
from ymir_local.platform.labels import LabelledBox
from ymir_local.platform.parameters import ParameterError, read_template, read_template_of_image
from ymir_local.platform.prepare import IMG_MAN, ModelStage, hyper_parameters, prepare_candidates, prepare_training

OUTLINE = [10, 5, 29.6, 5, 29.6, 24.2]
NO_COORDINATES = (float('nan'), float('inf'), -float('inf'), 1e200, 10**400)
RUNS = {'size': [30, 40], 'counts': [100, 20, 1080]}


def draw(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.fromarray(np.full((30, 40, 3), number, np.uint8)).save(folder / name)


def write_coco(folder, *segmentations):
    draw(folder, 'a.png', 'b.png')
    annotations = [
        {'id': number, 'image_id': 1, 'category_id': 1, 'bbox': [number, 5, 20, 20], 'segmentation': mask}
        for number, mask in enumerate(segmentations, 1)
    ]
    names = ((1, 'a.png'), (2, 'b.png'))
    images = [{'id': number, 'file_name': name, 'width': 40, 'height': 30} for number, name in names]
    content = {'images': images, 'categories': [{'id': 1, 'name': 'cat'}], 'annotations': annotations}
    (folder / 'labels.json').write_text(json.dumps(content))
    return folder


def test_masks_of_coco_are_read_where_they_are_asked_for(tmp_path):
    folder = write_coco(tmp_path, [OUTLINE], OUTLINE, [OUTLINE, OUTLINE], {**RUNS, 'more': 1}, [], None, [['x']])
    plain, masked = (read_dataset(folder, masks=masks).splits['all'][0].boxes for masks in (False, True))
    assert [box.mask for box in plain] == [None] * 7
    assert [box.mask for box in masked] == [[OUTLINE], [OUTLINE], [OUTLINE, OUTLINE], RUNS, None, None, None]
    assert [(box.x, box.w) for box in masked] == [(box.x, box.w) for box in plain]


@pytest.mark.parametrize('number', NO_COORDINATES, ids=lambda number: str(number)[:6])
def test_a_mask_with_a_number_that_cannot_be_is_left_out_and_named(tmp_path, number):
    folder = write_coco(tmp_path / 'data', [[number, *OUTLINE[1:]]], {**RUNS, 'counts': [number, 1100]}, [OUTLINE])
    dataset = read_dataset(folder, masks=True)
    image, other = dataset.splits['all']
    masks = [box.mask for box in image.boxes]
    assert masks[::2] == [None, [OUTLINE]]
    named = [sentence for sentence in dataset.warnings if 'the mask is left out' in sentence]
    assert [f'annotation {place}' in sentence for place, sentence in enumerate(named, 1)] == [True] * masks.count(None)
    prepare_training(tmp_path / 'task', ['cat'], [image], [other], object_type=4)
    assert read_dataset(folder).warnings == ()


def test_polygons_of_labelme_are_masks(tmp_path):
    draw(tmp_path, 'a.png')
    points = [OUTLINE[index : index + 2] for index in (0, 2, 4)]
    shapes = [
        {'label': 'cat', 'shape_type': kind, 'points': corners}
        for kind, corners in (('polygon', points), ('rectangle', [[1, 1], [9, 9]]), ('circle', points[:2]))
    ]
    content = {'imagePath': 'a.png', 'imageWidth': 40, 'imageHeight': 30, 'shapes': shapes}
    (tmp_path / 'a.json').write_text(json.dumps(content))
    (image,) = read_dataset(tmp_path, masks=True).splits['all']
    assert [box.mask for box in image.boxes] == [[OUTLINE], None, None]


def test_a_task_of_instance_segmentation(tmp_path):
    folder = write_coco(
        tmp_path / 'data', [OUTLINE], RUNS, None, {'size': [1], 'counts': 7}, [OUTLINE[:5]], [OUTLINE, [1, 2, 3]]
    )
    image, other = read_dataset(folder, masks=True).splits['all']
    task = prepare_training(tmp_path / 'task', ['cat'], [image], [other], object_type=4)
    config = yaml.safe_load((task.in_dir / 'config.yaml').read_text())
    settings = config['object_type'], config['export_format'], config['model_name']
    assert settings == (4, 'seg-coco:raw', 'yolov5_ins_s')
    content = json.loads((task.in_dir / 'annotations/coco-annotations.json').read_text())
    found = [(item['segmentation'], item['area']) for item in content['annotations']]
    whole = [10, 5, 30, 5, 30, 24]
    assert found[:4] == [([whole], 190), (RUNS, 20), ({}, 400), ({'size': [1], 'counts': 7}, 400)]
    assert found[4:] == [([whole[:5]], 0), ([whole, [1, 2, 3]], 190)]  # which the executor will leave out or report
    assert LabelledBox(0, 1, 2, 3, 4, mask=[OUTLINE]) != LabelledBox(0, 1, 2, 3, 4)

    weights = tmp_path / 'w.pth'
    weights.touch()
    stage = ModelStage('best', (weights,), config, 0.25)
    task = prepare_candidates(tmp_path / 'infer', [image.path], stage, infer=True)
    assert yaml.safe_load((task.in_dir / 'config.yaml').read_text())['object_type'] == stage.object_type == 4
    info = yaml.safe_load((task.in_dir / 'models/ymir-info.yaml').read_text())
    assert (info['object_type'], info['stages']['best']['maskAP']) == (4, 0.25)
    assert ModelStage('best', (weights,), {'class_names': ['cat']}).object_type == 2


def test_the_template_of_an_object_type(tmp_path, monkeypatch):
    masks, boxes = read_template('training', object_type=4), read_template('training')
    assert {key: value for key, value in masks.items() if value != ''} == hyper_parameters('training', object_type=4)
    assert (masks['export_format'], boxes['export_format']) == ('seg-coco:raw', 'ark:raw')
    (tmp_path / 'training-template.yaml').write_text('a: 1')
    with pytest.raises(ParameterError, match='object_type is 2, so this executor does no instance segmentation'):
        read_template('training', tmp_path, 4)
    (tmp_path / 'manifest.yaml').write_text('object_type: 4')
    assert read_template('training', tmp_path, 4) == {'a': 1}

    def cat(image, path, required=True):
        return (IMG_MAN / path[len('/img-man/') :]).read_text(encoding='utf-8')

    monkeypatch.setattr('ymir_local.platform.parameters._pull_if_absent', lambda image: None)
    monkeypatch.setattr('ymir_local.platform.parameters._cat', cat)
    assert read_template_of_image('x', 'training') == boxes
    assert read_template_of_image('x', 'training', 4) == masks
    with pytest.raises(ParameterError, match='does no semantic segmentation'):
        read_template_of_image('x', 'training', 3)
