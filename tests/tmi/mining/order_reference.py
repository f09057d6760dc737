"""The order from its definition: every image is looked at for every pick, in plain Python numbers."""

import math
from types import SimpleNamespace

import numpy as np

from tmi.mining import explorer
from tmi.mining.explorer import DRAWN
from tmi.mining.parameters import PARAMETERS
from tmi.mining.picks import FEW_BOXES, GAIN_RANGE, LABELLED, LEFT, LIKE_LABELLED, NEAR_DUPLICATE, NONE, STEPS, UNLIKE
from tmi.mining.similarity import Directions, cosines


class Rows:
    """Embeddings in memory, kept in fp16."""

    def __init__(self, values):
        self.values = np.asarray(values, np.float16)

    def rows(self, indices):
        return self.values[indices].astype(np.float32)


def settings(**changes):
    return SimpleNamespace(**{**{item.name: item.default for item in PARAMETERS}, **changes})


def plain_order(uncertainty, class_terms, class_mass, embeddings, readable, labelled, labelled_boxes, keys):
    """Return (picks, whole ranking, near-duplicates), as lists and a number."""
    images = [index for index in range(len(uncertainty)) if readable[index]]
    directions = Directions(embeddings, np.array(images, np.int64))
    vectors = directions.of(np.arange(len(uncertainty)))
    similar = cosines(vectors, vectors).astype(np.float64)
    to_labelled = cosines(vectors, directions.of_rows(labelled)).astype(np.float64) if len(labelled) else None
    boxes = [float(number) for number in labelled_boxes]
    scale = max(FEW_BOXES, max(boxes) / (GAIN_RANGE - 1))
    ranked = sorted(images, key=lambda index: (-uncertainty[index], index))
    picks, records, found = [], [], set()

    def nearest(index):
        best, near = (
            (-math.inf, NONE)
            if to_labelled is None
            else (min(max(to_labelled[index]), np.float32(LIKE_LABELLED)), LABELLED)
        )
        for pick in picks:
            if similar[index, pick] > best:
                best, near = similar[index, pick], pick
        return best, near

    def is_duplicate(index):
        return keys.mining_diversity > 0 and any(similar[index, pick] >= NEAR_DUPLICATE for pick in picks)

    def new(cosine):
        linear = min(max((NEAR_DUPLICATE - cosine) / (NEAR_DUPLICATE - UNLIKE), 0), 1)
        return (linear * linear) * (linear * linear)

    def gain(index):
        terms = [float(term) for term in class_terms[index]]
        if sum(terms) == 0:
            return 1.0
        gains = [
            round(min(1 + number / scale, GAIN_RANGE) ** -keys.mining_class_balance * STEPS) / STEPS for number in boxes
        ]
        return min(math.fsum(round(t / math.fsum(terms) * STEPS) / STEPS * g for t, g in zip(terms, gains)), 1.0)

    def pick(index, explored):
        best, near = nearest(index)
        records.append((new(best), near, gain(index), explored))
        picks.append(index)
        for number, mass in enumerate(class_mass[index]):
            boxes[number] += float(mass)

    def value(index):
        return uncertainty[index] * new(nearest(index)[0]) ** keys.mining_diversity * gain(index)

    def explore():
        """Each turn takes the next few that are left; a turn ends with a block or with the round."""
        while True:
            drawn = []
            while turns and turns[0] and len(drawn) < DRAWN:
                image = turns[0].pop(0)
                drawn += [image] * (image not in picks and image not in found)
            if turns and not turns[0]:
                turns.pop(0)
            if drawn:
                found.update(index for index in drawn if is_duplicate(index))
                rest = [index for index in drawn if index not in found]
                if rest:
                    empty = [index for index in rest if not any(class_mass[index]) and not any(class_terms[index])]
                    pick(min(empty or rest, key=lambda index: (nearest(index)[0], index)), True)
                    return True
            elif not turns:
                permutation[:] = [index for index in permutation if index not in picks and index not in found]
                if not permutation:
                    return False
                deal()

    def deal():
        size = DRAWN * explorer.BLOCK_TURNS
        turns.extend(permutation[start : start + size] for start in range(0, len(permutation), size))

    def most_valuable():
        values = {index: value(index) for index in pool if index not in picks and not is_duplicate(index)}
        best = max(values, key=values.get, default=None)  # the first one among equals
        return best if best is not None and values[best] > 0 else None

    hint = min(keys.mining_topk_hint, len(ranked))
    while len(picks) < hint:
        pool = [index for index in ranked[: math.ceil(keys.mining_pool_ratio * hint)] if index not in picks]
        pick(max(pool, key=lambda index: 1 - nearest(index)[0]), False)
    permutation, turns = np.random.default_rng(keys.mining_seed).permutation(images).tolist(), []
    deal()
    step = math.ceil(keys.mining_pool_ratio * keys.mining_order_size)
    pool, reach = ranked[:step], step
    while len(picks) < min(max(keys.mining_order_size, hint), len(ranked)):
        turn = len(picks) + 1
        exploring = int(turn * keys.mining_explore) > int((turn - 1) * keys.mining_explore)
        best = most_valuable()
        while not exploring and best is None and reach < len(ranked):
            pool, reach = ranked[: reach + step], reach + step
            best = most_valuable()
        if exploring or best is None:
            if explore():
                continue
        if best is None:
            break
        pick(best, False)
    passed = {index for index in [*pool, *found] if index not in picks and is_duplicate(index)}
    rest = [index for index in ranked if index not in picks]
    left = LEFT**keys.mining_diversity
    rest.sort(key=lambda index: -uncertainty[index] * (left if index in passed else 1.0))
    unreadable = [index for index in range(len(uncertainty)) if not readable[index]]
    return records, picks + rest + unreadable, len(passed)
