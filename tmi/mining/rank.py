"""From predictions to the order in which images are labelled; one pass over the images, then the order.

Memory holds a few numbers for each image; embeddings and what images hold of each class wait on disk.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tmi.inference.shards import Prediction
from tmi.mining.algorithm import Algorithm

if TYPE_CHECKING:
    from tmi.inference.embeddings import Embeddings
    from tmi.mining.picks import Order

logger = logging.getLogger('tmi')

MASS_LIMIT = 3.0  # objects of one class in one image beyond this teach little more


@dataclass
class Ranking:
    """The order of a pool.

    Args:
        positions: (N,) positions in the list of images, best first; those that could not be read last.
        uncertainty: (N,) by position, nan for images that could not be read.
        without_boxes: How many readable images have no box that counts.
        unreadable: How many could not be read.
        order: How a diverse order came about, None for an algorithm that is not diverse.
    """

    positions: np.ndarray
    uncertainty: np.ndarray
    without_boxes: int = 0
    unreadable: int = 0
    order: 'Order | None' = None


@dataclass
class Pool:
    """What ranking needs of the images.

    Args:
        uncertainty: (N,) float64, nan for images that could not be read.
        class_terms: (N, C) float16, the shares of the classes in the uncertainty; None unless the order is diverse.
        class_mass: (N, C) float16, the objects of each class that are likely there, likewise.
        without_boxes: How many readable images have no box that counts.
    """

    uncertainty: np.ndarray
    class_terms: np.ndarray | None = None
    class_mass: np.ndarray | None = None
    without_boxes: int = field(default=0)


def collect(
    predictions: Iterable[Prediction], num_images: int, algorithm: Algorithm, folder: Path | None = None
) -> Pool:
    """Score every image.

    Args:
        predictions: Of all images, in order.
        num_images: N.
        algorithm: What scores them.
        folder: Where (N, C) arrays of a diverse algorithm wait; None keeps them in memory.

    Returns:
        The scores.
    """
    pool = Pool(np.full(num_images, np.nan))
    if algorithm.diverse:
        shape = (num_images, len(algorithm.settings.class_names))
        pool.class_terms, pool.class_mass = (_array(folder, name, shape) for name in ('class_terms', 'class_mass'))
    for prediction in predictions:
        index = prediction.index
        if not prediction.readable:
            continue
        prediction = prediction.above(algorithm.score_thr)
        pool.without_boxes += not prediction.scores
        pool.uncertainty[index] = algorithm.uncertainty(prediction)
        if algorithm.diverse:
            terms = algorithm.class_terms(prediction)
            total = sum(terms.values())
            for label, term in terms.items():  # as shares: class weights may be beyond what half precision holds
                pool.class_terms[index, label] = term / total if total > 0 else 0.0
            for label, mass in class_mass(prediction, algorithm).items():
                pool.class_mass[index, label] = mass
    return pool


def class_mass(prediction: Prediction, algorithm: Algorithm) -> dict[int, float]:
    """Return how many objects of each class are likely in an image, at most `MASS_LIMIT` each.

    Args:
        prediction: Of the image.
        algorithm: Whose statistics tell how likely a box is right; without them its score does.
    """
    likely = algorithm.true_positive(prediction)
    totals: dict[int, float] = {}
    for label, share in zip(prediction.labels, likely.tolist()):
        totals[label] = min(totals.get(label, 0.0) + share, MASS_LIMIT)
    return totals


def _array(folder: Path | None, name: str, shape: tuple[int, int]) -> np.ndarray:
    if folder is None or not shape[0]:
        return np.zeros(shape, np.float16)
    return np.lib.format.open_memmap(folder / f'{name}.npy', 'w+', np.float16, shape)


def rank(
    predictions: Iterable[Prediction],
    num_images: int,
    algorithm: Algorithm,
    embeddings: 'Embeddings | None' = None,
    folder: Path | None = None,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Ranking:
    """Rank all images of a pool.

    Args:
        predictions: Of all images, in order.
        num_images: N.
        algorithm: What scores them.
        embeddings: Of the images, for a diverse algorithm.
        folder: Where large arrays wait; None keeps them in memory.
        on_progress: Called with the share of the order that is done.

    Returns:
        The ranking; the same whatever the number of processes.
    """
    pool = collect(predictions, num_images, algorithm, folder)
    readable = ~np.isnan(pool.uncertainty)
    unreadable = int(num_images - readable.sum())
    ranking = Ranking(np.arange(num_images), pool.uncertainty, pool.without_boxes, unreadable)
    if not algorithm.diverse:
        # Ties stay in the order of the list; nan becomes the lowest.
        ranking.positions = np.argsort(-np.where(readable, pool.uncertainty, -np.inf), kind='stable')
        return ranking
    from tmi.mining.order import order

    labelled, labelled_boxes = reference(algorithm)
    ranking.order = order(
        pool.uncertainty,
        pool.class_terms,
        pool.class_mass,
        embeddings,
        readable,
        labelled,
        labelled_boxes,
        algorithm.settings,
        on_progress,
    )
    ranking.positions = ranking.order.ranking
    return ranking


def reference(algorithm: Algorithm) -> tuple[np.ndarray, np.ndarray]:
    """Return what has been labelled before: centroids of embeddings (k, d), and boxes of each class (C,)."""
    from tmi.inference.embeddings import EMBEDDING_SIZE

    stats: Any = algorithm.stats
    if stats is None:
        return np.zeros((0, EMBEDDING_SIZE), np.float32), np.zeros(len(algorithm.settings.class_names))
    return stats.centroids.astype(np.float32), np.asarray(stats.num_boxes, dtype=np.float64)
