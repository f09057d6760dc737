"""Persons with keypoints from a file in COCO's format."""

import json

import numpy as np
import pytest

from mmyolo.datasets import PoseCocoDataset, yolov5_collate
from mmyolo.datasets.transforms import FilterAnnotations, LoadAnnotations, PackDetInputs


def annotation(index, image, category=4, visible=2, **kwargs):
    points = np.stack((np.arange(17) + index, np.arange(17) * 2, np.full(17, visible)), 1)
    points[0, 2] = 0
    return dict(
        {
            'id': index,
            'image_id': image,
            'category_id': category,
            'bbox': [index, 2, 30, 40],
            'area': 1200,
            'iscrowd': 0,
            'keypoints': points.ravel().tolist(),
        },
        **kwargs,
    )


PREFIX = {'img': 'images'}


@pytest.fixture
def ann_file(tmp_path):
    """Three images: two persons, a crowd, a dog; a person without keypoints and one that was not labelled; nothing."""
    content = {
        'images': [{'id': 10 + i, 'file_name': f'{i}.jpg', 'width': 100, 'height': 80} for i in range(3)],
        'categories': [{'id': 7, 'name': 'dog'}, {'id': 4, 'name': 'person'}],
        'annotations': [
            annotation(1, 10),
            annotation(2, 10, visible=1),
            annotation(3, 10, iscrowd=1),
            annotation(4, 10, category=7),
            annotation(5, 11, visible=0),
            annotation(6, 11, keypoints=[]),
        ],
    }
    path = tmp_path / 'persons.json'
    path.write_text(json.dumps(content))
    return str(path)


def test_what_is_loaded(ann_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the description of the keypoints is found from anywhere
    data = PoseCocoDataset(ann_file=ann_file, data_prefix=PREFIX, filter_cfg={'filter_empty_gt': False})
    assert len(data) == 3
    assert data.metainfo['classes'] == ('person',) and data.metainfo['num_keypoints'] == 17
    first, second, third = [data.get_data_info(index) for index in range(3)]
    assert first['id'] == first['img_id'] == 10 and first['img_path'].endswith('images/0.jpg')
    assert first['bbox'].tolist() == [[1, 2, 31, 42], [2, 2, 32, 42]] and first['category_id'] == [1, 1]
    assert first['keypoints'].shape == (2, 17, 2) and first['keypoints'][1, 3].tolist() == [5, 6]
    assert first['keypoints_visible'].tolist() == [[0] + [1] * 16] * 2
    assert first['flip_indices'][:3] == [0, 2, 1]
    assert len(second['bbox']) == 1 and second['keypoints_visible'].sum() == 0
    assert third['bbox'].shape == (0, 4) and third['keypoints'].shape == (0, 17, 2)


@pytest.mark.parametrize('test_mode', [True, False])
def test_the_pipeline_finds_the_data_set(ann_file, test_mode):
    data = PoseCocoDataset(ann_file=ann_file, data_prefix=PREFIX, test_mode=test_mode, pipeline=[])
    assert data[0]['dataset'] is data


def test_a_batch_of_images_with_and_without_persons(ann_file):
    steps = [LoadAnnotations(with_keypoints=True), FilterAnnotations(by_keypoints=True, keep_empty=False)]
    data = PoseCocoDataset(
        ann_file=ann_file,
        data_prefix=PREFIX,
        filter_cfg={'filter_empty_gt': False},
        pipeline=[_blank, *steps, PackDetInputs(meta_keys=('img_id', 'ori_shape'))],
    )
    batch = yolov5_collate([data[index] for index in range(3)])['data_samples']
    assert batch['bboxes_labels'][:, :2].tolist() == [[0, 0], [0, 0]]
    assert batch['keypoints'].shape == (2, 17, 2) and batch['keypoints_visible'].sum() == 32


def _blank(results):
    return dict(results, img=np.zeros((80, 100, 3), np.uint8), img_shape=(80, 100), ori_shape=(80, 100))


def test_mistakes_are_named(ann_file, tmp_path):
    with pytest.raises(ValueError, match="data_mode .* 'topdown'"):
        PoseCocoDataset(ann_file=ann_file, data_mode='topdown')
    other = tmp_path / 'three.py'
    other.write_text(
        'dataset_info = dict(dataset_name="three", sigmas=[.1, .1, .1], '
        'keypoint_info={i: dict(name=str(i), id=i) for i in range(3)})'
    )
    with pytest.raises(ValueError, match='Annotation 1 of .* has 17 keypoints, the metainfo describes 3'):
        PoseCocoDataset(ann_file=ann_file, data_prefix=PREFIX, metainfo={'from_file': str(other)})
