"""The order of images against a slow one from the definition, and what it does for a pool of frames."""

import numpy as np
import pytest

from tests.tmi.mining.order_reference import Rows, plain_order, settings
from tmi.mining import explorer
from tmi.mining import order as module
from tmi.mining.order import order
from tmi.mining.picks import LABELLED, NONE, distance_of

NO_LABELS = np.zeros((0, 16))


def random_pool(seed, num_images=150, num_classes=3, dimensions=16, labelled=5):
    """Images in clusters, some without boxes, unreadable, of equal uncertainty, or twice the same."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(num_images // 8 + 1, dimensions)) + 1
    rows = centres[generator.integers(len(centres), size=num_images)]
    rows = rows + generator.normal(size=rows.shape) * generator.choice([0.0, 0.1, 0.5], size=(num_images, 1))
    rows[generator.random(num_images) < 0.02] = 0
    terms = generator.gamma(1, 1, (num_images, num_classes)) * (generator.random((num_images, num_classes)) < 0.4)
    terms = np.round(terms, 1)  # so that some are equal
    return {
        'uncertainty': terms.sum(axis=1),
        'class_terms': terms.astype(np.float16),
        'class_mass': np.minimum(terms * generator.random(terms.shape) * 4, 3).astype(np.float16),
        'embeddings': Rows(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)),
        'readable': generator.random(num_images) < 0.95,
        'labelled': centres[:labelled] / np.linalg.norm(centres[:labelled], axis=1, keepdims=True),
        'labelled_boxes': generator.integers(0, 200, num_classes) * bool(labelled),
    }


@pytest.mark.parametrize(
    'seed, pool, keys',
    [
        (0, {}, {}),
        (1, {'labelled': 0}, {}),
        (2, {}, {'mining_order_size': 20}),
        (3, {}, {'mining_order_size': 20, 'mining_pool_ratio': 1.5, 'mining_explore': 0.34}),
        (4, {'num_classes': 1}, {'mining_diversity': 2.5, 'mining_explore': 0.0}),
        (5, {}, {'mining_diversity': 0.0}),
        (6, {}, {'mining_class_balance': 0.0, 'mining_seed': 3}),
        (7, {'labelled': 0}, {'mining_topk_hint': 15, 'mining_order_size': 60}),
        (8, {}, {'mining_topk_hint': 40, 'mining_order_size': 10, 'mining_class_balance': 1.0}),
        (9, {}, {'mining_topk_hint': 1000, 'mining_explore': 1.0}),
        (10, {'num_images': 30}, {}),
        (11, {'labelled': 0}, {'mining_order_size': 3, 'mining_pool_ratio': 1}),
        (12, {}, {'mining_order_size': 30, 'mining_pool_ratio': 2}),
    ],
)
def test_the_order_is_the_one_of_the_definition(monkeypatch, seed, pool, keys):
    monkeypatch.setattr(module, 'ACTIVE', (7, 1, 2048)[seed % 3])
    monkeypatch.setattr(explorer, 'BLOCK_TURNS', (1, 2, 64)[seed % 3])
    pool, keys = random_pool(seed, **pool), settings(**keys)
    found = order(**pool, settings=keys)
    records, ranking, near_duplicates = plain_order(*pool.values(), keys)
    assert found.ranking.tolist() == ranking
    assert sorted(ranking) == list(range(len(pool['readable'])))
    distance, nearest, gain, explored = zip(*records)
    assert found.nearest.tolist() == list(nearest) and found.explored.tolist() == list(explored)
    np.testing.assert_allclose(found.distance, distance, atol=1e-7)
    np.testing.assert_allclose(found.class_gain, gain, rtol=1e-12)
    np.testing.assert_array_equal(found.uncertainty, pool['uncertainty'][ranking[: len(records)]])
    assert found.near_duplicates == near_duplicates


@pytest.mark.parametrize('hint', [0, 30])
def test_a_longer_order_begins_with_the_shorter_one(hint):
    pool = random_pool(11, 300)
    orders = {
        size: order(**pool, settings=settings(mining_order_size=size, mining_pool_ratio=1e4, mining_topk_hint=hint))
        for size in (40, 80, 300)
    }
    for size in (40, 80):
        for name in ('ranking', 'uncertainty', 'distance', 'nearest', 'class_gain', 'explored'):
            np.testing.assert_array_equal(getattr(orders[size], name)[:size], getattr(orders[300], name)[:size])
    assert orders[40].ranking[:80].tolist() != orders[80].ranking[:80].tolist()  # so that 40 of them is not all


def test_values_of_picks_never_rise():
    pool = random_pool(12, 400, labelled=0)
    found = order(**pool, settings=settings(mining_explore=0.0))
    picked = found.uncertainty * found.distance * found.class_gain
    count = int((found.explored == 0).sum())  # the others have no uncertainty
    assert count > 50 and found.explored[count:].all()
    assert (np.diff(picked[:count]) <= 1e-12).all()


def frames(seed, cosine, num_scenes=200, num_frames=10, dimensions=128, decay=1.0):
    """Scenes of frames alike; `cosine` is that of two of them, without what all images share and before axes decay."""
    generator = np.random.default_rng(seed)
    scene = generator.permutation(np.repeat(np.arange(num_scenes), num_frames))
    unit = generator.normal(size=(num_scenes, dimensions)) / dimensions**0.5
    noise = generator.normal(size=(len(scene), dimensions)) / dimensions**0.5
    rows = (unit[scene] * cosine**0.5 + noise * (1 - cosine) ** 0.5) * decay ** np.arange(dimensions)
    rows += 2 * generator.normal(size=dimensions) / dimensions**0.5
    uncertainty = generator.gamma(2, 1, num_scenes)[scene] * np.exp(0.1 * generator.normal(size=len(scene)))
    classes = generator.choice(5, num_scenes, p=[0.5, 0.3, 0.13, 0.05, 0.02])[scene]
    terms = np.zeros((len(scene), 5))
    terms[np.arange(len(scene)), classes] = uncertainty
    pool = {
        'uncertainty': uncertainty,
        'class_terms': terms,
        'class_mass': np.minimum(terms, 1.0),
        'embeddings': Rows(rows / np.linalg.norm(rows, axis=1, keepdims=True)),
        'readable': np.ones(len(scene), bool),
        'labelled': np.zeros((0, dimensions)),
        'labelled_boxes': np.zeros(5),
    }
    return pool, scene, classes


@pytest.mark.parametrize('cosine, decay', [(0.9, 1), (0.95, 1), (0.99, 1), (0.999, 1), (0.97, 0.97), (0.99, 0.9)])
@pytest.mark.parametrize('seed', [0, 1, 2])
def test_frames_of_the_same_scene_are_not_picked_twice(seed, cosine, decay):
    pool, scene, _ = frames(seed, cosine, decay=decay)
    found = order(**pool, settings=settings(mining_order_size=500))
    first = found.ranking[:100]
    assert len(set(scene[first])) >= 95
    uncertainty = pool['uncertainty']
    assert uncertainty[first].mean() > 1.4 * uncertainty.mean()  # that of a random batch
    assert len(set(scene[np.argsort(-uncertainty)[:100]])) < 30  # what the most uncertain ones would be
    if cosine >= 0.95 and decay == 1:
        assert found.near_duplicates == 1800 and len(set(scene[found.ranking[:200]])) == 200


def test_what_is_unlike_enough_comes_by_uncertainty():
    pool, scene, _ = frames(0, 0.99)
    found = order(**pool, settings=settings(mining_class_balance=0.0, mining_explore=0.0, mining_order_size=500))
    highest = np.array([pool['uncertainty'][scene == number].max() for number in range(200)])
    assert pool['uncertainty'][found.ranking[:100]].mean() > 0.99 * np.sort(highest)[100:].mean()
    assert [round(float(distance_of(cosine)), 6) for cosine in (-1, 0.5, 0.65, 0.8, 1)] == [1, 1, 0.0625, 0, 0]


@pytest.mark.parametrize('seed', [0, 1, 2])
def test_rare_classes_come_earlier(seed):
    pool, _, classes = frames(seed, 0.95, 400, 3)
    pool['labelled_boxes'] = np.array([250, 150, 65, 25, 10])
    share = {
        balance: (
            classes[order(**pool, settings=settings(mining_class_balance=balance, mining_order_size=300)).ranking[:120]]
            >= 3
        ).mean()
        for balance in (0.0, 0.5)
    }
    assert share[0.5] > 2 * (classes >= 3).mean() and share[0.5] > 1.5 * share[0.0]


@pytest.mark.parametrize('readable', [False, True])
def test_images_that_all_lack_an_embedding_come_beside_labelled_ones(readable):
    """None can be read, or the model sees nothing in any."""
    pool = random_pool(0, 4)
    pool.update(readable=np.full(4, readable), embeddings=Rows(np.zeros((4, 16))))
    assert sorted(order(**pool, settings=settings()).ranking.tolist()) == [0, 1, 2, 3]


def test_labelled_boxes_and_images_count_as_picked():
    pool, scene, classes = frames(0, 0.95)
    pool['labelled_boxes'] = np.array([0, 5000, 5000, 5000, 5000])
    found = order(**pool, settings=settings(mining_order_size=100))
    assert (classes[found.ranking[:20]] == 0).mean() > 0.7
    centres = np.stack([pool['embeddings'].rows(np.flatnonzero(scene == number)).mean(axis=0) for number in range(100)])
    found = order(**{**pool, 'labelled': centres}, settings=settings(mining_order_size=500))
    assert (scene[found.ranking[:50]] >= 100).mean() > 0.9
    assert found.nearest[0] == LABELLED and order(**pool, settings=settings(mining_order_size=5)).nearest[0] == NONE


def test_images_without_boxes_come_by_exploring_only():
    pool, scene, _ = frames(0, 0.99)
    empty = scene < 60
    pool['uncertainty'][empty] = pool['class_terms'][empty] = pool['class_mass'][empty] = 0
    found = order(**pool, settings=settings(mining_order_size=100, mining_explore=0.1))
    assert found.explored.nonzero()[0].tolist() == list(range(9, 100, 10))
    assert not empty[found.ranking[:100][~found.explored]].any()
    assert empty[found.ranking[:100][found.explored]].sum() >= 8  # a few draws hold none
    assert len(set(scene[found.ranking[:100][found.explored]])) == 10
    other = order(**pool, settings=settings(mining_order_size=100, mining_explore=0.1, mining_seed=1))
    assert other.ranking[9] != found.ranking[9] and other.ranking[:9].tolist() == found.ranking[:9].tolist()
    none = order(**pool, settings=settings(mining_order_size=100, mining_explore=0.0))
    assert not none.explored.any() and not empty[none.ranking[:100]].any()


def test_without_any_uncertainty_the_picks_spread():
    pool, scene, _ = frames(0, 0.95)
    pool['uncertainty'] = np.zeros(len(scene))
    found = order(**pool, settings=settings(mining_order_size=100))
    assert found.explored.all() and len(set(scene[found.ranking[:100]])) >= 95


def test_a_hint_spreads_its_picks_over_the_most_uncertain():
    pool, scene, _ = frames(0, 0.95)
    found = order(**pool, settings=settings(mining_topk_hint=40, mining_explore=0.0, mining_order_size=50))
    uncertain = np.argsort(-pool['uncertainty'])
    assert set(found.ranking[:40]) <= set(uncertain[:160]) and found.ranking[0] == uncertain[0]
    assert len(set(scene[found.ranking[:40]])) == min(40, len(set(scene[uncertain[:160]])))


def pool_of(rows, uncertainty):
    terms = np.array(uncertainty, np.float64)[:, None]
    return {
        'uncertainty': terms[:, 0],
        'class_terms': terms,
        'class_mass': np.minimum(terms, 1),
        'embeddings': Rows(rows),
        'readable': np.ones(len(terms), bool),
        'labelled': np.zeros((0, 16)),
        'labelled_boxes': np.zeros(1),
    }


@pytest.mark.parametrize(
    'rows, uncertainty, size, ranking, near_duplicates',
    [
        (np.zeros((0, 16)), [], 10, [], 0),
        (np.eye(16)[:1], [0.0], 10, [0], 0),
        (np.eye(16)[:1], [2.0], 10, [0], 0),
        ([[0.25] * 16] * 4, [1.0, 3.0, 2.0, 3.0], 10, [1, 3, 2, 0], 3),  # the same image four times
        (np.zeros((4, 16)), [1.0, 3.0, 2.0, 3.0], 10, [1, 3, 2, 0], 0),  # embeddings that say nothing
        (np.eye(16)[:4], [1.0, 1.0, 1.0, 1.0], 10, [0, 1, 2, 3], 0),  # ties
        (np.eye(16)[[0, 0, 1, 0]], [3.0, 2.9, 0.05, 2.0], 1, [0, 1, 2, 3], 2),  # the others by what is new in them
        (np.eye(16)[:3], [np.nan, 1.0, np.inf], 1, [1, 0, 2], 0),
    ],
)
def test_small_pools(rows, uncertainty, size, ranking, near_duplicates):
    pool = pool_of(rows, uncertainty)
    found = order(**pool, settings=settings(mining_explore=0.0, mining_order_size=size))
    assert found.ranking.tolist() == ranking and found.near_duplicates == near_duplicates
    pool['readable'][:] = False
    assert order(**pool, settings=settings()).ranking.tolist() == list(range(len(pool['readable'])))


def test_images_that_make_up_the_mean_are_near_duplicates_too():
    generator = np.random.default_rng(0)
    rows = np.tile(generator.normal(size=16), (5000, 1)) + generator.normal(size=(5000, 16)) * 1e-4
    rows[:10] = generator.normal(size=(10, 16))
    pool = pool_of(rows / np.linalg.norm(rows, axis=1, keepdims=True), generator.random(5000) + 1)
    found = order(**pool, settings=settings(mining_explore=0.0))
    assert found.near_duplicates > 4950 and sum(found.ranking[:15] < 10) == 10


def test_progress_never_falls_and_ends_at_one(monkeypatch):
    monkeypatch.setattr(module, 'REPORTED', 10)
    shares = []
    order(**random_pool(0, 300), settings=settings(), on_progress=shares.append)
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1 and len(shares) > 3
