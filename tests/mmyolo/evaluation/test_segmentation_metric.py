"""Average precision of masks against pycocotools, and against values known by hand."""

import copy
import json

import numpy as np
import pytest
import torch

from mmyolo.evaluation import FastCocoMetric

HEIGHT, WIDTH = 60, 80
RECTANGLES = [(5, 8, 40, 50), (10, 2, 30, 60), (44, 30, 79, 55)]  # x1, y1, x2, y2


def bits(x1, y1, x2, y2):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y1:y2, x1:x2] = True
    return mask


@pytest.fixture
def ann_file(tmp_path):
    annotations = []
    for index, (x1, y1, x2, y2) in enumerate(RECTANGLES):
        annotations.append(
            {
                'id': index,
                'image_id': index % 2,
                'category_id': 3 + index % 2,
                'bbox': [x1, y1, x2 - x1, y2 - y1],
                'area': (x2 - x1) * (y2 - y1),
                'iscrowd': 0,
                'segmentation': [[x1, y1, x2, y1, x2, y2, x1, y2]],
            }
        )
    images = [{'id': index, 'width': WIDTH, 'height': HEIGHT, 'file_name': f'{index}.jpg'} for index in range(2)]
    categories = [{'id': 3, 'name': 'cat'}, {'id': 4, 'name': 'dog'}]
    path = tmp_path / 'instances.json'
    path.write_text(json.dumps({'images': images, 'categories': categories, 'annotations': annotations}))
    return str(path)


def evaluate(ann_file, masks, metric=('bbox', 'segm'), **kwargs):
    """Metrics of the true boxes with the given masks, one per rectangle."""
    evaluator = FastCocoMetric(ann_file=ann_file, metric=list(metric), **kwargs)
    evaluator.dataset_meta = {'classes': ('cat', 'dog')}
    samples = []
    for image in range(2):
        chosen = range(image, len(RECTANGLES), 2)
        found = {
            'bboxes': torch.tensor([RECTANGLES[index] for index in chosen], dtype=torch.float),
            'scores': torch.tensor([0.9 - 0.1 * index for index in chosen]),
            'labels': torch.tensor([index % 2 for index in chosen]),
        }
        if masks is not None:
            found['masks'] = torch.from_numpy(np.stack([masks[index] for index in chosen]))
        samples.append({'img_id': image, 'ori_shape': (HEIGHT, WIDTH), 'pred_instances': found})
    evaluator.process({}, copy.deepcopy(samples))
    return evaluator.evaluate(size=2)


@pytest.mark.parametrize('backend', ['faster_coco_eval', 'pycocotools'])
def test_perfect_masks_have_precision_1(ann_file, backend):
    metrics = evaluate(ann_file, [bits(*box) for box in RECTANGLES], backend=backend)
    assert metrics['coco/bbox_mAP'] == pytest.approx(1, abs=1e-9)
    assert metrics['coco/segm_mAP'] == pytest.approx(1, abs=1e-9)
    assert metrics['coco/segm_mAP_75'] == pytest.approx(1, abs=1e-9)


def test_masks_count_and_not_boxes(ann_file):
    # An overlap of 0.6 passes the thresholds 0.5, 0.55 and, barely or not, 0.6: take 0.62.
    halves = []
    for x1, y1, x2, y2 in RECTANGLES:
        mask = bits(x1, y1, x2, y2)
        mask.ravel()[np.flatnonzero(mask.ravel())[round(0.62 * mask.sum()) :]] = False
        halves.append(mask)
    metrics = evaluate(ann_file, halves)
    assert metrics['coco/bbox_mAP'] == pytest.approx(1, abs=1e-9)
    assert metrics['coco/segm_mAP'] == pytest.approx(0.3, abs=1e-9)
    assert metrics['coco/segm_mAP_50'] == pytest.approx(1, abs=1e-9)
    assert metrics['coco/segm_mAP_75'] == 0


def test_segm_alone(ann_file):
    metrics = evaluate(ann_file, [bits(*box) for box in RECTANGLES], metric=['segm'])
    assert not any('bbox' in name for name in metrics)
    assert metrics['coco/segm_mAP'] == pytest.approx(1, abs=1e-9)


def test_without_masks_says_so(ann_file):
    with pytest.raises(ValueError, match="set metric='bbox'"):
        evaluate(ann_file, None)


def test_nothing_detected_is_0(ann_file):
    evaluator = FastCocoMetric(ann_file=ann_file, metric=['bbox', 'segm'])
    evaluator.dataset_meta = {'classes': ('cat', 'dog')}
    empty = {
        'bboxes': torch.zeros(0, 4),
        'scores': torch.zeros(0),
        'labels': torch.zeros(0, dtype=torch.long),
        'masks': torch.zeros(0, HEIGHT, WIDTH, dtype=torch.bool),
    }
    evaluator.process(
        {}, [{'img_id': image, 'ori_shape': (HEIGHT, WIDTH), 'pred_instances': empty} for image in range(2)]
    )
    metrics = evaluator.evaluate(size=2)
    assert metrics['coco/bbox_mAP'] == metrics['coco/segm_mAP'] == 0


@pytest.mark.parametrize('backend', ['faster_coco_eval', 'pycocotools'])
def test_300_masks_of_an_image(ann_file, backend):
    evaluator = FastCocoMetric(ann_file=ann_file, metric=['bbox', 'segm'], backend=backend)
    evaluator.dataset_meta = {'classes': ('cat', 'dog')}
    for image in range(2):
        index = np.arange(300) % len(RECTANGLES)
        found = {
            'bboxes': torch.tensor([RECTANGLES[i] for i in index], dtype=torch.float),
            'scores': torch.linspace(0.9, 0.1, 300),
            'labels': torch.from_numpy(index % 2),
            'masks': torch.from_numpy(np.stack([bits(*RECTANGLES[i]) for i in index])),
        }
        evaluator.process({}, [{'img_id': image, 'ori_shape': (HEIGHT, WIDTH), 'pred_instances': found}])
    metrics = evaluator.evaluate(size=2)
    assert 0 < metrics['coco/bbox_mAP'] < 1
    # the masks are the boxes, so their overlaps are the same
    assert metrics['coco/segm_mAP'] == pytest.approx(metrics['coco/bbox_mAP'], abs=1e-9)


def test_true_objects_without_masks_are_named(ann_file):
    with open(ann_file) as file:
        content = json.load(file)
    del content['annotations'][1]['segmentation']
    with open(ann_file, 'w') as file:
        json.dump(content, file)
    masks = [bits(*box) for box in RECTANGLES]
    assert evaluate(ann_file, masks, metric=['bbox'])['coco/bbox_mAP'] == pytest.approx(1, abs=1e-9)
    with pytest.raises(ValueError, match='1 of 3 objects .* no segmentation'):
        evaluate(ann_file, masks)
