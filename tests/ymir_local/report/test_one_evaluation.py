"""Validation, report and demo give the same numbers of the same boxes; report and tool count the same confusion."""

import json
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
import torch

from mmyolo.evaluation import FastCocoMetric
from mmyolo.tools.analysis import confusion_matrix
from tests.ymir_local.report import coco_reference
from tmi.evaluation.accuracy import measure
from ymir_local.demo.demo_result import mean_average_precision
from ymir_local.platform.labels import LabelledBox, LabelledImage
from ymir_local.report.evaluation import BoxTable, evaluate

TIED = [0.125, 0.25, 0.2578125, 0.5, 0.875]  # as 32 bits hold them


class Case(NamedTuple):
    """How many of each there are; half of the predictions are copies of labels, or nearly."""

    images: int
    classes: int
    found: int
    truth: int
    crowds: int = 0
    copies: float = 0.5


CASES = {
    'crowds': Case(4, 2, 400, 80, 5),
    'many crowds': Case(12, 5, 600, 150, 40),
    'only crowds': Case(3, 2, 50, 0, 9),
    'classes without labels, images without boxes': Case(60, 40, 100, 30, 10),
    'many classes': Case(8, 150, 500, 400),
    'more than 100 of a class in an image': Case(1, 1, 350, 130, 3),
    'one box': Case(3, 2, 1, 1),
    'all right': Case(5, 3, 60, 60, copies=1.0),
    'nothing found': Case(3, 2, 0, 20, 4),
    'no labels': Case(3, 2, 20, 0),
    'nothing at all': Case(2, 2, 0, 0),
}


def random_boxes(rng, count, case, scores):
    xy, wh = rng.integers(0, 40, (count, 2)), rng.integers(1, 25, (count, 2))
    labels = rng.integers(0, max(case.classes - case.classes // 4, 1), count)  # none of the last classes
    return BoxTable(
        rng.integers(0, case.images, count), labels, np.hstack([xy, wh]).astype(float), rng.choice(scores, count)
    )


@pytest.fixture(params=CASES.values(), ids=CASES)
def boxes(request):
    """A case, its predictions, labels and crowds."""
    case = request.param
    rng = np.random.default_rng(case.found + case.truth)
    truth, crowds = (random_boxes(rng, count, case, [1.0]) for count in (case.truth, case.crowds))
    found = random_boxes(rng, case.found, case, TIED)
    copies = int(case.found * case.copies) if case.truth else 0
    rows = rng.permutation(np.arange(copies) % max(case.truth, 1))
    for name in ('image', 'label'):
        getattr(found, name)[:copies] = getattr(truth, name)[rows]
    # some exact, so that high thresholds decide too, and some equally far from two labels
    found.xywh[:copies] = truth.xywh[rows] + rng.integers(-1, 2, (copies, 4)).clip(0)
    found.label[: copies // 5] = rng.integers(0, case.classes, copies // 5)
    return case, found, truth, crowds


def validated(case, found, truth, crowds, tmp_path):
    """The metrics of a training's validation, and what it keeps; its settings are those of tmi/training/config.py."""
    content = {
        'images': [{'id': k, 'file_name': f'{k}.jpg', 'width': 64, 'height': 64} for k in range(case.images)],
        'categories': [{'id': k, 'name': f'class {k}'} for k in range(case.classes)],
        'annotations': coco_reference.annotations_of(truth, crowds),
    }
    (tmp_path / 'val.json').write_text(json.dumps(content))
    metric = FastCocoMetric(str(tmp_path / 'val.json'), proposal_nums=(100, 1, 10), metric='bbox', classwise=True)
    metric.dataset_meta = {'classes': tuple(f'class {k}' for k in range(case.classes))}
    for k in range(case.images):
        mine = found.take(found.image == k)
        instances = {
            'bboxes': torch.tensor(np.hstack([mine.xywh[:, :2], mine.xywh[:, :2] + mine.xywh[:, 2:]])).float(),
            'scores': torch.tensor(mine.score).float(),
            'labels': torch.tensor(mine.label),
        }
        metric.process({}, [{'pred_instances': instances, 'img_id': k, 'ori_shape': (64, 64)}])
    return metric.evaluate(case.images), metric.validation_result


def demonstrated(case, found, truth, crowds):
    """Return the demo's mAP; some crowds are given as difficult objects, which count alike."""
    by_image = [[boxes.take(boxes.image == k) for boxes in (found, truth, crowds)] for k in range(case.images)]
    labelled = [
        [LabelledBox(int(c), *map(int, xywh), difficult=False) for c, xywh in zip(boxes.label, boxes.xywh)]
        for image in by_image
        for boxes in image
    ]
    images, predictions = [], []
    for k, (mine, labels, regions) in enumerate(zip(labelled[::3], labelled[1::3], labelled[2::3])):
        difficult = [LabelledBox(b.class_index, b.x, b.y, b.w, b.h, True) for b in regions[1::2]]
        images.append(LabelledImage(f'{k}.jpg', 64, 64, (*labels, *difficult), tuple(regions[::2])))
        predictions.append(list(zip(mine, by_image[k][0].score.tolist())))
    return mean_average_precision(images, predictions)


def test_validation_report_and_demo_give_the_numbers_of_pycocotools(boxes, tmp_path):
    case, found, truth, crowds = boxes
    precision = coco_reference.precisions(coco_reference.evaluated(found, truth, crowds, case.classes, case.images))
    expected = np.where((precision > -1).all(1), precision.mean(1), np.nan)  # (T, C)
    metrics, _ = validated(*boxes, tmp_path)
    report = evaluate(found, truth, case.classes, case.images, crowds)
    known = np.isfinite(expected[0])
    assert known.tolist() == [bool((truth.label == k).any()) for k in range(case.classes)]
    exactly = {'rel': 0, 'abs': 1e-9, 'nan_ok': True}
    assert [metrics[f'coco/class {k}_precision'] for k in range(case.classes)] == pytest.approx(
        expected.mean(0), **exactly
    )
    assert [item.ap for item in report.classes] == pytest.approx(expected.mean(0), **exactly)
    assert [item.ap50 for item in report.classes] == pytest.approx(expected[0], **exactly)
    curves = np.where(known[:, None], precision[0].T, np.nan)
    assert np.array([item.curve for item in report.classes]) == pytest.approx(curves, **exactly)
    if not known.any():
        assert np.isnan(report.map) and np.isnan(report.map50)
        assert metrics['coco/bbox_mAP'] == metrics['coco/bbox_mAP_50'] == demonstrated(*boxes) == -1
        return
    mean_ap, mean_ap50 = expected[:, known].mean(), expected[0, known].mean()
    assert (metrics['coco/bbox_mAP'], metrics['coco/bbox_mAP_50']) == pytest.approx((mean_ap, mean_ap50), **exactly)
    assert (report.map, report.map50) == pytest.approx((mean_ap, mean_ap50), **exactly)
    assert demonstrated(*boxes) == pytest.approx(mean_ap, **exactly)


def test_the_report_and_the_tool_count_the_same_confusion(boxes):
    case, found, truth, crowds = boxes
    report = evaluate(found, truth, case.classes, case.images, crowds)
    shown = found.take(found.score >= report.score)
    detections = [
        dict(item, score=score) for item, score in zip(coco_reference.annotations_of(shown), shown.score.tolist())
    ]
    objects = coco_reference.annotations_of(truth, crowds)
    tool = confusion_matrix.count_boxes(objects, detections, case.classes, 0.5)
    assert report.confusion.tolist() == tool.tolist()
    expected = coco_reference.confusion(found, truth, crowds, case.classes, case.images, report.score)
    assert report.confusion.tolist() == expected.tolist()
    assert report.confusion[:-1].sum() == len(truth)
    assert report.confusion[:, :-1].sum() == len(shown) - report.neutral[found.score >= report.score].sum()


def test_the_report_and_the_files_of_a_training_have_the_same_thresholds_and_confusion(boxes, tmp_path):
    case, found, truth, crowds = boxes
    report = evaluate(found, truth, case.classes, case.images, crowds)
    kept = measure(validated(*boxes, tmp_path)[1], [f'class {k}' for k in range(case.classes)])
    exactly = {'rel': 1e-9, 'nan_ok': True}
    assert [one.objects for one in kept.classes] == [one.num_truth for one in report.classes]
    assert [one.ap for one in kept.classes] == pytest.approx([one.ap for one in report.classes], **exactly)
    assert [one.ap50 for one in kept.classes] == pytest.approx([one.ap50 for one in report.classes], **exactly)
    assert kept.curves.T == pytest.approx(np.array([one.curve for one in report.classes]), **exactly)
    assert [one.best.score for one in kept.classes] == pytest.approx(
        [one.best_score for one in report.classes], **exactly
    )
    known = [k for k, one in enumerate(report.classes) if np.isfinite(one.best_f1)]
    assert [kept.classes[k].best.f1 for k in known] == pytest.approx([report.classes[k].best_f1 for k in known])
    if kept.best.tp:
        assert kept.best.score == report.score and kept.confusion.tolist() == report.confusion.tolist()
        assert kept.best.tp == sum(one.num_found for one in report.classes)
    else:
        assert not report.hit.any()


def test_the_evaluation_starts_without_torch():
    script = (
        'import sys; from ymir_local.report.evaluation import evaluate, NO_BOXES; import ymir_local.cli.command_line; '
        "assert 'faster_coco_eval' not in sys.modules; evaluate(NO_BOXES, NO_BOXES, 1, 1); "
        "assert 'faster_coco_eval' in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, '-c', script], check=True)
