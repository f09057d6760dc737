"""Splits the images of a COCO file into parts for training, validation and test."""

import random
from collections.abc import Sequence

from .coco_files import subset

NAMES = {2: ('trainval', 'test'), 3: ('train', 'val', 'test')}


def split_coco(coco: dict, ratios: Sequence[float], shuffle: bool = False, seed: int | None = None) -> dict[str, dict]:
    """Split a COCO file by images.

    Args:
        coco: The content of the file.
        ratios: Of trainval and test, or of train, val and test; they need not sum up to 1. Shares of val and test are
            rounded down, the rest is for training.
        shuffle: Whether to draw the images by chance instead of taking them in their order.
        seed: Makes the draw repeatable; None draws anew every time.

    Returns:
        Name of each part to the content of its file.

    Raises:
        ValueError: If there are not two or three positive ratios, or no images.
    """
    if len(ratios) not in NAMES or min(ratios) <= 0:
        raise ValueError(
            f'--ratios must be two positive numbers, for trainval and test, or three, for train, val and '
            f'test; got {list(ratios)}'
        )
    if not isinstance(coco, dict) or not isinstance(coco.get('images'), list) or not coco['images']:
        raise ValueError('there are no images to split; the file needs a list "images"')
    images = list(coco['images'])
    if shuffle:
        random.Random(seed).shuffle(images)
    # 100 * 0.3 / (0.7 + 0.3) is a hair under 30
    sizes = [int(len(images) * ratio / sum(ratios) + 1e-9) for ratio in ratios[1:]]
    sizes.insert(0, len(images) - sum(sizes))
    parts, start = {}, 0
    for name, size in zip(NAMES[len(ratios)], sizes):
        parts[name] = subset(coco, images[start : start + size], coco.get('annotations', ()))
        start += size
    return parts
