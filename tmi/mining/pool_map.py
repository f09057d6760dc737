"""A pool of images on two axes, along which their embeddings differ most (principal components)."""

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tmi.inference.embeddings import Embeddings


def choose_points(num_images: int, count: int, always: Collection[int]) -> np.ndarray:
    """Choose images for a map, evenly by position.

    Args:
        num_images: N.
        count: How many at most.
        always: Positions that are among them.

    Returns:
        (n,) positions, ascending.
    """
    count = min(max(count - len(always), 0), num_images)
    even = np.arange(count) * num_images // max(count, 1)
    return np.union1d(even, np.asarray(sorted(always), dtype=np.int64)).astype(np.int64)


def project(embeddings: 'Embeddings', positions: np.ndarray) -> np.ndarray:
    """Project embeddings to the two axes of their greatest variance.

    Args:
        embeddings: Of all images.
        positions: (n,) the images.

    Returns:
        (n, 2), each axis from -1 to 1 at most; the sign of an axis is such that its largest value is positive.
    """
    rows = embeddings.rows(positions).astype(np.float64)
    if not len(rows):
        return np.zeros((0, 2))
    rows -= rows.mean(axis=0)
    _, axes = np.linalg.eigh(rows.T @ rows)
    points = rows @ axes[:, :-3:-1]
    largest = points[np.abs(points).argmax(axis=0), [0, 1]]
    return points / np.where(np.abs(largest) > 1e-12, largest, 1)
