"""Labels of YOLOv5CocoDataset follow class names, not the order of categories in the file."""

import json

import pytest

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
from mmyolo.datasets import YOLOv5CocoDataset

CLASSES = ('bolt', 'nut', 'washer')


def labels(tmp_path, categories, classes=CLASSES, pipeline=({'type': 'LoadAnnotations', 'with_bbox': True},)):
    annotations = [
        {'id': index + 1, 'image_id': 0, 'category_id': cat_id, 'bbox': [10, 10, 20, 20], 'area': 400, 'iscrowd': 0}
        for index, cat_id in enumerate(categories)
    ]
    content = {
        'images': [{'id': 0, 'file_name': '0.jpg', 'width': 64, 'height': 64}],
        'categories': [{'id': cat_id, 'name': name} for cat_id, name in categories.items()],
        'annotations': annotations,
    }
    file = tmp_path / 'truth.json'
    file.write_text(json.dumps(content))
    dataset = YOLOv5CocoDataset(
        ann_file=str(file),
        data_prefix={'img': ''},
        metainfo={'classes': classes},
        filter_cfg={'filter_empty_gt': False},
        pipeline=list(pipeline),
    )
    return [
        instance['bbox_label']
        for info in (dataset.get_data_info(i) for i in range(len(dataset)))
        for instance in info['instances']
    ]


@pytest.mark.parametrize(
    'categories, expected',
    [
        ({0: 'bolt', 1: 'nut', 2: 'washer'}, [0, 1, 2]),
        ({7: 'washer', 3: 'bolt', 5: 'nut'}, [2, 0, 1]),
        ({4: 'washer'}, [2]),
        ({4: 'washer', 5: 'screw'}, [2]),
        ({}, []),
    ],
)
def test_labels_follow_names(tmp_path, categories, expected):
    assert labels(tmp_path, categories) == expected


def test_names_that_do_not_fit_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"'bolt', 'nut', 'washer'.*\['screw'\]"):
        labels(tmp_path, {5: 'screw'})


def test_names_need_not_fit_in_a_mere_list(tmp_path):
    with pytest.warns(UserWarning, match=r"'bolt', 'nut', 'washer'.*\['screw'\]"):
        assert labels(tmp_path, {5: 'screw'}, pipeline=()) == []
