"""How much neighbouring places of the class maps disagree: ALDD (1911.09168), in a form of bounded cost.

The published form makes a map in the size of the input for each class, anchor and level, takes the entropy of the mean
of 9 x 9 pixels less the mean of their entropies, adds the maps of a class, takes the largest value of each 32 x 32
pixels, and their mean; the weighted values of the classes are added. Here maps have a quarter of the input's size and
windows are as much smaller, anchors share one map, their largest score, and of many classes those with the highest
scores in the image count. `benchmarks/mining/aldd_forms.py` compares the two.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tmi.errors import SettingError
from tmi.inference.shards import Prediction
from tmi.mining.algorithm import Algorithm

if TYPE_CHECKING:  # the process that ranks does without torch
    from torch import Tensor

    from tmi.families.base import Predictor
    from tmi.families.detections import InspectedBatch

STRIDE = 4  # pixels of the input for one of the maps
WINDOW = 3  # of a neighbourhood, 12 pixels of the input
CELL = 8  # of which the largest value counts, 32 pixels of the input
MAX_CLASSES = 16  # that count in an image; each takes about 2 % of the time of a small network
LEAST = 1e-7  # probabilities are kept away from 0 and 1 by this


class Aldd(Algorithm):
    """Mean over the image of the largest disagreement nearby, in nats, added over the classes."""

    summary = 'how much the class scores of neighbouring places contradict each other, also where there is no box'
    summary_zh = '相邻位置类别得分的不一致程度,也能反映没有框的区域'
    with_class_maps = True
    uses_stats = False

    def measure(self, predictor: 'Predictor', batch: 'InspectedBatch') -> list[float]:
        """Measure each image on its own, so that it does not depend on the others of its batch; see `Measure`."""
        import torch

        if batch.class_maps is None:
            raise SettingError(
                'mining_algorithm is aldd, which reads the class scores of every place of the image, and this model '
                'gives none: choose one that works with boxes, such as hybrid, entropy, dcus, lius or cald.'
            )
        weights = batch.class_maps[0].new_tensor(self.class_weights())
        values = [
            disagreement([level[place] for level in batch.class_maps], weights, batch.pixels.shape[1:3])
            for place in range(len(batch.metas))
        ]
        return torch.stack(values).nan_to_num(0.0, 0.0, 0.0).tolist()

    def uncertainty(self, prediction: Prediction) -> float:
        return prediction.value


def disagreement(levels: 'Sequence[Tensor]', weights: 'Tensor', size: Sequence[int]) -> 'Tensor':
    """Return how much the class maps of one image contradict themselves.

    Args:
        levels: Per level (A, C, h, w) in [0, 1].
        weights: (C,) of the classes.
        size: (height, width) of the input in pixels.

    Returns:
        A number, at least 0.
    """
    import torch
    from torch.nn import functional

    size = [-(-side // STRIDE) for side in size]
    maps = [level.float().amax(0) for level in levels]  # (C, h, w)
    if len(weights) > MAX_CLASSES:
        highest = torch.stack([one.amax((1, 2)) for one in maps]).amax(0)  # (C,)
        kept = highest.topk(MAX_CLASSES).indices
        maps, weights = [one[kept] for one in maps], weights[kept]
    total = 0
    for one in maps:
        resized = functional.interpolate(one[None], size=size, mode='bilinear', align_corners=False)
        total = total + _entropy(_mean_nearby(resized)) - _mean_nearby(_entropy(resized))
    by_class = functional.max_pool2d(total, CELL, ceil_mode=True)[0].mean((1, 2))  # (C,)
    return (by_class * weights).sum()


def _mean_nearby(values: 'Tensor') -> 'Tensor':
    from torch.nn import functional

    return functional.avg_pool2d(values, WINDOW, stride=1, padding=WINDOW // 2, count_include_pad=False)


def _entropy(p: 'Tensor') -> 'Tensor':
    p = p.clamp(LEAST, 1 - LEAST)
    return -(p * p.log() + (1 - p) * (-p).log1p())
