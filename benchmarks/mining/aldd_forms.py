"""How well the cheap form of aldd ranks as the published one, and what both cost beside the network.

    python benchmarks/mining/aldd_forms.py --model WEIGHTS CONFIG --images FOLDER [--size 320] [--limit 200]

The published form (1911.09168) has a map in the size of the input for each class, anchor and level. Prints the rank
correlation over the images, the share of the first tenth that both have, and milliseconds an image of one thread.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional

from tmi.inference.images import Letterbox
from tmi.inference.model import build_model
from tmi.inference.package import read_package
from tmi.mining.aldd import LEAST, disagreement
from tmi.zoo.weights import InferenceModel

WINDOW = 9
CELL = 32


def full_form(levels: Sequence[Tensor], weights: Tensor, size: Sequence[int]) -> Tensor:
    """Return the published score of one image.

    Args:
        levels: Per level (A, C, h, w) in [0, 1].
        weights: (C,) of the classes.
        size: (height, width) of the input.

    Returns:
        The weighted sum of the scores of the classes.
    """

    def mean_nearby(values: Tensor) -> Tensor:
        return functional.avg_pool2d(values, WINDOW, 1, WINDOW // 2, count_include_pad=False)

    def entropy(p: Tensor) -> Tensor:
        p = p.clamp(LEAST, 1 - LEAST)
        return functional.binary_cross_entropy(p, p, reduction='none')

    total = weights.new_zeros(())
    for label, weight in enumerate(weights):
        heat = torch.cat(
            [
                functional.interpolate(level[:, label][None], tuple(size), mode='bilinear', align_corners=False)[0]
                for level in levels
            ]
        )[None]  # (1, levels x A, H, W)
        contrast = (entropy(mean_nearby(heat)) - mean_nearby(entropy(heat))).sum(1, keepdim=True)
        total = total + weight * functional.max_pool2d(contrast, CELL, CELL).mean()
    return total


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the rank correlation of two lists; equal values share their mean rank."""
    ranks = []
    for values in (first, second):
        _, places, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - (counts - 1) / 2)[places])
    return float(np.corrcoef(*ranks)[0, 1])


def main() -> None:
    """Compare both forms."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--model', nargs=2, type=Path, required=True, metavar=('WEIGHTS', 'CONFIG'))
    parser.add_argument('--images', type=Path, required=True)
    parser.add_argument('--size', type=int, default=0, help='side of the input; 0 = of the model')
    parser.add_argument('--limit', type=int, default=200, help='images at most')
    args = parser.parse_args()
    torch.set_num_threads(1)
    package = read_package(InferenceModel(*args.model))
    model = build_model(package, package.class_names)
    steps = package.family.pixel_transforms(package.pipeline, (args.size, args.size) if args.size else None)
    letterbox = Letterbox(steps)
    predictor = package.family.predictor(model, torch.device('cpu'), 0.05, 0.65)
    weights = torch.ones(len(package.class_names))
    forms = {'cheap': disagreement, 'published': full_form}
    values: dict[str, list[float]] = {name: [] for name in forms}
    seconds = dict.fromkeys(('network', *forms), 0.0)
    for path in sorted(args.images.iterdir())[: args.limit]:
        image, pixels = letterbox(0, str(path))
        if pixels is None:
            continue
        start = time.process_time()
        with torch.inference_mode():
            _, maps = predictor.inspect_once(torch.from_numpy(pixels)[None], [image.meta], True)
        seconds['network'] += time.process_time() - start
        for name, form in forms.items():
            start = time.process_time()
            values[name].append(float(form([level[0] for level in maps], weights, pixels.shape[:2])))
            seconds[name] += time.process_time() - start
    count = len(values['cheap'])
    first = max(count // 10, 1)
    best = [set(np.argsort(-np.asarray(values[name]), kind='stable')[:first].tolist()) for name in forms]
    table = Table('images', 'Spearman', 'first tenth shared', *(f'{name}, ms' for name in seconds))
    table.add_row(
        str(count),
        f'{spearman(values["cheap"], values["published"]):.3f}',
        f'{len(best[0] & best[1]) / first:.2f}',
        *(f'{1000 * value / count:.1f}' for value in seconds.values()),
    )
    Console().print(table)


if __name__ == '__main__':
    main()
