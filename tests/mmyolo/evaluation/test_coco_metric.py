"""FastCocoMetric against pycocotools, mmdet's metric and cases whose answer is known."""

import json
import math

import numpy as np
import pytest
import torch

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
from mmdet.evaluation import CocoMetric

from mmyolo.evaluation import FastCocoMetric
from mmyolo.registry import METRICS

CLASSES = ('bolt', 'nut', 'washer')
NAMES = ['mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l']


def random_set(images=20, seed=0):
    """Boxes of all sizes, some of them crowds, and detections near them with tied scores, duplicates and strays."""
    rng = np.random.default_rng(seed)
    truth, detections = [], []
    for image in range(images):
        count = int(rng.integers(0, 12))
        xy, wh = rng.uniform(0, 400, (count, 2)), rng.uniform(4, 200, (count, 2))
        boxes, labels = np.concatenate([xy, xy + wh], 1), rng.integers(0, 3, count)
        crowds = rng.random(count) < 0.1
        truth += [(image, box, label, crowd) for box, label, crowd in zip(boxes, labels, crowds)]
        noisy = np.concatenate([boxes + rng.normal(0, 6, (count, 4)), boxes + rng.normal(0, 2, (count, 4))])
        noisy = np.concatenate([noisy, rng.uniform(0, 300, (5, 4)) + [0, 0, 300, 300]])
        found = np.concatenate([labels, labels, rng.integers(0, 3, 5)])
        scores = np.round(rng.uniform(0.01, 1, len(noisy)), 1)
        detections.append((image, noisy.astype(np.float32), scores.astype(np.float32), found))
    return truth, detections


def write_truth(path, truth, images, order=(0, 1, 2), first_id=1):
    annotations = [
        {
            'id': index,
            'image_id': image,
            'category_id': int(label) + 5,
            'bbox': [float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])],
            'area': float((box[2] - box[0]) * (box[3] - box[1])),
            'iscrowd': int(crowd),
        }
        for index, (image, box, label, crowd) in enumerate(truth, first_id)
    ]
    content = {
        'images': [{'id': image, 'width': 640, 'height': 640, 'file_name': f'{image}.jpg'} for image in range(images)],
        'categories': [{'id': label + 5, 'name': CLASSES[label]} for label in order],
        'annotations': annotations,
    }
    path.write_text(json.dumps(content))
    return str(path)


def evaluate(metric, detections):
    metric.dataset_meta = {'classes': CLASSES}
    for image, boxes, scores, labels in detections:
        instances = {
            'bboxes': torch.as_tensor(boxes).reshape(-1, 4),
            'scores': torch.as_tensor(scores),
            'labels': torch.as_tensor(labels, dtype=torch.long),
        }
        metric.process({}, [{'pred_instances': instances, 'img_id': image, 'ori_shape': (640, 640)}])
    return metric.evaluate(max(len(detections), 1))


@pytest.mark.parametrize('proposal_nums', [(100, 1, 10), (100, 300, 1000), (5, 10, 20)])
def test_equals_pycocotools(tmp_path, proposal_nums):
    truth, detections = random_set()
    ann_file = write_truth(tmp_path / 'truth.json', truth, 20)
    items = NAMES + ['AR@100', 'AR@300', 'AR@1000', 'AR_s@1000', 'AR_m@1000', 'AR_l@1000']
    fast, reference = (
        evaluate(
            FastCocoMetric(
                ann_file=ann_file, proposal_nums=proposal_nums, backend=backend, classwise=True, metric_items=items
            ),
            detections,
        )
        for backend in ('faster_coco_eval', 'pycocotools')
    )
    assert fast == pytest.approx(reference, rel=1e-9)
    assert 0.2 < fast['coco/bbox_mAP'] < 0.9


def test_equals_mmdet_to_its_three_digits(tmp_path):
    truth, detections = random_set(seed=1)
    ann_file = write_truth(tmp_path / 'truth.json', truth, 20)
    settings = {'ann_file': ann_file, 'proposal_nums': (100, 1, 10), 'classwise': True}
    ours = evaluate(FastCocoMetric(**settings), detections)
    theirs = evaluate(CocoMetric(**settings), detections)
    assert set(ours) == set(theirs)
    assert ours == pytest.approx({key: float(value) for key, value in theirs.items()}, abs=5.001e-4)


def test_ground_truth_of_the_samples_equals_that_of_a_file(tmp_path):
    truth, detections = random_set(seed=2)
    from_file = evaluate(FastCocoMetric(write_truth(tmp_path / 'truth.json', truth, 20)), detections)
    metric = FastCocoMetric()
    metric.dataset_meta = {'classes': CLASSES}
    for image, boxes, scores, labels in detections:
        instances = [
            {'bbox': box.tolist(), 'bbox_label': label, 'ignore_flag': int(crowd)}
            for owner, box, label, crowd in truth
            if owner == image
        ]
        predicted = {
            'bboxes': torch.as_tensor(boxes),
            'scores': torch.as_tensor(scores),
            'labels': torch.as_tensor(labels),
        }
        sample = {'pred_instances': predicted, 'img_id': image, 'ori_shape': (640, 640), 'instances': instances}
        metric.process({}, [sample])
    assert metric.evaluate(20) == pytest.approx(from_file)


@pytest.mark.parametrize('order, first_id', [((2, 0, 1), 1), ((0, 1, 2), 0)])
def test_neither_the_order_of_categories_nor_the_first_id_matters(tmp_path, order, first_id):
    truth, detections = random_set(seed=3)
    plain = evaluate(FastCocoMetric(write_truth(tmp_path / 'plain.json', truth, 20)), detections)
    other = write_truth(tmp_path / 'other.json', truth, 20, order, first_id)
    assert evaluate(FastCocoMetric(other), detections) == pytest.approx(plain)


def test_a_category_that_the_file_lacks_is_left_out(tmp_path):
    box = np.array([10.0, 10, 60, 60])
    ann_file = write_truth(tmp_path / 'truth.json', [(0, box, 2, False)], 1, order=(2,))
    detections = [(0, np.stack([box, box]).astype(np.float32), np.array([0.9, 0.8]), np.array([0, 2]))]
    result = evaluate(FastCocoMetric(ann_file, classwise=True), detections)
    assert result['coco/bbox_mAP'] == 1
    assert result['coco/washer_precision'] == 1
    assert math.isnan(result['coco/bolt_precision'])
    silent = FastCocoMetric(ann_file)
    assert not any('precision' in name for name in evaluate(silent, detections))
    assert silent.class_precisions == pytest.approx({'bolt': math.nan, 'nut': math.nan, 'washer': 1}, nan_ok=True)


@pytest.mark.parametrize('backend', ['faster_coco_eval', 'pycocotools'])
def test_no_detection_gives_zero(tmp_path, backend):
    truth = [(0, np.array([10.0, 10, 60, 60]), 1, False)]
    ann_file = write_truth(tmp_path / 'truth.json', truth, 2)
    nothing = [(image, np.zeros((0, 4), np.float32), np.zeros(0), np.zeros(0)) for image in range(2)]
    for detections in (nothing, []):
        result = evaluate(FastCocoMetric(ann_file, backend=backend), detections)
        assert result['coco/bbox_mAP'] == result['coco/bbox_mAP_50'] == result['coco/bbox_mAP_m'] == 0
        assert result['coco/bbox_mAP_s'] == result['coco/bbox_mAP_l'] == -1


@pytest.mark.parametrize('backend', ['faster_coco_eval', 'pycocotools'])
def test_no_ground_truth_gives_minus_one_and_a_warning(tmp_path, backend, monkeypatch):
    said = []
    monkeypatch.setattr('mmyolo.evaluation.coco_metric.print_log', lambda text, *args: said.append(text))
    crowd = [(0, np.array([10.0, 10, 60, 60]), 1, True)]
    for truth in ([], crowd):
        said.clear()
        ann_file = write_truth(tmp_path / 'truth.json', truth, 1)
        detections = [(0, np.array([[5.0, 5, 50, 50]], np.float32), np.array([0.9]), np.array([1]))]
        result = evaluate(FastCocoMetric(ann_file, backend=backend), detections)
        assert set(result.values()) == {-1}
        assert 'has no annotated object' in said[0]


def test_names_that_do_not_fit_are_named(tmp_path):
    ann_file = write_truth(tmp_path / 'truth.json', [], 1)
    metric = FastCocoMetric(ann_file)
    metric.dataset_meta = {'classes': ('cat',)}
    with pytest.raises(ValueError, match=r"\('cat',\).*'bolt', 'nut', 'washer'"):
        metric.compute_metrics([])


def test_wrong_arguments_are_named(tmp_path):
    with pytest.raises(ValueError, match="'slow'.*'pycocotools'"):
        FastCocoMetric(backend='slow')
    with pytest.raises(KeyError, match='mAP_60'):
        FastCocoMetric(metric_items=['mAP_60'])


def test_is_registered(tmp_path):
    assert METRICS.get('FastCocoMetric') is FastCocoMetric
    assert METRICS.get('mmyolo.FastCocoMetric') is FastCocoMetric
