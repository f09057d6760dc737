"""Average precision of keypoints: by hand, against pycocotools, and under the name that configs use."""

import contextlib
import io
import json

import numpy as np
import pytest
import torch
from mmengine.registry import METRICS as ROOT_METRICS
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import mmyolo.registry  # noqa: F401
from mmyolo.evaluation import KeypointCocoMetric
from mmyolo.standins.mmpose.keypoint_info import load_keypoint_info
from mmyolo.standins.mmpose.keypoint_metric import oks_nms

INFO = dict(load_keypoint_info('configs/_base_/pose/coco.py'), classes=('person',))
IMAGES = 6


@pytest.fixture(scope='module')
def truth():
    rng = np.random.default_rng(0)
    annotations = []
    for index in range(IMAGES * 3):
        size = rng.uniform(30, 180, 2)
        corner = rng.uniform(0, 200, 2)
        points = np.concatenate((corner + rng.random((17, 2)) * size, rng.integers(0, 3, (17, 1))), 1)
        points[points[:, 2] == 0] = 0
        annotations.append(
            {
                'id': index + 1,
                'image_id': index // 3,
                'category_id': 1,
                'bbox': [*corner, *size],
                'area': float(size.prod()) * 0.6,
                'iscrowd': int(index == 4),
                'num_keypoints': int((points[:, 2] > 0).sum()),
                'keypoints': points.ravel().tolist(),
            }
        )
    annotations[7].update(num_keypoints=0, keypoints=[0] * 51)
    return {
        'images': [{'id': i, 'width': 400, 'height': 400, 'file_name': f'{i}.jpg'} for i in range(IMAGES)],
        'categories': [{'id': 1, 'name': 'person'}],
        'annotations': annotations,
    }


@pytest.fixture(scope='module')
def ann_file(truth, tmp_path_factory):
    path = tmp_path_factory.mktemp('keypoints') / 'truth.json'
    path.write_text(json.dumps(truth))
    return str(path)


def predictions(truth, noise):
    """The true persons with noise, and some that are not there."""
    rng = np.random.default_rng(1)
    samples = []
    for image in range(IMAGES):
        found = [one for one in truth['annotations'] if one['image_id'] == image and one['num_keypoints']]
        points = np.stack([np.array(one['keypoints']).reshape(17, 3)[:, :2] for one in found])
        points = np.concatenate((points + rng.normal(0, noise, points.shape), rng.uniform(0, 300, (2, 17, 2))))
        boxes = np.concatenate((points.min(1), points.max(1)), 1)
        samples.append(
            {
                'img_id': image,
                'pred_instances': {
                    'bboxes': boxes.astype(np.float32),
                    'scores': rng.random(len(points)).astype(np.float32),
                    'labels': np.zeros(len(points), np.int64),
                    'keypoints': points.astype(np.float32),
                    'keypoint_scores': rng.random((len(points), 17)).astype(np.float32),
                },
            }
        )
    return samples


def evaluate(ann_file, samples, **kwargs):
    metric = KeypointCocoMetric(ann_file=ann_file, **kwargs)
    metric.dataset_meta = INFO
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def test_name_in_configs():
    assert ROOT_METRICS.get('mmpose.CocoMetric') is KeypointCocoMetric


@pytest.mark.parametrize('backend', ['faster_coco_eval', 'pycocotools'])
def test_equals_pycocotools(truth, ann_file, backend):
    samples = predictions(truth, noise=6.0)
    found = evaluate(ann_file, samples, score_mode='bbox', nms_mode='none', backend=backend)
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO(ann_file)
        records = []
        for sample in samples:
            one = sample['pred_instances']
            for points, visible, score in zip(one['keypoints'], one['keypoint_scores'], one['scores']):
                row = np.concatenate((points, visible[:, None]), 1).ravel().astype(float).tolist()
                records.append(
                    {'image_id': sample['img_id'], 'category_id': 1, 'keypoints': row, 'score': float(score)}
                )
        evaluation = COCOeval(reference, reference.loadRes(records), 'keypoints')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    names = ['AP', 'AP .5', 'AP .75', 'AP (M)', 'AP (L)', 'AR', 'AR .5', 'AR .75', 'AR (M)', 'AR (L)']
    assert 0.1 < found['coco/AP'] < 0.9
    assert list(found) == [f'coco/{name}' for name in names]
    assert list(found.values()) == pytest.approx(evaluation.stats.tolist(), abs=1e-6)


def test_exact_predictions_are_perfect(truth, ann_file):
    samples = predictions(truth, noise=0.0)
    for sample in samples:
        fields = sample['pred_instances']
        fields['scores'][-2:] = 0
        sample['pred_instances'] = {key: torch.as_tensor(value) for key, value in fields.items()}
    assert evaluate(ann_file, samples, score_mode='bbox')['coco/AP'] == pytest.approx(1)


def test_score_modes(truth, ann_file):
    """Detections that are not there come last by one score, first by the other."""
    samples = predictions(truth, noise=0.0)
    for sample in samples:
        fields = sample['pred_instances']
        fields['scores'][:], fields['keypoint_scores'][:] = 0.9, 0.3
        fields['scores'][-2:], fields['keypoint_scores'][-2:] = 0.8, 0.9
    modes = ('bbox', 'bbox_keypoint', 'keypoint')
    found = {mode: evaluate(ann_file, samples, score_mode=mode)['coco/AP'] for mode in modes}
    assert found['bbox'] == pytest.approx(1) and found['keypoint'] == found['bbox_keypoint'] < 0.8
    # keypoints below the threshold do not count
    high = evaluate(ann_file, samples, score_mode='bbox_keypoint', keypoint_score_thr=0.95)
    assert high['coco/AP'] != found['bbox_keypoint']


def test_no_detection_is_zero(ann_file):
    nothing = {
        'bboxes': np.zeros((0, 4)),
        'scores': np.zeros(0),
        'labels': np.zeros(0, int),
        'keypoints': np.zeros((0, 17, 2)),
        'keypoint_scores': np.zeros((0, 17)),
    }
    samples = [{'img_id': image, 'pred_instances': nothing} for image in range(IMAGES)]
    assert evaluate(ann_file, samples)['coco/AP'] == 0


def test_nms():
    points = np.zeros((4, 17, 2))
    points[1] += 1  # like the first
    points[2] += 100
    points[3] += 101  # like the third, but better
    scores, areas = np.array([0.9, 0.8, 0.5, 0.6]), np.full(4, 2500.0)
    assert oks_nms(points, scores, areas, INFO['sigmas'], 0.6).tolist() == [0, 3]
    assert oks_nms(points, scores, areas, INFO['sigmas'], 1.0).tolist() == [0, 1, 3, 2]
    assert oks_nms(points[:0], scores[:0], areas[:0], INFO['sigmas'], 0.9).tolist() == []


@pytest.mark.parametrize('kwargs', [{'score_mode': 'box'}, {'nms_mode': 'soft'}, {'backend': 'none'}])
def test_wrong_arguments_are_named(ann_file, kwargs):
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        KeypointCocoMetric(ann_file=ann_file, **kwargs)


def test_other_class_names_are_named(ann_file):
    metric = KeypointCocoMetric(ann_file=ann_file)
    metric.dataset_meta = dict(INFO, classes=('dog',))
    with pytest.raises(ValueError, match="'dog'"):
        metric.compute_metrics([])
