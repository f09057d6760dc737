"""Anchors for a data set: k-means by IoU, differential evolution, and k-means with mutations as YOLOv5 does it.

A box size is its width and height in pixels of the network's input: the image is scaled to fit into it, both sides by
one ratio. Ignored objects do not count.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from scipy.cluster.vq import kmeans
from scipy.optimize import differential_evolution
from torch import Tensor

from mmyolo.utils.terminal import progress

from .annotations import boxes_of, data_infos

MIN_SIDE = 2.0  # pixels; of anchors, and of the longer side of boxes, in `v5_k_means`
KMEANS_STARTS = 30


def collect_sizes(dataset: BaseDataset, input_shape: tuple[int, int]) -> np.ndarray:
    """Collect the sizes of all boxes.

    Args:
        dataset: Built without pipelines.
        input_shape: Width and height of the input.

    Returns:
        (n, 2) width and height in pixels of the input.

    Raises:
        ValueError: If there is no box.
    """
    sizes = [np.zeros((0, 2))]
    for info in data_infos(dataset, 'Reading boxes'):
        boxes, _ = boxes_of(info)
        ratio = min(input_shape[0] / info['width'], input_shape[1] / info['height'])
        sizes.append((boxes[:, 2:] - boxes[:, :2]) * ratio)
    sizes = np.concatenate(sizes)
    sizes = sizes[(sizes > 0).all(1)]
    if not len(sizes):
        raise ValueError('The training set of the config has no boxes, so there are no anchors for it')
    return sizes


def size_ious(sizes: Tensor, anchors: Tensor) -> Tensor:
    """IoU of boxes with the same centre.

    Args:
        sizes: (n, 2).
        anchors: (k, 2).

    Returns:
        (n, k).
    """
    overlap = torch.minimum(sizes[:, None], anchors[None]).prod(2)
    return overlap / (sizes.prod(1)[:, None] + anchors.prod(1)[None] - overlap)


def mean_best_iou(sizes: Tensor, anchors: Tensor) -> float:
    """IoU of each box with its best anchor, averaged over boxes."""
    return float(size_ious(sizes, anchors).max(1)[0].mean())


def best_ratios(sizes: Tensor, anchors: Tensor) -> Tensor:
    """Return how well the best anchor fits each box: the worse of both sides, shorter over longer.

    Returns:
        (n, ) from 0 to 1.
    """
    ratios = sizes[:, None] / anchors[None]
    return torch.minimum(ratios, 1 / ratios).min(2)[0].max(1)[0]


def best_possible_recall(sizes: Tensor, anchors: Tensor, prior_match_thr: float) -> float:
    """Share of boxes that some anchor matches: no side is `prior_match_thr` times as long as the other's."""
    return float((best_ratios(sizes, anchors) > 1 / prior_match_thr).float().mean())


def sort_by_area(anchors: np.ndarray) -> np.ndarray:
    """Sort (k, 2) anchors from small to large."""
    return anchors[np.argsort(anchors.prod(1), kind='stable')]


def k_means(sizes: Tensor, num_anchors: int, iterations: int, rng: np.random.Generator) -> np.ndarray:
    """Cluster by IoU: boxes go to the centre they overlap most, centres become means, until nothing changes.

    Args:
        sizes: (n, 2).
        num_anchors: How many centres; they start at random boxes of different sizes.
        iterations: At most so many rounds.
        rng: Draws them.

    Returns:
        (num_anchors, 2), sorted by area. A centre that lost all its boxes stays where it is.
    """
    # the first different ones in random order; where there are too few, they start again
    order = rng.permutation(len(sizes))
    different = order[np.sort(np.unique(sizes.cpu().numpy()[order], axis=0, return_index=True)[1])]
    centres = sizes[np.resize(different, num_anchors)].clone()
    former = torch.full((len(sizes),), -1, device=sizes.device)
    for number in range(iterations):
        nearest = size_ious(sizes, centres).max(1)[1]
        if (nearest == former).all():
            print_log(f'k-means converged after {number} rounds', 'current')
            break
        former = nearest
        for index in range(num_anchors):
            if (nearest == index).any():
                centres[index] = sizes[nearest == index].mean(0)
    return sort_by_area(centres.cpu().numpy())


def evolve(
    sizes: Tensor, num_anchors: int, input_shape: tuple[int, int], iterations: int, seed: int | None
) -> np.ndarray:
    """Search the anchors with the highest mean best IoU by differential evolution (Storn and Price, 1997).

    Args:
        sizes: (n, 2).
        num_anchors: How many.
        input_shape: Width and height that no anchor exceeds.
        iterations: At most so many generations.
        seed: Makes the search repeatable.

    Returns:
        (num_anchors, 2), sorted by area.
    """

    def cost(flat: np.ndarray) -> float:
        anchors = torch.as_tensor(flat.reshape(num_anchors, 2), dtype=sizes.dtype, device=sizes.device)
        return 1 - mean_best_iou(sizes, anchors)

    bar = progress(range(iterations), 'Differential evolution')
    found = differential_evolution(
        cost,
        [(0, side) for _ in range(num_anchors) for side in input_shape],
        strategy='best1bin',
        maxiter=iterations,
        popsize=15,
        tol=1e-4,
        mutation=(0.5, 1),
        recombination=0.7,
        updating='immediate',
        callback=lambda *_, **__: next(bar, None) and None,
        seed=seed,
    )
    bar.close()
    print_log(f'Differential evolution ended after {found.nit} generations: {found.message}', 'current')
    return sort_by_area(found.x.reshape(num_anchors, 2))


def v5_k_means(
    sizes: Tensor,
    num_anchors: int,
    iterations: int,
    prior_match_thr: float,
    mutation_args: Sequence[float],
    rng: np.random.Generator,
) -> np.ndarray:
    """Cluster the sizes, then mutate the centres and keep what fits better.

    Args:
        sizes: (n, 2); boxes with both sides under 2 pixels do not count.
        num_anchors: How many.
        iterations: Mutations.
        prior_match_thr: A box counts only if an anchor matches it, see `best_possible_recall`.
        mutation_args: The probability that a side changes, and how much (sigma).
        rng: Draws.

    Returns:
        (num_anchors, 2), sorted by area, no side under 2 pixels.

    Raises:
        ValueError: If no box is large enough.
    """
    sizes = sizes[(sizes >= MIN_SIDE).any(1)]
    if not len(sizes):
        raise ValueError(f'No box has a side of {MIN_SIDE:g} pixels in the input')

    def fitness(candidate: np.ndarray) -> float:
        best = best_ratios(sizes, torch.as_tensor(candidate, dtype=sizes.dtype, device=sizes.device))
        return float((best * (best > 1 / prior_match_thr)).mean())

    anchors = _cluster(sizes.cpu().numpy(), num_anchors, rng)
    score = fitness(anchors)
    probability, sigma = mutation_args
    for _ in progress(range(iterations if probability > 0 and sigma > 0 else 0), 'Mutations'):
        factor = np.ones_like(anchors)
        while (factor == 1).all():
            changes = (rng.random(anchors.shape) < probability) * rng.random() * rng.standard_normal(anchors.shape)
            factor = (changes * sigma + 1).clip(0.3, 3.0)
        candidate = (anchors * factor).clip(min=MIN_SIDE)
        candidate_score = fitness(candidate)
        if candidate_score > score:
            anchors, score = candidate, candidate_score
    return sort_by_area(anchors)


def _cluster(sizes: np.ndarray, num_anchors: int, rng: np.random.Generator) -> np.ndarray:
    """k-means on sizes with unit deviation; too few different boxes leave random sizes instead."""
    deviation = sizes.std(0)
    if num_anchors <= len(np.unique(sizes, axis=0)) and (deviation > 0).all():
        centres, _ = kmeans(sizes / deviation, num_anchors, iter=KMEANS_STARTS, seed=rng)
        if len(centres) == num_anchors:
            return (centres * deviation).clip(min=MIN_SIDE)
    spread = rng.random((num_anchors, 2)) * (sizes.max(0) - MIN_SIDE).clip(min=1) + MIN_SIDE
    return np.sort(spread, axis=0)


def random_scales(sizes: Tensor, augment_args: Sequence[float], rng: np.random.Generator) -> Tensor:
    """Scale each box by a factor drawn between the two of `augment_args`, as augmentation does."""
    factors = rng.uniform(*augment_args, size=(len(sizes), 1))
    return sizes * torch.as_tensor(factors, dtype=sizes.dtype, device=sizes.device)


def per_level(anchors: np.ndarray, counts: Sequence[int]) -> list[list[list[int]]]:
    """Hand sorted anchors out to the levels, rounded to pixels.

    Args:
        anchors: (k, 2), sorted by area.
        counts: How many each level has, from the smallest stride on.

    Returns:
        For each level its [width, height] pairs.
    """
    rounded = anchors.round().astype(int).tolist()
    ends = np.cumsum(counts)
    return [rounded[end - count : end] for count, end in zip(counts, ends)]


ALGORITHMS: tuple[str, ...] = ('DE', 'k-means', 'v5-k-means')


def optimize(
    algorithm: str,
    sizes: Tensor,
    num_anchors: int,
    input_shape: tuple[int, int],
    iterations: int,
    prior_match_thr: float,
    mutation_args: Sequence[float],
    seed: int | None,
) -> np.ndarray:
    """Run one of the algorithms; the arguments are those of its function above.

    Returns:
        (num_anchors, 2), sorted by area.
    """
    rng = np.random.default_rng(seed)
    run: Callable[[], np.ndarray] = {
        'DE': lambda: evolve(sizes, num_anchors, input_shape, iterations, seed),
        'k-means': lambda: k_means(sizes, num_anchors, iterations, rng),
        'v5-k-means': lambda: v5_k_means(sizes, num_anchors, iterations, prior_match_thr, mutation_args, rng),
    }[algorithm]
    return run()
