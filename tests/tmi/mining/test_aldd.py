"""Disagreement of class maps, against a slow, plain computation and the published form."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks.mining.aldd_forms import full_form, spearman
from tmi.errors import SettingError
from tmi.families.detections import InspectedBatch
from tmi.mining import ALGORITHMS
from tmi.mining.aldd import disagreement
from tmi.settings import MiningSettings


def make(weights=''):
    return ALGORITHMS['aldd'](MiningSettings(class_names=['a', 'b', 'c'], class_distribution_scores=weights))


def random_maps(rng, shapes, anchors=2):
    """Per level (A, C, h, w) with a few peaks."""
    return [torch.from_numpy(rng.random((anchors, 3, *shape)) ** 6).float() for shape in shapes]


def blobs(rng, size=(64, 96)):
    """Maps of three levels with objects of random size and certainty, as a trained head gives them."""
    maps = [np.full((1, 3, size[0] // stride, size[1] // stride), 0.002) for stride in (8, 16, 32)]
    for _ in range(rng.integers(0, 5)):
        level, label, peak = int(rng.integers(0, 3)), int(rng.integers(0, 3)), rng.random()
        stride = 8 << level
        y, x = (np.arange(side) + 0.5 for side in maps[level].shape[2:])
        centre = rng.uniform(0, size[0]), rng.uniform(0, size[1])
        far = ((y[:, None] * stride - centre[0]) ** 2 + (x[None] * stride - centre[1]) ** 2) / (2 * (1.5 * stride) ** 2)
        maps[level][0, label] = np.maximum(maps[level][0, label], peak * np.exp(-far))
    return [torch.from_numpy(level).float() for level in maps]


def resize(values, height, width):
    """Bilinear, pixels are areas."""
    rows, columns = values.shape
    result = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            y = min(max((i + 0.5) * rows / height - 0.5, 0), rows - 1)
            x = min(max((j + 0.5) * columns / width - 0.5, 0), columns - 1)
            for a, weight_a in ((int(y), 1 - y + int(y)), (min(int(y) + 1, rows - 1), y - int(y))):
                for b, weight_b in ((int(x), 1 - x + int(x)), (min(int(x) + 1, columns - 1), x - int(x))):
                    result[i, j] += weight_a * weight_b * values[a, b]
    return result


def entropy_of(p):
    p = min(max(p, 1e-7), 1 - 1e-7)
    return -p * math.log(p) - (1 - p) * math.log(1 - p)


def plain(levels, weights, height, width):
    """The definition of the cheap form, place by place."""
    score = 0.0
    for label, weight in enumerate(weights):
        total = np.zeros((height // 4, width // 4))
        for level in levels:
            anchors, _, rows, columns = level.shape
            best = np.zeros((rows, columns))
            for i in range(rows):
                for j in range(columns):
                    best[i, j] = max(float(level[a, label, i, j]) for a in range(anchors))
            heat = resize(best, *total.shape)
            for i in range(total.shape[0]):
                for j in range(total.shape[1]):
                    near = heat[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2].flatten()
                    total[i, j] += entropy_of(near.mean()) - sum(map(entropy_of, near)) / len(near)
        starts = [(i, j) for i in range(0, total.shape[0], 8) for j in range(0, total.shape[1], 8)]
        score += weight * sum(total[i : i + 8, j : j + 8].max() for i, j in starts) / len(starts)
    return score


@pytest.mark.parametrize('weights', [(1.0, 1.0, 1.0), (2.0, 0.0, 0.5)])
def test_disagreement(weights):
    rng = np.random.default_rng(0)
    for _ in range(3):
        levels = random_maps(rng, [(8, 12), (4, 6), (2, 3)])
        found = disagreement(levels, torch.tensor(weights), (64, 96))
        assert float(found) == pytest.approx(plain(levels, weights, 64, 96), rel=1e-3)


def test_of_many_classes_the_highest_count():
    rng = np.random.default_rng(2)
    level = torch.from_numpy(rng.random((1, 20, 8, 12)) * np.linspace(0.1, 1, 20)[:, None, None]).float()
    level.view(20, -1)[:, 0] = torch.linspace(0.1, 1, 20)  # the highest of each class
    weights = torch.rand(20)
    found = disagreement([level], weights, (64, 96))
    assert float(found) == pytest.approx(float(disagreement([level[:, 4:]], weights[4:], (64, 96))), rel=1e-5)


def test_the_order_is_that_of_the_published_form():
    rng = np.random.default_rng(0)
    maps = [blobs(rng) for _ in range(60)]
    weights = torch.ones(3)
    ours = [float(disagreement(levels, weights, (64, 96))) for levels in maps]
    published = [float(full_form(levels, weights, (64, 96))) for levels in maps]
    assert len(set(published)) > 40 and spearman(ours, published) > 0.98
    assert spearman([-value for value in ours], published) < -0.98


def test_measure_takes_each_image_by_itself():
    rng = np.random.default_rng(1)
    images = [random_maps(rng, [(5, 7), (3, 4)]) for _ in range(5)]
    pixels, metas = torch.zeros(5, 40, 56, 3, dtype=torch.uint8), [{}] * 5

    def measure(places):
        maps = [torch.stack([images[place][level] for place in places]) for level in range(2)]
        return make('1,2').measure(None, InspectedBatch(pixels, [metas[place] for place in places], [], maps))

    together = measure(range(5))
    assert len(set(together)) == 5 and min(together) > 0
    for places in ([4, 3, 2, 1, 0], [2], [1, 1, 1]):
        assert measure(places) == [together[place] for place in places]
    expected = float(disagreement(images[0], torch.tensor([1.0, 2.0, 1.0]), (40, 56)))
    assert together[0] == expected == make().uncertainty(SimpleNamespace(value=expected))


def test_maps_that_are_not_finite_count_nothing():
    maps = [torch.full((1, 1, 3, 8, 8), math.nan)]
    assert make().measure(None, InspectedBatch(torch.zeros(1, 64, 64, 3), [{}], [], maps)) == [0.0]


def test_a_model_without_class_maps_is_an_error_that_names_what_works():
    with pytest.raises(SettingError, match='mining_algorithm is aldd.*hybrid, entropy, dcus'):
        make().measure(None, InspectedBatch(torch.zeros(1, 64, 64, 3), [{}], []))
