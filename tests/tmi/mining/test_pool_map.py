"""The map of a pool: the images that it shows, and its axes against a plain principal component analysis."""

import numpy as np
import pytest

from tests.tmi.mining.order_reference import Rows
from tmi.mining.pool_map import choose_points, project


@pytest.mark.parametrize(
    'num_images, count, always',
    [
        (0, 10, []),
        (1, 10, [0]),
        (10, 10, [3]),
        (1000, 100, [999, 5, 5]),
        (1000, 100, []),
        (7, 0, [2]),
        (50, 20, range(30)),
    ],
)
def test_points_are_even_and_hold_those_asked_for(num_images, count, always):
    points = choose_points(num_images, count, list(always)).tolist()
    assert points == sorted(set(points)) and set(always) <= set(points)
    assert len(points) <= max(count, len(set(always))) and all(0 <= point < num_images for point in points)
    if num_images > count > len(list(always)):
        assert max(np.diff([0, *points, num_images])) <= -(-num_images // (count - len(list(always))))


def test_axes_are_those_of_the_greatest_variance():
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(200, 8)) * [1, 5, 1, 1, 3, 1, 1, 1] + 4
    chosen = np.arange(0, 200, 2)
    points = project(Rows(rows), chosen)
    centred = rows[chosen] - rows[chosen].mean(axis=0)
    _, _, axes = np.linalg.svd(centred)
    for axis in range(2):
        expected = centred @ axes[axis]
        assert abs(np.corrcoef(points[:, axis], expected)[0, 1]) == pytest.approx(1, abs=1e-6)
        assert points[:, axis].max() == pytest.approx(1) and points[:, axis].min() >= -1 - 1e-9


@pytest.mark.parametrize('rows', [np.zeros((0, 8)), np.ones((1, 8)), np.ones((5, 8)), np.eye(8)[:1].repeat(2, 0)])
def test_images_that_are_all_the_same(rows):
    points = project(Rows(rows), np.arange(len(rows)))
    assert points.shape == (len(rows), 2) and np.isfinite(points).all()
