"""What pycocotools makes of boxes: the numbers that validation, report and demo must show."""

import contextlib
import io
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ymir_local.report.evaluation import NO_BOXES, BoxTable


def annotations_of(truth: BoxTable, crowds: BoxTable = NO_BOXES) -> list[dict]:
    """COCO's annotations of labels, ids from 1."""
    rows = [(boxes, k, crowd) for boxes, crowd in ((truth, 0), (crowds, 1)) for k in range(len(boxes))]
    return [
        {
            'id': number,
            'image_id': int(boxes.image[k]),
            'category_id': int(boxes.label[k]),
            'bbox': boxes.xywh[k].tolist(),
            'area': float(boxes.xywh[k, 2:].prod()),
            'iscrowd': crowd,
        }
        for number, (boxes, k, crowd) in enumerate(rows, 1)
    ]


def evaluated(
    found: BoxTable,
    truth: BoxTable,
    crowds: BoxTable,
    num_classes: int,
    num_images: int,
    by_class: bool = True,
    max_dets: int = 100,
) -> Any:
    """An evaluation that has run."""
    coco = COCO()
    coco.dataset = {
        'info': {},
        'images': [{'id': k} for k in range(num_images)],
        'categories': [{'id': k, 'name': str(k)} for k in range(num_classes)],
        'annotations': annotations_of(truth, crowds),
    }
    results = [
        {'image_id': int(i), 'category_id': int(c), 'bbox': box.tolist(), 'score': float(s)}
        for i, c, box, s in zip(found.image, found.label, found.xywh, found.score)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results) if results else COCO(), 'bbox')
        evaluation.params.useCats = int(by_class)
        evaluation.params.maxDets = [1, 10, max_dets]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def precisions(evaluation: Any) -> np.ndarray:
    """(T, 101, C) precision over recall, -1 for classes without labels."""
    return np.asarray(evaluation.eval['precision'])[:, :, :, 0, -1]


def confusion(
    found: BoxTable, truth: BoxTable, crowds: BoxTable, num_classes: int, num_images: int, score: float
) -> np.ndarray:
    """(C + 1, C + 1) labels by predictions from a score upwards: matched within the class by pycocotools, what is left
    matched by it whatever the class.
    """
    kept = found.take(found.score >= score)
    matrix = np.zeros((num_classes + 1, num_classes + 1), np.int64)
    loose, free = np.zeros(len(kept), bool), np.ones(len(truth), bool)
    limit = max(len(kept), 1)
    for entry in evaluated(kept, truth, crowds, num_classes, num_images, max_dets=limit).evalImgs:
        if entry is None or entry['aRng'] != [0, 1e10]:
            continue
        for number, label, ignored in zip(entry['dtIds'], entry['dtMatches'][0], entry['dtIgnore'][0]):
            if label and not ignored:
                free[int(label) - 1] = False
                matrix[entry['category_id'], entry['category_id']] += 1
            elif not ignored:
                loose[number - 1] = True
    others, left = kept.take(loose), truth.take(free)
    if len(others) and len(left):
        entries = evaluated(others, left, NO_BOXES, num_classes, num_images, False, limit).evalImgs
        for entry in entries:
            if entry is None or entry['aRng'] != [0, 1e10]:
                continue
            for number, label in zip(entry['dtIds'], entry['dtMatches'][0]):
                if label:
                    matrix[left.label[int(label) - 1], others.label[number - 1]] += 1
    for k in range(num_classes):
        matrix[k, -1] = (truth.label == k).sum() - matrix[k].sum()
        matrix[-1, k] = (others.label == k).sum() + matrix[k, k] - matrix[:-1, k].sum()
    return matrix
