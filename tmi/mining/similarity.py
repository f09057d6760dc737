"""How similar images are, from embeddings: the cosine after their common part is taken off and their axes are balanced.

Means of feature maps share a large part, and what is left varies along a few axes only, so that the plain cosine of two
images of different scenes is often above 0.98. Without the mean, and with every axis scaled to the same variance
(whitening), frames of one scene stay near 1 while the nearest other scene falls to about a half. Directions are rounded
to whole numbers so small that every sum of their products is exact in float32: the result doesn't depend on the number
of threads, on the shape of a product or on the processor.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

LENGTH = 4000
"""Length of a direction before rounding: products of two stay below 2^24, to which float32 counts exactly."""

SAMPLE = 16384  # images that mean and axes are taken from
ROWS = 4096  # read at a time
TRUSTED = 500  # axes of less than 1 / TRUSTED of the variance are noise, in fewer images those of less than 1 / images
NOISE = 5e-3  # length below which a difference of two rows in fp16 says nothing
FEW = 4  # directions below which a product is done by one thread
SHARED = 0.1  # see `Directions`


class Embeddings(Protocol):
    """Where the embeddings of all images lie."""

    def rows(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the (k, d) float32 rows of k images; zeros for an image without an embedding."""


class Directions:
    """Turns embeddings into directions whose products are exact cosines.

    Besides the balanced axes there is one that all images share, of a tenth of the usual length: images much nearer to
    the mean than is usual, so near that the direction to them is noise, count as similar. Without it ten thousand
    frames of one scene, which make up the mean, would look unrelated.

    Args:
        embeddings: Of all images of the pool.
        indices: (n,) Images to take mean and axes from, at most `SAMPLE` of them, evenly.
    """

    def __init__(self, embeddings: Embeddings, indices: np.ndarray) -> None:
        self._embeddings = embeddings
        count = min(len(indices), SAMPLE)
        sample = indices[np.arange(count) * len(indices) // max(count, 1)]
        total, products, known = 0.0, 0.0, 0
        for start in range(0, count, ROWS):
            rows = self._read(sample[start : start + ROWS])
            rows = rows[rows.any(axis=1)]
            total, products, known = total + rows.sum(axis=0), products + rows.T @ rows, known + len(rows)
        if not known:  # all directions are zeros; those of labelled images are compared with nothing
            self._mean, self._scale, self._shared = 0.0, None, 1.0
            return
        self._mean = total / known
        variances, axes = np.linalg.eigh(products / known - np.outer(self._mean, self._mean))
        variances = np.maximum(variances, 0)
        # Rows differ by rounding too; an axis in which they hardly differ otherwise must not be blown up.
        least = max(variances.sum() / min(known, TRUSTED), NOISE**2 / len(variances))
        scale = (axes / np.sqrt(variances + least)) @ axes.T
        # Symmetric, so independent of the signs of axes; coarse, so that the last digits of a library don't matter.
        step = np.abs(scale).max() * 2.0**-20
        self._scale = np.rint(scale / step) * step
        self._shared = max(SHARED * np.sqrt((variances / (variances + least)).sum()), 1.0)

    def of(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the directions of images.

        Args:
            indices: (k,) Positions of the images.

        Returns:
            (k, d + 1) float32 whole numbers, `LENGTH` long; zeros, which are unlike everything, for no embedding.
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
        if not rows.any():
            return np.zeros((len(rows), rows.shape[1] + 1), np.float32)
        moved = rows - self._mean if self._scale is None else (rows - self._mean) @ self._scale
        moved = np.column_stack([moved, np.full(len(rows), self._shared)])
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
    if len(second) > FEW:
        products = first @ second.T
    else:  # where handing the work to threads takes longer than the work
        products = np.einsum('nd,md->nm', first, second)
    return products / np.float32(LENGTH * LENGTH)
