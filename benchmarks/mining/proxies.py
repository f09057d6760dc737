"""What is among the first images of a ranking: rare classes, mistakes of the model, different scenes; no retraining.

    python -m benchmarks.mining.proxies --out FOLDER [--arms random entropy hybrid] [--seeds 0 1] [--data-seed 0]

A detector is trained on a few images of a pool, and the others are ranked. As nobody knows how many images will be
labelled, each share is taken at 1, 2, 5, 10 and 20 % of the pool. Controls: shuffled ranks must be as random, a negated
score must find fewer mistakes. A second table is of 200 scenes of 10 near-identical frames. These numbers reject bad
algorithms; only learning curves show good ones.
"""

import argparse
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.mining.detector import Prepared, prepare
from benchmarks.mining.learning_curve import QUICK, Protocol, Study
from benchmarks.mining.ranking import ALGORITHMS, ARMS, Inspected, count_errors, inspect, rank_images
from benchmarks.mining.scenes import Scenes, make_scenes
from tmi.mining.stats import MiningStats

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2)
FIRST_FRAMES = 100
FRAMES_SEED = 5  # of the second pool, added to ten times the data seed
CONTROLS = ('random', 'shuffled')


def proxies(positions: np.ndarray, scenes: Scenes, errors: np.ndarray, f1: np.ndarray, count: int) -> dict[str, float]:
    """Describe the first images of a ranking.

    Args:
        positions: (N,) images, best first.
        scenes: With their labels.
        errors: (N, 2) missed and false boxes of the model in each.
        f1: (N,) harmonic mean of its precision and recall in each; 1 where there is nothing to find or to err.
        count: How many images are the first.
    """
    first = positions[:count]
    counts = scenes.class_counts
    rare = counts[:, -1] > 0
    hard = f1 <= np.quantile(f1, 0.25)
    frequencies = counts[first].sum(0) / max(counts[first].sum(), 1)
    present = frequencies[frequencies > 0]
    return {
        'rare lift': rare[first].mean() / rare.mean(),
        'rare scene lift': _share(scenes.scene[first], scenes.scene[rare]) / _share(scenes.scene, scenes.scene[rare]),
        'error recall': errors[first].sum() / errors.sum(),
        'scene error recall': _scene_errors(first, scenes, errors) / _scene_errors(positions, scenes, errors),
        'missed recall': errors[first, 0].sum() / errors[:, 0].sum(),
        'hard precision': hard[first].mean(),
        'scenes': len(np.unique(scenes.scene[first])) / len(first),
        'night': scenes.night[first].mean() / scenes.night.mean(),
        'class balance': float(-(present * np.log(present)).sum() / np.log(counts.shape[1])),
        'boxes per image': counts[first].sum(1).mean() / counts.sum(1).mean(),
    }


def _share(found: np.ndarray, wanted: np.ndarray) -> float:
    """Return the share of the different scenes found that are wanted: frames of one scene count once."""
    return float(np.isin(np.unique(found), wanted).mean())


def _scene_errors(images: np.ndarray, scenes: Scenes, errors: np.ndarray) -> float:
    """Sum errors of images, where frames of one scene count once, the worst of them: they show the same objects."""
    worst: dict[int, int] = {}
    for image in images:
        scene = int(scenes.scene[image])
        worst[scene] = max(worst.get(scene, 0), int(errors[image].sum()))
    return sum(worst.values())


def harmonic_means(errors: np.ndarray, scenes: Scenes) -> np.ndarray:
    """Return the (N,) F1 of a model in each image; arguments as of `proxies`."""
    right = np.array([len(labels) for labels in scenes.labels]) - errors[:, 0]
    whole = 2 * right + errors.sum(1)
    return np.where(whole > 0, 2 * right / np.maximum(whole, 1), 1.0)


def ranked(
    name: str, inspected: Inspected, stats: MiningStats, seed: int, scenes: Scenes
) -> tuple[np.ndarray, np.ndarray]:
    """Rank images by an arm; returns the (N,) positions, best first, and the (N,) uncertainty of the images."""
    if name == 'shuffled':
        return np.random.default_rng((seed, 3)).permutation(len(scenes)), np.zeros(len(scenes))
    ranking = rank_images(ARMS[name], inspected, len(scenes), stats, seed, scenes)
    return np.asarray(ranking.positions), ranking.uncertainty


def measure(study: Study, names: Sequence[str], seed: int) -> tuple[list[dict], list[dict]]:
    """Train on the first images of a seed and rank the rest of the pool, and the near-identical frames.

    Args:
        study: With the pool.
        names: Arms.
        seed: Of the draw, the training and the ranking.

    Returns:
        Rows of `arm`, `share` and the proxies for the pool; rows of `arm`, `scenes` and `uncertainty` for the frames.
    """
    study.start(seed)
    labelled, model = study.initial_images(seed), study.load(seed)
    stats = study.fit_stats(model, labelled)
    left = study.pool.subset(np.setdiff1d(np.arange(len(study.pool)), labelled))
    frames = prepare(make_scenes(study.protocol.frames, 10 * study.data_seed + FRAMES_SEED), study.initial_weights)
    return (list(_of_pool(model, left, stats, names, seed)), list(_of_frames(model, frames, stats, names, seed)))


def _inspections(model: nn.Module, images: Prepared, names: Sequence[str]) -> Iterator[tuple[str, Inspected]]:
    """Yield each arm with what it sees; only an algorithm with a `measure` needs a pass of its own."""
    plain = inspect(model, images)
    for name in names:
        algorithm = ALGORITHMS.get(ARMS[name].algorithm) if name in ARMS else None
        yield name, inspect(model, images, algorithm) if algorithm and algorithm.measure else plain


def _of_pool(
    model: nn.Module, images: Prepared, stats: MiningStats, names: Sequence[str], seed: int
) -> Iterator[dict[str, Any]]:
    scenes = images.scenes
    for name, inspected in _inspections(model, images, names):
        errors = count_errors(inspected, scenes)
        f1 = harmonic_means(errors, scenes)
        positions, _ = ranked(name, inspected, stats, seed, scenes)
        for share in (*SHARES, 1.0):
            count = max(round(share * len(scenes)), 1)
            yield {'arm': name, 'share': share, **proxies(positions, scenes, errors, f1, count)}


def _of_frames(
    model: nn.Module, images: Prepared, stats: MiningStats, names: Sequence[str], seed: int
) -> Iterator[dict[str, Any]]:
    scenes = images.scenes
    first = min(FIRST_FRAMES, len(np.unique(scenes.scene)))
    for name, inspected in _inspections(model, images, names):
        errors = count_errors(inspected, scenes)
        f1 = harmonic_means(errors, scenes)
        positions, _ = ranked(name, inspected, stats, seed, scenes)
        # One scale for all arms: that of the entropy, as each has a score of its own.
        _, entropy = ranked('entropy', inspected, stats, seed, scenes)
        row = {
            'arm': name,
            f'scenes in the first {first}': len(np.unique(scenes.scene[positions[:first]])),
            'their entropy / mean of all': entropy[positions[:first]].mean() / entropy.mean(),
        }
        for share in (0.05, 0.1):
            found = proxies(positions, scenes, errors, f1, round(share * len(scenes)))
            row |= {f'{key} at {share:.0%}': found[key] for key in ('rare lift', 'error recall', 'scene error recall')}
        yield row


def text_table(rows: Sequence[dict[str, Any]], keys: Sequence[str]) -> str:
    """Return a table in Markdown, the means of rows of equal `keys`."""
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    values = [name for name in rows[0] if name not in keys]
    lines = ['| ' + ' | '.join([*keys, *values]) + ' |', '|' + '---|' * (len(keys) + len(values))]
    for group, members in groups.items():
        means = [f'{np.mean([member[name] for member in members]):.2f}' for name in values]
        lines.append('| ' + ' | '.join([*map(str, group), *means]) + ' |')
    return '\n'.join(lines) + '\n'


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, required=True, help='folder for weights and the table')
    parser.add_argument('--arms', nargs='+', default=[*CONTROLS, 'box_count', 'entropy', 'hybrid', 'hybrid_negated'])
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1])
    parser.add_argument('--data-seed', type=int, default=0, help='of the generated images')
    parser.add_argument('--quick', action='store_true', help='a small form, to see that it runs')
    options = parser.parse_args()
    unknown = sorted(set(options.arms) - {*ARMS, *CONTROLS})
    if unknown:
        parser.error(f'--arms: {", ".join(unknown)} unknown; allowed: {", ".join([*ARMS, "shuffled"])}')
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    study = Study(QUICK if options.quick else Protocol(), options.data_seed, options.out)
    pool, frames = [], []
    for seed in options.seeds:
        of_pool, of_frames = measure(study, options.arms, seed)
        pool += of_pool
        frames += of_frames
    text = text_table(pool, ('arm', 'share')) + '\n' + text_table(frames, ('arm',))
    (options.out / f'proxies_{options.data_seed}.md').write_text(text, encoding='utf-8')
    print(text)


if __name__ == '__main__':
    main()
