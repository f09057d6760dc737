"""Consistency under changes, as published and as the former executor had it, against slow, plain computations."""

import math
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from tmi.families.detections import Detections, Evidence, InspectedBatch
from tmi.inference.images import Letterbox
from tmi.mining import ALGORITHMS, views
from tmi.mining.cald import WITHOUT_BOXES, Boxes, distance
from tmi.mining.cald_legacy import change_image, legacy_score
from tmi.settings import MiningSettings

CLASS_NAMES = ['a', 'b', 'c']
STEPS = [
    {'type': 'YOLOv5KeepRatioResize', 'scale': (96, 96)},
    {'type': 'LetterResize', 'scale': (96, 96), 'allow_scale_up': False, 'pad_val': {'img': 114}},
]


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0.0


def js_of(p, q):
    """Jensen-Shannon divergence of two distributions, in nats."""
    total = 0.0
    for a, b in zip(p, q):
        mean = (a + b) / 2
        total += (a * math.log(a / mean) if a > 0 else 0) / 2 + (b * math.log(b / mean) if b > 0 else 0) / 2
    return total


def published(reference, found):
    """The smallest |IoU + (p + q) / 2 (1 - JS) - 1.3| of the boxes of one change; 1.3 for a box that is lost."""
    smallest = 1.3
    for box, score, classes in zip(*reference):
        overlaps = [iou(box, other) for other in found[0]]
        if overlaps and max(overlaps) > 0:
            best = overlaps.index(max(overlaps))
            p = [value / sum(classes) for value in classes]
            q = [value / sum(found[2][best]) for value in found[2][best]]
            value = max(overlaps) + (score + found[1][best]) / 2 * (1 - js_of(p, q))
            smallest = min(smallest, abs(value - 1.3))
    return smallest


def former(scores, changes):
    """The sum that the former executor makes."""
    total = 0.0
    for boxes, found, found_scores in changes:
        if not len(found):
            total += 1.3
            continue
        current = 2.0
        for box, score in zip(boxes, scores):
            overlaps = [iou(box, other) for other in found]
            best = overlaps.index(max(overlaps))
            if max(overlaps) == 0:
                current = min(current, 1.3)
            p, q = 1 - found_scores[best], 1 - score
            agreement = 1 - max(js_of((p, 1 - p), (q, 1 - q)), 0)
            current = min(current, abs(max(overlaps) + 0.5 * (score + found_scores[best]) * agreement - 1.3))
            total += current
    return total / 4


def random_boxes(rng, n, size=96):
    corner = rng.uniform(0, size * 0.8, (n, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(1, size * 0.4, (n, 2))], axis=1)
    scores = np.sort(rng.uniform(0.06, 1, n))[::-1].copy()
    return Boxes(boxes, scores, np.maximum(rng.random((n, 3)) - 0.2, 0) + np.eye(3)[rng.integers(0, 3, n)] * 0.1)


def test_distance():
    rng = np.random.default_rng(0)
    values = set()
    for _ in range(200):
        reference, found = random_boxes(rng, rng.integers(1, 4)), random_boxes(rng, rng.integers(0, 5))
        value = distance(reference, found)
        assert value == pytest.approx(published(reference, found), rel=1e-9)
        values.add(round(value, 6))
    assert len(values) > 50 and 1.3 in values  # also lost boxes


def test_what_the_paper_wants_comes_first():
    """A box in doubt is worth more than a sure one that stays, which is worth more than one that vanishes."""
    box, classes = np.array([[10.0, 10, 50, 50]]), np.array([[1.0, 0, 0]])
    sure = Boxes(box, np.array([0.95]), classes)
    loose = Boxes(box + [0, 0, 40, 0], np.array([0.8]), classes)  # IoU 0.5
    unsure = Boxes(box, np.array([0.3]), classes)
    gone = Boxes(box + 60, np.array([0.9]), classes)
    worth = [
        1.3 - distance(*pair)
        for pair in ((Boxes(box, np.array([0.8]), classes), loose), (unsure, unsure), (sure, sure), (sure, gone))
    ]
    assert worth == pytest.approx([1.3, 1.3, 0.65, 0.0])
    assert worth[2] > 1.3 - WITHOUT_BOXES > worth[3]


@pytest.mark.parametrize('size', [(96, 96), (64, 128)])
def test_views_are_what_opencv_makes(size):
    """Each view and its boxes, against OpenCV and coordinates by hand."""
    height, width = size
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8), (7, 7), 2)
    box = np.array([[20.0, 12, 40, 32]])
    meta = {'pad_param': np.array([8, 8, 0, 0], np.float32)}
    flip, cut, small, turned = views.make_views(
        torch.from_numpy(image)[None], [box], [meta], [np.random.default_rng(0)]
    )

    assert np.array_equal(flip.pixels[0], image[:, ::-1]) and flip.boxes[0].tolist() == [
        [width - 40, 12, width - 20, 32]
    ]

    changed = (cut.pixels[0].numpy() != image).any(2)
    assert (
        changed.any() and not cut.pixels[0].numpy()[changed].any() and not changed[:8].any() and not changed[-8:].any()
    )
    assert 0.1 * 400 * 0.9 < changed[12:32, 20:40].sum() <= 2 * 0.4 * 400 and cut.boxes[0] is box

    rows, columns = round(height * 0.8), round(width * 0.8)
    expected = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_LINEAR)
    assert np.abs(small.pixels[0, :rows, :columns].numpy().astype(int) - expected).max() <= 1
    assert (small.pixels[0, rows:] == 114).all() and (small.pixels[0, :, columns:] == 114).all()
    scales = [columns / width, rows / height] * 2
    assert small.boxes[0][0] == pytest.approx([side * scale for side, scale in zip(box[0], scales)])

    # OpenCV turns about the centre of a pixel
    turning = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), 5, 1)
    expected = cv2.warpAffine(image, turning, (width, height), borderValue=(114,) * 3).astype(int)
    inner = slice(2, -2)  # borders are interpolated otherwise
    assert np.abs(turned.pixels[0].numpy().astype(int) - expected)[inner, inner].mean() < 1
    corners = [turn_point(x, y, width, height, 1) for x in (20, 40) for y in (12, 32)]
    xs, ys = zip(*corners)
    assert turned.boxes[0][0] == pytest.approx([min(xs), min(ys), max(xs), max(ys)])


def turn_point(x, y, width, height, scale):
    """Turn a point by 5 degrees counter-clockwise about the centre."""
    c, s = scale * math.cos(math.radians(5)), scale * math.sin(math.radians(5))
    x, y = x - width / 2, y - height / 2
    return c * x + s * y + width / 2, -s * x + c * y + height / 2


def test_the_shrunk_view_is_as_small_as_the_network_takes():
    pixels = torch.zeros(2, 96, 160, 3, dtype=torch.uint8)
    assert views.shrink(pixels)[0].shape == pixels.shape
    assert views.shrink(pixels, 32)[0].shape == (2, 96, 128, 3)  # 77 x 128


def test_cuts_hide_a_share_of_a_box():
    rng = np.random.default_rng(0)
    drawn = 0
    for number in range(50):
        boxes = random_boxes(rng, 3).boxes
        for cut in views.draw_cuts(boxes, (0, 8, 96, 88), np.random.default_rng(number)):
            assert 0 <= cut[0] < cut[2] <= 96 and 8 <= cut[1] < cut[3] <= 88
            shares = []
            for x1, y1, x2, y2 in boxes:
                across, down = min(x2, cut[2]) - max(x1, cut[0]), min(y2, cut[3]) - max(y1, cut[1])
                shares.append(max(across, 0) * max(down, 0) / ((x2 - x1) * (y2 - y1)))
            assert 0.1 <= max(shares) <= 0.4
            drawn += 1
    assert drawn > 50
    same, other = np.zeros((8, 8, 3), np.uint8), np.ones((8, 8, 3), np.uint8)
    keys = [(same, 0), (same.copy(), 0), (same, 1), (other, 0)]
    again = [views.draw_cuts(boxes, (0, 0, 96, 96), views.random_of(*key)) for key in keys]
    assert again[0] == again[1] and again[0] not in again[2:]
    assert views.draw_cuts(np.zeros((0, 4)), (0, 0, 96, 96), rng) == []


class Scripted:
    """A predictor whose boxes follow from the pixels alone, by a random generator seeded with them."""

    device = torch.device('cpu')
    input_multiple = None

    most = 6

    def evidence(self, pixels, least=0):
        rng = np.random.default_rng(int(pixels.long().sum()))
        found = random_boxes(rng, int(rng.integers(least, self.most)) if least < self.most else 0)
        boxes, scores, classes = (torch.from_numpy(array).float() for array in found)
        found = Detections(boxes, scores, classes.argmax(1))
        return Evidence(found, classes, torch.ones(len(scores)), torch.zeros(len(scores)), torch.zeros(3))

    def inspect_once(self, pixels, metas, with_class_maps):
        assert all(meta == {'ori_shape': tuple(pixels.shape[1:3]), 'scale_factor': (1.0, 1.0)} for meta in metas)
        return [self.evidence(one) for one in pixels], None

    def predict_once(self, pixels, metas):
        return [self.evidence(one).detections for one in pixels]


def make(name):
    algorithm = ALGORITHMS[name](MiningSettings(class_names=CLASS_NAMES))
    algorithm.letterbox = Letterbox(STEPS)
    return algorithm


def batch_of(tmp_path, number):
    """Paths, pixels and metas of images of different shapes."""
    letterbox, rng = Letterbox(STEPS), np.random.default_rng(0)
    paths, pixels, metas = [], [], []
    for index in range(number):
        path = tmp_path / f'{index}.png'
        cv2.imwrite(str(path), rng.integers(0, 256, (int(rng.integers(50, 200)), int(rng.integers(50, 200)), 3)))
        image, one = letterbox(index, str(path))
        paths.append(str(path))
        pixels.append(torch.from_numpy(one))
        metas.append(dict(image.meta, img_path=str(path)))
    return paths, torch.stack(pixels), metas


def test_cald_from_end_to_end(tmp_path):
    """The mean of the distances on the four views, of the boxes of the image moved to them."""
    predictor, algorithm = Scripted(), make('cald')
    _, pixels, metas = batch_of(tmp_path, 12)
    in_input = [predictor.evidence(one, least=1 if place else 9) for place, one in enumerate(pixels)]  # one is empty
    evidence = [on_image(one, meta) for one, meta in zip(in_input, metas)]
    values = algorithm.measure(predictor, InspectedBatch(pixels, metas, evidence))
    for one, reference, meta, value in zip(pixels, in_input, metas, values):
        boxes = reference.detections.boxes.double().numpy()
        moved = list(views.make_views(one[None], [boxes], [meta], [views.random_of(one.numpy(), 0)]))
        distances = []
        for view in moved:
            found = predictor.evidence(view.pixels[0])
            distances.append(published(parts(view.boxes[0], reference), parts(found.detections.boxes, found)))
        expected = sum(distances) / 4 if len(boxes) else 0.7
        assert value == pytest.approx(expected, abs=1e-4)
        assert algorithm.uncertainty(SimpleNamespace(value=value)) == pytest.approx(1.3 - value)
    assert values[0] == 0.7 and 0.7 not in values[1:]


def parts(boxes, evidence):
    return [np.asarray(boxes).tolist(), evidence.detections.scores.tolist(), evidence.class_scores.tolist()]


def on_image(evidence, meta):
    """Evidence with boxes in pixels of the image instead of the input."""
    top, _, left, _ = meta['pad_param']
    boxes = evidence.detections.boxes.double() - torch.tensor([left, top, left, top])
    scale = torch.tensor(meta['scale_factor']).repeat(2)
    return Evidence(
        Detections(boxes / scale, evidence.detections.scores, evidence.detections.labels),
        evidence.class_scores,
        evidence.support,
        evidence.spread,
        evidence.embedding,
    )


def test_of_many_boxes_fifty_count():
    rng = np.random.default_rng(1)
    algorithm, meta = make('cald'), {'scale_factor': (1.0, 1.0)}
    many = random_boxes(rng, 200)
    boxes, scores, classes = map(torch.from_numpy, many)
    evidence = Evidence(Detections(boxes, scores, classes.argmax(1)), classes, scores, scores, scores)
    kept = algorithm._reference(evidence, meta)
    assert len(kept.boxes) == 50 and kept.scores[0] == many.scores[0] and kept.scores[-1] == many.scores[-1]
    steps = np.diff([many.scores.tolist().index(score) for score in kept.scores])
    assert steps.min() >= 4 and steps.max() <= 5


@pytest.mark.parametrize('name', ['cald', 'cald_legacy'])
def test_an_image_does_not_depend_on_its_company(name, tmp_path):
    predictor, algorithm = Scripted(), make(name)
    _, pixels, metas = batch_of(tmp_path, 6)
    evidence = [predictor.evidence(one) for one in pixels]
    together = algorithm.measure(predictor, InspectedBatch(pixels, metas, evidence))
    for places in ([5, 4, 3, 2, 1, 0], [3], [2, 2, 2], [0, 4]):
        chosen = [metas[place] for place in places], [evidence[place] for place in places]
        assert algorithm.measure(predictor, InspectedBatch(pixels[places], *chosen)) == [
            together[place] for place in places
        ]


def test_legacy_score():
    rng = np.random.default_rng(0)
    largest = 0
    for _ in range(100):
        n = int(rng.integers(1, 6))
        scores = random_boxes(rng, n).scores
        changes = [(random_boxes(rng, n).boxes, *random_boxes(rng, int(rng.integers(0, 5)))[:2]) for _ in range(4)]
        score = legacy_score(scores, changes)
        assert score == pytest.approx(former(scores, changes), rel=1e-9)
        largest = max(largest, score)
    assert largest > 2  # grows with the number of boxes


def test_changes_of_legacy():
    """Flip, cut, turn with the portrait's scale, shrink on black; boxes as they move."""
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(1, 256, (160, 120, 3), dtype=np.uint8), (7, 7), 2)
    boxes = np.array([[20, 30, 60, 90]], np.int32)
    flip, cut, turned, small = change_image(image, boxes, np.random.default_rng(0))
    assert np.array_equal(flip.image, image[:, ::-1]) and flip.boxes.tolist() == [[60, 30, 100, 90]]
    assert (cut.image == 0).any() and (cut.image[cut.image != 0] == image[cut.image != 0]).all()
    corners = [turn_point(x, y, 120, 160, 120 / 160) for x in (20, 60) for y in (30, 90)]
    xs, ys = zip(*corners)
    assert turned.boxes[0] == pytest.approx([min(xs), min(ys), max(xs), max(ys)])
    assert turned.image.shape == image.shape and not turned.image[0].any()  # shrunk, so its edges are black
    assert np.array_equal(small.image[:128, :96], cv2.resize(image, (96, 128))) and not small.image[128:].any()
    assert small.boxes.tolist() == [[16, 24, 48, 72]]


def test_legacy_from_end_to_end(tmp_path):
    predictor, algorithm, letterbox = Scripted(), make('cald_legacy'), Letterbox(STEPS)
    paths, pixels, metas = batch_of(tmp_path, 12)
    evidence = [predictor.evidence(one, least=1 if place else 9) for place, one in enumerate(pixels)]  # one is empty
    values = algorithm.measure(predictor, InspectedBatch(pixels, metas, evidence))
    counted = 0
    for path, one, value in zip(paths, evidence, values):
        boxes, scores = best(one.detections)
        if not boxes:
            assert value == -1.3
            continue
        whole = np.array([[int(side) for side in box] for box in boxes], np.int32)
        changes = []
        image = cv2.imread(path)
        for changed in change_image(image, whole, views.random_of(image, 0)):
            seen = torch.from_numpy(letterbox.prepare(0, path, changed.image)[1])
            changes.append((changed.boxes.tolist(), *best(predictor.evidence(seen).detections)))
        assert value == pytest.approx(former(scores, changes), rel=1e-6)
        counted += 1
    assert values[0] == -1.3 and counted > 6
    assert algorithm.score_thr == 0.25 and algorithm.uncertainty(SimpleNamespace(value=-1.3)) == -1.3


def best(found):
    kept = [(box, score) for box, score in zip(found.boxes.tolist(), found.scores.tolist()) if score > 0.25]
    return [box for box, _ in kept], [score for _, score in kept]
