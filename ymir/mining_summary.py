"""mining-summary.json of this executor: why the first images of a ranking are first, and a map of the pool."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tmi.inference.embeddings import Embeddings
from tmi.inference.shards import Prediction
from tmi.mining.algorithm import Algorithm, BoxAlgorithm
from tmi.mining.picks import LABELLED as LABELLED_IMAGE
from tmi.mining.pool_map import choose_points, project
from tmi.mining.rank import Ranking
from ymir_exc.mining_summary import (
    LABELLED,
    MAX_FIRST,
    MAX_POINTS,
    FirstImage,
    MiningSummary,
    PoolMap,
    write_mining_summary,
)

DIGITS = 6


def write_summary(
    directory: Path,
    algorithm: Algorithm,
    ranking: Ranking,
    first: Mapping[int, Prediction],
    paths: Mapping[int, str],
    embeddings: Embeddings | None = None,
    fallbacks: Sequence[str] = (),
) -> None:
    """Write the summary of a mining.

    Args:
        directory: The task's output folder.
        algorithm: What scored the images.
        ranking: Of all images.
        first: Predictions of the first images, by position; empty for an algorithm without predictions.
        paths: Of the images that the summary names, by position.
        embeddings: Of all images, for the map.
        fallbacks: What was not known of the labelled images.
    """
    settings = algorithm.settings
    shown = first_positions(ranking)
    summary = MiningSummary(
        algorithm=settings.mining_algorithm,
        about=[algorithm.summary, algorithm.summary_zh],
        settings={name: _plain(value) for name, value in settings if name.startswith(('mining_', 'class_dist'))},
        num_images=len(ranking.positions),
        unreadable=ranking.unreadable,
        without_boxes=ranking.without_boxes if algorithm.passes else 0,
        near_duplicates=ranking.order.near_duplicates if ranking.order else 0,
        fallbacks=list(fallbacks),
        class_names=list(settings.class_names),
        first=[_first_image(place, position, algorithm, ranking, first, paths) for place, position in enumerate(shown)],
    )
    if embeddings is not None:
        readable = np.flatnonzero(~np.isnan(ranking.uncertainty))
        points = readable[choose_points(len(readable), MAX_POINTS, np.searchsorted(readable, shown).tolist())]
        ranks = np.empty(len(ranking.positions), np.int64)
        ranks[ranking.positions] = np.arange(len(ranks))
        summary.map = PoolMap(project(embeddings, points).round(4).tolist(), ranks[points].tolist())
    write_mining_summary(directory, summary)


def first_positions(ranking: Ranking) -> list[int]:
    """Return the positions of the readable images that the summary shows, best first."""
    first = ranking.positions[:MAX_FIRST]
    return first[~np.isnan(ranking.uncertainty[first])].tolist()


def named_positions(ranking: Ranking) -> set[int]:
    """Return the positions of all images that the summary names: the first, and those which they are most like."""
    shown = first_positions(ranking)
    near = [] if ranking.order is None else ranking.order.nearest[: len(shown)].tolist()
    return {*shown, *(position for position in near if position >= 0)}


def _first_image(
    place: int,
    position: int,
    algorithm: Algorithm,
    ranking: Ranking,
    first: Mapping[int, Prediction],
    paths: Mapping[int, str],
) -> FirstImage:
    image = FirstImage(path=paths[position])
    if algorithm.passes:
        image.uncertainty = round(float(ranking.uncertainty[position]), DIGITS)
    if position in first:
        image.boxes = _boxes(algorithm, first[position])
    order = ranking.order
    if order is not None and place < len(order.nearest):
        near = int(order.nearest[place])
        image.distance = round(float(order.distance[place]), DIGITS)
        image.nearest = paths[near] if near >= 0 else (LABELLED if near == LABELLED_IMAGE else None)
        image.class_gain = round(float(order.class_gain[place]), DIGITS)
        image.explored = bool(order.explored[place])
    return image


def _boxes(algorithm: Algorithm, prediction: Prediction) -> list[list[float]]:
    prediction = prediction.above(algorithm.score_thr)
    shares = [0.0] * len(prediction.scores)
    if isinstance(algorithm, BoxAlgorithm):
        shares = algorithm.counted_terms(prediction).tolist()
    return [
        [x1, y1, round(x2 - x1, 3), round(y2 - y1, 3), label, score, round(share, DIGITS)]
        for (x1, y1, x2, y2), label, score, share in zip(prediction.boxes, prediction.labels, prediction.scores, shares)
    ]


def _plain(value: Any) -> Any:
    """Return a value of a setting as one that JSON shows in a cell."""
    return ', '.join(map(str, value)) if isinstance(value, (list, tuple)) else value
