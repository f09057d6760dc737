"""Validations whose numbers are computed plainly: loops over images, classes and predictions."""

import json

import numpy as np

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
from mmyolo.evaluation import FastCocoMetric
from mmyolo.evaluation.validation_result import ValidationResult


def drawn(num_classes, num_images=30, objects=5, seed=0, unlabelled=0, crowds=0.05):
    """Draw objects and predictions.

    Args:
        num_classes: How many there are.
        num_images: How many there are.
        objects: Of an image on average.
        seed: Of the draw.
        unlabelled: The last so many classes have no object.
        crowds: Share of the objects that are crowds.

    Returns:
        Objects (image, label, xyxy, is a crowd) and predictions (image, label, xyxy, score).
    """
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for _ in range(num_images * objects):
        image, label = int(rng.integers(num_images)), int(rng.integers(max(num_classes - unlabelled, 1)))
        x, y, w, h = rng.uniform(0, 400, 2).tolist() + rng.uniform(20, 150, 2).tolist()
        box = np.round([x, y, x + w, y + h])
        truth.append((image, label, box.tolist(), bool(rng.random() < crowds)))
        for _ in range(rng.integers(0, 3)):
            guess = int(rng.integers(num_classes)) if rng.random() < 0.2 else label
            found.append(
                (image, guess, (box + rng.normal(0, 6, 4).clip(-9, 9)).tolist(), float(np.float32(rng.beta(4, 2))))
            )
    for _ in range(num_images * 6):
        x, y, w, h = rng.uniform(0, 400, 2).tolist() + rng.uniform(20, 150, 2).tolist()
        score = float(np.float32(np.round(rng.beta(1, 4), 2)))  # some are equal
        found.append((int(rng.integers(num_images)), int(rng.integers(num_classes)), [x, y, x + w, y + h], score))
    return truth, sorted(found, key=lambda item: item[0])  # the order in which COCO's code meets equal scores


def validate(folder, truth, found, num_classes, num_images) -> ValidationResult:
    """Let the metric of a training evaluate, and return what it keeps."""
    annotations = [
        {
            'id': number,
            'image_id': image + 7,
            'category_id': label,
            'bbox': [box[0], box[1], box[2] - box[0], box[3] - box[1]],
            'area': (box[2] - box[0]) * (box[3] - box[1]),
            'iscrowd': int(crowd),
        }
        for number, (image, label, box, crowd) in enumerate(truth, 1)
    ]
    names = [f'class {label}' for label in range(num_classes)]
    images = [{'id': k + 7, 'file_name': f'/{k}.jpg', 'width': 640, 'height': 640} for k in range(num_images)]
    categories = [{'id': label, 'name': name} for label, name in enumerate(names)]
    file = folder / 'val.json'
    file.write_text(json.dumps({'images': images, 'categories': categories, 'annotations': annotations}))
    metric = FastCocoMetric(str(file))
    metric.dataset_meta = {'classes': tuple(names)}
    results = []
    for image in range(num_images):
        mine = [item for item in found if item[0] == image]
        prediction = {
            'img_id': image + 7,
            'bboxes': np.array([item[2] for item in mine], np.float32).reshape(-1, 4),
            'scores': np.array([item[3] for item in mine], np.float32),
            'labels': np.array([item[1] for item in mine], np.int64),
        }
        results.append(({'img_id': image + 7, 'width': 640, 'height': 640}, prediction))
    metric.compute_metrics(results)
    return metric.validation_result


def iou(box, other, is_crowd=False):
    """The IoU of two boxes; with a crowd, the share of the first box that lies in it."""
    box = [float(np.float32(value)) for value in box]
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    both = max(width, 0.0) * max(height, 0.0)
    area = (box[2] - box[0]) * (box[3] - box[1])
    return both / (area if is_crowd else area + (other[2] - other[0]) * (other[3] - other[1]) - both)


def matched(truth, found):
    """Match by falling score: 'right', 'wrong' or 'crowd' for each prediction, and the object that it takes."""
    taken, outcome, objects = set(), {}, {}
    for place in sorted(range(len(found)), key=lambda place: -found[place][3]):
        image, label, box, _ = found[place]
        best, which = 0.5, None
        for number, (owner, kind, other, crowd) in enumerate(truth):
            if owner == image and kind == label and not crowd and number not in taken and iou(box, other) >= best:
                best, which = iou(box, other), number
        in_crowd = any(
            crowd and (owner, kind) == (image, label) and iou(box, other, True) >= 0.5
            for owner, kind, other, crowd in truth
        )
        outcome[place] = 'right' if which is not None else 'crowd' if in_crowd else 'wrong'
        if which is not None:
            taken.add(which)
            objects[place] = which
    return outcome, objects


def confusion(truth, found, num_classes, score):
    """Count what is taken for what, from a score upwards."""
    shown = [item for item in found if item[3] >= score]
    outcome, objects = matched(truth, shown)
    matrix = np.zeros((num_classes + 1, num_classes + 1), int)
    free = {number for number, item in enumerate(truth) if not item[3]} - set(objects.values())
    for place, number in objects.items():
        matrix[truth[number][1], shown[place][1]] += 1
    loose = [place for place in outcome if outcome[place] == 'wrong']
    for place in sorted(loose, key=lambda place: -shown[place][3]):
        image, label, box, _ = shown[place]
        best, which = 0.5, None
        for number in sorted(free):
            if truth[number][0] == image and iou(box, truth[number][2]) >= best:
                best, which = iou(box, truth[number][2]), number
        if which is None:
            matrix[-1, label] += 1
        else:
            free.discard(which)
            matrix[truth[which][1], label] += 1
    for number in free:
        matrix[truth[number][1], -1] += 1
    return matrix
