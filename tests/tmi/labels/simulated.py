"""Labels and what a fair detector would predict for them, drawn without images; and damage done to the labels."""

from dataclasses import dataclass

import numpy as np

from tmi.inference.shards import Prediction
from tmi.training.examination import ExaminedImage, Labels

SIZE = (640, 480)
# By class: the typical score of a good box, and how often an object is missed when it is small.
CLASSES = ((0.9, 0.02), (0.8, 0.02), (0.4, 0.02), (0.85, 0.6))


@dataclass
class Scenes:
    """Images as lists of rows: labels (class, x1, y1, x2, y2), predictions (class, score, support, x1, y1, x2, y2)."""

    labels: list[list[tuple]]
    found: list[list[tuple]]

    def examined(self) -> list[ExaminedImage]:
        """All as images that the model was trained on; the path is the position."""
        return [
            examined(str(place), labels, found) for place, (labels, found) in enumerate(zip(self.labels, self.found))
        ]


def examined(path: str, labels: list[tuple], found: list[tuple], crowds: int = 0) -> ExaminedImage:
    """One image from rows as of `Scenes`, the first `crowds` labels being crowds."""
    table = np.array(labels, float).reshape(-1, 5)
    found = sorted(found, key=lambda row: -row[1])
    return ExaminedImage(
        True,
        Labels(table[:, 1:], table[:, 0].astype(int), np.arange(len(table)) < crowds),
        Prediction(
            0,
            path,
            SIZE,
            boxes=[list(map(float, row[3:])) for row in found],
            scores=[float(row[1]) for row in found],
            labels=[int(row[0]) for row in found],
            support=[int(row[2]) for row in found],
        ),
    )


def draw(num_images: int, seed: int) -> Scenes:
    """True labels, and predictions: objects are jittered by 3 %, scored by class, and small ones missed by class."""
    rng = np.random.default_rng(seed)
    scenes = Scenes([], [])
    for _ in range(num_images):
        labels, found = [], []
        for cell in rng.permutation(12)[: rng.integers(1, 7)]:
            label, side = int(rng.integers(len(CLASSES))), float(rng.uniform(16, 120))
            x, y = (cell % 4) * 160 + rng.uniform(0, 160 - side), (cell // 4) * 160 + rng.uniform(0, 160 - side)
            box = np.array([x, y, x + side, y + side])
            labels.append((label, *box))
            score, missed = CLASSES[label]
            if rng.random() < (missed if side < 40 else 0.002):
                continue
            jittered = box + rng.normal(0, 0.03 * side, 4)
            score = float(np.clip(score + rng.normal(0, 0.05), 0.05, 0.99))
            found.append((label, score, rng.integers(3, 12), *jittered))
            found.append(((label + 1) % len(CLASSES), 0.03, 1, *(box + rng.normal(0, 0.03 * side, 4))))
        for _ in range(rng.poisson(0.5)):
            x, y = rng.uniform(0, 500), rng.uniform(0, 400)
            score = float(rng.beta(1, 6))
            found.append((int(rng.integers(len(CLASSES))), score, 1, x, y, x + 50, y + 50))
        scenes.labels.append(labels)
        scenes.found.append(found)
    return scenes


def spoil(scenes: Scenes, share: float, seed: int) -> dict[tuple[str, int], tuple]:
    """Damage labels in place.

    Returns:
        The damaged label, or the dropped one, by kind of doubt and image; no image is damaged twice.
    """
    rng = np.random.default_rng(seed)
    images = [k for k in rng.permutation(len(scenes.labels)).tolist() if scenes.labels[k]]
    count = round(share * sum(map(len, scenes.labels)))
    spoilt = {}
    for number, k in enumerate(images[:count]):
        kind = ('class', 'missing', 'extra', 'loose')[number % 4]
        j = int(rng.integers(len(scenes.labels[k])))
        label, x1, y1, x2, y2 = scenes.labels[k][j]
        side = x2 - x1
        if kind == 'missing':
            row = scenes.labels[k].pop(j)
        elif kind == 'extra':
            taken = {(x // 160, y // 160) for _, x, y, *_ in scenes.labels[k]}
            column, line = next((x, y) for y in range(3) for x in range(4) if (x, y) not in taken)
            x, y = column * 160 + rng.uniform(0, 160 - side), line * 160 + rng.uniform(0, 160 - side)
            row = (label, x, y, x + side, y + side)
            scenes.labels[k].append(row)
        else:
            other = (label + 1 + int(rng.integers(3))) % 4
            moved = (label, x1 + side / 2, y1, x2 + side / 2, y2)
            row = scenes.labels[k][j] = (other, x1, y1, x2, y2) if kind == 'class' else moved
        spoilt[kind, k] = row
    return spoilt
