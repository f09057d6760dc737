"""A few embeddings that stand for many: spherical k-means, seeded."""

import numpy as np

MAX_CENTROIDS = 512
MAX_SAMPLES = 20_000  # 10 MB of 128-d fp32; more are sampled evenly
ROUNDS = 20


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)


def find_centroids(embeddings: np.ndarray, count: int = MAX_CENTROIDS, seed: int = 0) -> np.ndarray:
    """Find centroids such that each embedding has one in a similar direction.

    They begin with samples that are drawn the more likely, the farther they are from those before (k-means++,
    Arthur and Vassilvitskii 2007), and move to the mean direction of what is nearest to them.

    Args:
        embeddings: (n, d) of images; rows of zeros have no direction and are left out.
        count: The most centroids.
        seed: Of the draw.

    Returns:
        (k, d) float16 of unit length, k <= count; all embeddings where there are no more than `count` different ones.
    """
    rows = np.asarray(embeddings, dtype=np.float32)
    rows = _unit(rows[np.isfinite(rows).all(axis=1)])
    rows = rows[rows.any(axis=1)]
    if len(rows) > MAX_SAMPLES:
        rows = rows[np.linspace(0, len(rows) - 1, MAX_SAMPLES).astype(np.int64)]
    centroids = _starts(rows, min(count, len(rows)), np.random.default_rng(seed))
    if len(centroids) < len(rows):
        centroids = _move(rows, centroids)
    return centroids.astype(np.float16)


def _starts(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    chosen: list[int] = []
    distance = np.ones(len(rows), dtype=np.float32)  # squared, of unit vectors: 2 (1 - cos)
    while len(chosen) < count and distance.any():
        summed = np.cumsum(distance, dtype=np.float64)
        place = min(int(np.searchsorted(summed, rng.random() * summed[-1], side='right')), len(rows) - 1)
        chosen.append(place)
        away = rows - rows[place]  # exact, as features of images may differ by less than a product is rounded to
        distance = np.minimum(distance, np.einsum('nd,nd->n', away, away))
    return rows[chosen]


def _move(rows: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    nearest = None
    for _ in range(ROUNDS):
        before, nearest = nearest, (rows @ centroids.T).argmax(axis=1)
        if before is not None and np.array_equal(before, nearest):
            break
        sums = np.zeros_like(centroids)
        np.add.at(sums, nearest, rows)
        moved = _unit(sums)
        centroids = np.where(moved.any(axis=1, keepdims=True), moved, centroids)  # one that nothing is near to stays
    return centroids
