"""How similar images are, from embeddings: the cosine after the mean of the pool is taken off.

Means of feature maps share a large common part, so their plain cosine is near 1 for any two images; what is left
without the mean tells them apart. Directions are rounded to whole numbers so small that every sum of their products is
exact in float32: the result doesn't depend on the number of threads, on the shape of a product or on the processor.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

LENGTH = 4000
"""Length of a direction before rounding: products of two stay below 2^24, to which float32 counts exactly."""

SAMPLE = 16384  # images that mean and spread are taken from
ROWS = 4096  # read at a time
NOISE = 1e-3  # length below which a difference of two rows in fp16 says nothing


class Embeddings(Protocol):
    """Where the embeddings of all images lie."""

    def rows(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the (k, d) float32 rows of k images; zeros for an image without an embedding."""


class Directions:
    """Turns embeddings into directions whose products are exact cosines.

    Args:
        embeddings: Of all images of the pool.
        indices: (n,) Images to take mean and spread from, at most `SAMPLE` of them, evenly.
    """

    def __init__(self, embeddings: Embeddings, indices: np.ndarray) -> None:
        self._embeddings = embeddings
        count = min(len(indices), SAMPLE)
        sample = indices[np.arange(count) * len(indices) // max(count, 1)]
        total, squares, known = 0.0, 0.0, 0
        for start in range(0, count, ROWS):
            rows = self._read(sample[start : start + ROWS])
            rows = rows[rows.any(axis=1)]
            total, squares, known = total + rows.sum(axis=0), squares + float((rows**2).sum()), known + len(rows)
        self._mean = total / max(known, 1)
        variance = max(squares / max(known, 1) - float(np.sum(np.square(self._mean))), 0.0)
        # An axis that all share: images much nearer to the mean than is usual, so near that the direction to them is
        # noise, count as similar. Without it, ten thousand frames of one scene that make up the mean look unrelated.
        self._shared = max(0.1 * variance**0.5, NOISE)

    def of(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the directions of images.

        Args:
            indices: (k,) Positions of the images.

        Returns:
            (k, d + 1) float32 whole numbers of length `LENGTH`; zeros, which are unlike everything, without embedding.
        """
        result = [self.of_rows(self._read(indices[start : start + ROWS])) for start in range(0, len(indices), ROWS)]
        return np.concatenate(result) if result else self.of_rows(self._read(indices))

    def of_rows(self, rows: np.ndarray) -> np.ndarray:
        """Return the directions of embeddings that are at hand.

        Args:
            rows: (k, d) Embeddings.

        Returns:
            (k, d + 1) as `of` gives them.
        """
        rows = np.nan_to_num(np.asarray(rows, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        moved = np.column_stack([rows - self._mean, np.full(len(rows), self._shared)])
        moved *= LENGTH / np.sqrt(np.square(moved).sum(axis=1, keepdims=True))
        moved[~rows.any(axis=1)] = 0
        return np.rint(moved).astype(np.float32)

    def _read(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        return np.nan_to_num(np.asarray(self._embeddings.rows(indices), np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the cosines of directions, exact products of whole numbers.

    Args:
        first: (n, d) As `Directions` gives them.
        second: (m, d) Likewise.

    Returns:
        (n, m) float32 in [-1, 1] up to the rounding of 2e-4.
    """
    return (first @ second.T) / np.float32(LENGTH * LENGTH)
