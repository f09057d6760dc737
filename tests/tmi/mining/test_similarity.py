"""Cosines of images: what is alike stays alike, whatever all images share, and to the last digit."""

import numpy as np
import pytest

from tests.tmi.mining.order_reference import Rows
from tmi.mining.similarity import LENGTH, Directions, cosines


def scenes(num_scenes=100, num_frames=5, dimensions=64, decay=0.9, seed=0):
    """Unit rows that share a large part and vary along a few axes, and the scene of each."""
    generator = np.random.default_rng(seed)
    scene = np.repeat(np.arange(num_scenes), num_frames)
    rows = generator.normal(size=(num_scenes, dimensions))[scene]
    rows = (rows + 0.1 * generator.normal(size=rows.shape)) * decay ** np.arange(dimensions)
    rows = rows + 10 * generator.normal(size=dimensions) / dimensions**0.5
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), scene


def apart(similar, scene):
    """Median cosine of frames of one scene, and of images and their nearest of another scene."""
    same = scene[:, None] == scene
    others = np.where(same, -1, similar).max(axis=1)
    return np.median(similar[same & ~np.eye(len(scene), dtype=bool)]), np.median(others)


def test_scenes_are_told_apart_whatever_they_share():
    rows, scene = scenes(decay=0.8)
    directions = Directions(Rows(rows), np.arange(len(rows))).of(np.arange(len(rows)))
    same, other = apart(cosines(directions, directions), scene)
    assert same > 0.9 and other < 0.7
    plain = rows - rows.mean(axis=0)
    plain /= np.linalg.norm(plain, axis=1, keepdims=True)
    assert apart(rows @ rows.T, scene)[1] > 0.95 and apart(plain @ plain.T, scene)[1] > 0.75


@pytest.mark.parametrize('num_scenes', [2, 5, 20])
def test_frames_stay_alike_among_few_images(num_scenes):
    """Whitening of fewer images than axes would make all of them equally far."""
    rows, scene = scenes(num_scenes, dimensions=128, decay=0.98)
    directions = Directions(Rows(rows), np.arange(len(rows))).of(np.arange(len(rows)))
    same, other = apart(cosines(directions, directions), scene)
    assert same > 0.8 and other < 0.5


def test_axes_that_no_image_uses_change_nothing():
    rows, _ = scenes(dimensions=32)
    wide = np.hstack([rows, np.zeros((len(rows), 96))])
    narrow, wide = (Directions(Rows(one), np.arange(500)).of(np.arange(500)) for one in (rows, wide))
    np.testing.assert_allclose(cosines(narrow, narrow), cosines(wide, wide), atol=2e-3)


def test_a_few_images_stand_for_all_and_order_does_not_matter():
    rows, _ = scenes()
    some, others = np.arange(0, 500, 2), np.random.default_rng(1).permutation(500)
    all_images = Directions(Rows(rows), np.arange(500))
    np.testing.assert_allclose(
        cosines(Directions(Rows(rows), some).of(others), all_images.of(others)).diagonal(), 1, atol=0.05
    )
    np.testing.assert_array_equal(all_images.of(others), all_images.of(np.arange(500))[others])


def test_products_of_any_shape_are_the_same():
    """As different threads, processors and blocks would make them."""
    generator = np.random.default_rng(0)
    vectors = Directions(Rows(generator.normal(size=(300, 128))), np.arange(300)).of(np.arange(300))
    whole = vectors.astype(np.int64) @ vectors.astype(np.int64).T
    assert whole.max() < 2**24 and abs(whole.diagonal() / LENGTH**2 - 1).max() < 1e-3
    mixed = vectors[:, generator.permutation(vectors.shape[1])]
    for size in (1, 7, 300):
        for one in (vectors, mixed):
            blocks = [cosines(one[start : start + size], one) for start in range(0, 300, size)]
            np.testing.assert_array_equal(np.concatenate(blocks), (whole / LENGTH**2).astype(np.float32))


def test_rows_that_say_nothing():
    rows = np.zeros((4, 16))
    directions = Directions(Rows(rows), np.arange(4))
    assert not directions.of(np.arange(4)).any() and directions.of([]).shape == (0, 17)
    rows, _ = scenes(20, 5, 16)
    rows[3], rows[7, 2] = 0, np.nan
    vectors = Directions(Rows(rows), np.arange(100)).of(np.arange(100))
    assert np.isfinite(vectors).all() and np.flatnonzero(~vectors.any(axis=1)).tolist() == [3]
