"""The order of `hybrid`: greedy, every prefix a good batch, as the number of images to label is not known.

One image after the other is picked, the one of the greatest value

    value = uncertainty x distance ^ mining_diversity x class gain

- distance: how new the image is beside the nearest of those picked before and of the labelled ones: 0 from a cosine of
  `NEAR_DUPLICATE` on, 1 up to `UNLIKE`, in between the fourth power of the linear course;
- class gain: (1 + boxes / s) ^ -mining_class_balance for a class, boxes being the labelled ones and those of the images
  picked before, so that a class with few is worth more; for an image the mean of its classes, each counting by its
  share in the image's uncertainty.

All three are the smaller the more is picked (the marginal gain of a sum of saturating functions), so a picked value is
never above the one before, and values computed earlier bound the present ones: only a small active set is kept up to
date, and the rest is looked at when its bound is reached. The result is that of looking at every image each time.

The pool is the `mining_pool_ratio x mining_order_size` most uncertain images, as in PPAL (arXiv 2211.11612), but for
every prefix at once; when nothing but near-duplicates is left of them, the next ones follow. Images that are almost the
same as a picked one are passed over. The share `mining_explore` of the picks is a hedge against what the model doesn't
see: the farthest of a few drawn from all images left, one without boxes if there is any among them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tmi.mining.similarity import Directions, Embeddings, cosines

NEAR_DUPLICATE = 0.8
"""Cosine from which two images count as the same."""

UNLIKE = 0.5
"""Cosine up to which two images have nothing in common. A lower one prefers outliers to uncertain images, a higher one
takes more frames of a scene. Of a generated pool the first tenth held 37 % of a model's mistakes (entropy: 45 %), and
the first 100 of 200 scenes of 10 frames covered 95; with the square of the course from 0.7 to 0.5, 41 % and 89."""

LIKE_LABELLED = 0.6
"""Cosine above which a labelled image counts for no more: it is the centre of many, and the image not one of them."""

LABELLED, NONE = -1, -2
"""In `Order.nearest`: a labelled image; nothing was picked or labelled yet."""

LEFT = 0.02  # of the uncertainty of a near-duplicate, among the images behind the picks
ACTIVE = 2048  # images kept up to date between two looks at the whole pool
DRAWN = 16  # images that an exploring pick chooses from
BLOCK_TURNS = 64  # times as many that are compared with the picks at once
FEW_BOXES = 3  # a class with as many labelled boxes has 0.7 of the gain of one without, at the default exponent
GAIN_RANGE = 64  # boxes of the most frequent class to those where the gain starts to fall
STEPS = 2.0**20  # shares and gains are multiples of 1 / STEPS, so that their sums are exact in any order
BLOCK = 1 << 22  # cosines computed at a time
REPORTED = 100  # picks between two reports of progress


class OrderSettings(Protocol):
    """The settings that the order depends on."""

    mining_seed: int
    mining_diversity: float
    mining_pool_ratio: float
    mining_order_size: int
    mining_class_balance: float
    mining_explore: float
    mining_topk_hint: int


@dataclass(frozen=True)
class Order:
    """All images in the order in which to label them, and why the first m were picked.

    Args:
        ranking: (n,) int64 positions of the images, best first.
        uncertainty: (m,) Of the picks, in their order.
        distance: (m,) In [0, 1], of the nearest earlier pick or labelled image.
        nearest: (m,) Position of that pick; `LABELLED` or `NONE`.
        class_gain: (m,) In (0, 1], 1 for classes without labelled boxes.
        explored: (m,) bool, whether it was picked to explore, not for its value.
        near_duplicates: How many images were passed over because they are almost the same as a pick.
    """

    ranking: np.ndarray
    uncertainty: np.ndarray
    distance: np.ndarray
    nearest: np.ndarray
    class_gain: np.ndarray
    explored: np.ndarray
    near_duplicates: int


def order(
    uncertainty: np.ndarray,
    class_terms: np.ndarray,
    class_mass: np.ndarray,
    embeddings: Embeddings,
    readable: np.ndarray,
    labelled: np.ndarray,
    labelled_boxes: np.ndarray,
    settings: OrderSettings,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Order:
    """Order all images; the same result on every machine, ties to the more uncertain, then to the earlier image.

    Behind the picks come the other images by uncertainty, that of near-duplicates times what is new in them, and the
    unreadable ones last.

    Args:
        uncertainty: (n,) At least 0; a number that is not finite counts as 0.
        class_terms: (n, c) Uncertainty by class, of which only the proportions count; may be memory-mapped.
        class_mass: (n, c) Sum of the probabilities that a box is right, by class; likewise.
        embeddings: Of all images.
        readable: (n,) bool.
        labelled: (k, d) Centroids of the embeddings of labelled images; k may be 0.
        labelled_boxes: (c,) Labelled boxes by class.
        settings: Of mining.
        on_progress: Called now and then with the share of the picks that are made.

    Returns:
        The order, with at most max(`mining_order_size`, `mining_topk_hint`) picks.
    """
    uncertainty = _sizes(uncertainty)
    candidates = np.flatnonzero(np.asarray(readable, bool))
    picks = _Picks(uncertainty, class_terms, class_mass, embeddings, candidates, labelled, labelled_boxes, settings)
    # The most uncertain first, the earlier first among equals.
    ranked = candidates[np.argsort(-uncertainty[candidates], kind='stable')]
    hint = min(settings.mining_topk_hint, len(ranked))
    if hint:
        _Pool(picks, ranked[: _pool_size(settings, hint)], spread_only=True).pick(hint)
    size = min(max(settings.mining_order_size, hint), len(ranked))
    step = _pool_size(settings, settings.mining_order_size)
    pools = (_Pool(picks, ranked[start : start + step]) for start in range(0, len(ranked), step))
    pool = next(pools, None)
    exploring = _Explorer(picks, candidates, settings.mining_seed)
    while picks.count < size:
        if picks.count % REPORTED == 0:
            on_progress(picks.count / size)
        turn = picks.count + 1
        explore = int(turn * settings.mining_explore) > int((turn - 1) * settings.mining_explore)
        if explore and exploring.pick():
            continue
        while pool and not pool.pick():
            pool = next(pools, None)  # nothing but near-duplicates is left of it
        if not pool and not exploring.pick():
            break
    if pool:
        pool.look()  # to find the near-duplicates of the last picks
    on_progress(1.0)
    return picks.order(ranked)


def _sizes(values: np.ndarray) -> np.ndarray:
    """Return numbers as float64, those that are not finite or below 0 as 0."""
    return np.maximum(np.nan_to_num(np.asarray(values, np.float64), nan=0.0, posinf=0.0, neginf=0.0), 0.0)


def _pool_size(settings: OrderSettings, picks: int) -> int:
    return max(int(np.ceil(settings.mining_pool_ratio * picks)), 1)


class _Picks:
    """What was picked so far, and what that makes of the gain of a class; arguments as in `order`."""

    def __init__(
        self,
        uncertainty: np.ndarray,
        class_terms: np.ndarray,
        class_mass: np.ndarray,
        embeddings: Embeddings,
        candidates: np.ndarray,
        labelled: np.ndarray,
        labelled_boxes: np.ndarray,
        settings: OrderSettings,
    ) -> None:
        self.uncertainty, self.class_terms, self.class_mass = uncertainty, class_terms, class_mass
        self.settings = settings
        self.directions = Directions(embeddings, candidates)
        self.labelled = self.directions.of_rows(labelled) if len(labelled) else None
        self.taken = np.zeros(len(uncertainty), bool)
        self.passed_over = np.zeros(len(uncertainty), bool)
        self.count = 0
        self.images: list[int] = []
        self._records: list[tuple[float, int, float, bool]] = []
        capacity = min(max(settings.mining_order_size, settings.mining_topk_hint), len(candidates))
        self._vectors = np.zeros((capacity, 0), np.float32)
        self._boxes = _sizes(labelled_boxes)
        self._scale = max(FEW_BOXES, self._boxes.max(initial=0) / (GAIN_RANGE - 1))
        self.gains = self._gains()

    def add(self, image: int, vector: np.ndarray, cosine: float, nearest: int, explored: bool = False) -> None:
        """Pick an image.

        Args:
            image: Its position.
            vector: (d,) Its direction.
            cosine: To the nearest pick or labelled image.
            nearest: Number of that pick, or `LABELLED` or `NONE`.
            explored: Whether it was picked to explore.
        """
        if not self.count:
            self._vectors = np.zeros((len(self._vectors), len(vector)), np.float32)
        self._vectors[self.count] = vector
        self.count += 1
        self.images.append(image)
        self.taken[image] = True
        gain = float(self.gain_of(self.shares_of(np.array([image])))[0])
        near = self.images[nearest] if nearest >= 0 else nearest
        self._records.append((float(_distance(float(cosine))), near, gain, explored))
        self._boxes = self._boxes + _sizes(self.class_mass[image])
        self.gains = self._gains()

    def nearest_to(self, vectors: np.ndarray, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Find the nearest pick of images.

        Args:
            vectors: (n, d) Directions of the images.
            first: Number of the first pick to look at.

        Returns:
            (n,) cosine to it, -inf without picks, and (n,) its number, the earliest among equals.
        """
        cosine, number = np.full(len(vectors), -np.inf, np.float32), np.full(len(vectors), NONE)
        picks = self._vectors[first : self.count]
        if len(picks):
            rows = max(BLOCK // len(picks), 1)
            for start in range(0, len(vectors), rows):
                block = cosines(vectors[start : start + rows], picks)
                number[start : start + rows] = block.argmax(axis=1) + first
                cosine[start : start + rows] = block.max(axis=1)
        return cosine, number

    def start_of(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the (n,) cosine to the nearest labelled image and (n,) `LABELLED`; -inf and `NONE` without any."""
        if self.labelled is None:
            return np.full(len(vectors), -np.inf, np.float32), np.full(len(vectors), NONE)
        cosine = cosines(vectors, self.labelled).max(axis=1, initial=-np.inf)
        return np.minimum(cosine, np.float32(LIKE_LABELLED)), np.full(len(vectors), LABELLED)

    def shares_of(self, images: np.ndarray) -> np.ndarray:
        """Return the (k, c) shares of the classes in the uncertainty of images; zeros where no class has any."""
        terms = _sizes(self.class_terms[images])
        return np.rint(terms / np.maximum(terms.sum(axis=1, keepdims=True), 1e-30) * STEPS) / STEPS

    def gain_of(self, shares: np.ndarray) -> np.ndarray:
        """Return the (k,) class gain of images with (k, c) shares; 1 where no class has a share."""
        return np.where(shares.any(axis=1), np.minimum(np.einsum('kc,c->k', shares, self.gains), 1.0), 1.0)

    def is_duplicate(self, cosine: np.ndarray) -> np.ndarray:
        """Return whether an image is almost the same as the pick to which it has a cosine."""
        return (cosine >= NEAR_DUPLICATE) & (self.settings.mining_diversity > 0)

    def order(self, ranked: np.ndarray) -> Order:
        """Append the images that were not picked.

        Args:
            ranked: The readable ones by uncertainty.
        """
        rest = ranked[~self.taken[ranked]]
        new = np.where(self.passed_over[rest], LEFT**self.settings.mining_diversity, 1.0)
        rest = rest[np.argsort(-self.uncertainty[rest] * new, kind='stable')]
        picked = np.array(self.images, np.int64)
        unreadable = np.setdiff1d(np.arange(len(self.uncertainty)), ranked, assume_unique=True)
        distance, nearest, gain, explored = zip(*self._records) if self._records else ((), (), (), ())
        return Order(
            ranking=np.concatenate([picked, rest, unreadable]),
            uncertainty=self.uncertainty[picked],
            distance=np.array(distance, np.float64),
            nearest=np.array(nearest, np.int64),
            class_gain=np.array(gain, np.float64),
            explored=np.array(explored, bool),
            near_duplicates=int((self.passed_over & ~self.taken).sum()),
        )

    def _gains(self) -> np.ndarray:
        ratio = np.minimum(1 + self._boxes / self._scale, GAIN_RANGE)
        return np.maximum(np.rint(ratio**-self.settings.mining_class_balance * STEPS), 1) / STEPS


class _Pool:
    """Images from which the most valuable one is picked again and again.

    Args:
        picks: What is picked.
        images: (p,) Positions of the images; the first among equals is picked.
        spread_only: The value is the distance alone, without a limit: k-centre greedy.
    """

    def __init__(self, picks: _Picks, images: np.ndarray, spread_only: bool = False) -> None:
        self._picks, self._images, self._spread_only = picks, images, spread_only
        self._vectors = picks.directions.of(images)
        self._cosine, self._nearest = picks.start_of(self._vectors)
        blocks = [picks.shares_of(images[start : start + ACTIVE]) for start in range(0, len(images), ACTIVE)]
        self._shares = np.concatenate([block.astype(np.float32) for block in blocks]) if blocks else np.zeros((0, 0))
        self._seen = 0  # picks that all images were compared with
        self._active = np.zeros(0, np.int64)  # rows that are kept up to date
        self._bound = (-np.inf, 0)  # the best value among the other rows at most, and its row
        self._active_vectors = self._active_shares = np.zeros((0, 0))
        self._active_seen = 0  # picks that the active rows were compared with

    def pick(self, count: int = 1) -> bool:
        """Pick images; returns False if there are not as many of any value."""
        for _ in range(count):
            row = self._best()
            if row is None:
                return False
            image, vector = int(self._images[row]), self._vectors[row]
            self._picks.add(image, vector, self._cosine[row], int(self._nearest[row]))
        return True

    def look(self) -> np.ndarray:
        """Compare all images with all picks; returns their (p,) values, -inf for what can't be picked."""
        self._compare(slice(None), self._vectors, self._seen)
        self._seen = self._active_seen = self._picks.count
        blocks = range(0, len(self._images), ACTIVE)
        gains = [self._picks.gain_of(self._shares[start : start + ACTIVE]) for start in blocks]
        return self._values(slice(None), np.concatenate(gains) if gains else np.zeros(0))

    def _best(self) -> int | None:
        """Find the row of the greatest value, the first one among equals; None if none has any."""
        if len(self._active):
            self._compare(self._active, self._active_vectors, self._active_seen)
            self._active_seen = self._picks.count
            values = self._values(self._active, self._picks.gain_of(self._active_shares))
            place = int(values.argmax())
            # Behind its bound is what was left out; a row before it wins a tie.
            if (-values[place], self._active[place]) < (-self._bound[0], self._bound[1]):
                return int(self._active[place])
        values = self.look()
        best = np.argsort(-values, kind='stable')[: ACTIVE + 1]
        best = best[values[best] > -np.inf]
        self._bound = (values[best[ACTIVE]], int(best[ACTIVE])) if len(best) > ACTIVE else (-np.inf, 0)
        self._active = np.sort(best[:ACTIVE])
        self._active_vectors = self._vectors[self._active]
        self._active_shares = self._shares[self._active].astype(np.float64)
        return int(best[0]) if len(best) else None

    def _compare(self, rows: np.ndarray | slice, vectors: np.ndarray, first: int) -> None:
        """Compare rows with the picks from the `first` on."""
        cosine, number = self._picks.nearest_to(vectors, first)
        nearer = cosine > self._cosine[rows]
        self._nearest[rows] = np.where(nearer, number, self._nearest[rows])
        self._cosine[rows] = np.where(nearer, cosine, self._cosine[rows])
        if not self._spread_only:
            self._picks.passed_over[self._images[rows][self._picks.is_duplicate(cosine)]] = True

    def _values(self, rows: np.ndarray | slice, gains: np.ndarray) -> np.ndarray:
        """Return the values of rows, -inf for those that are picked, passed over or worth nothing."""
        images, cosine = self._images[rows], self._cosine[rows].astype(np.float64)
        if self._spread_only:
            return np.where(self._picks.taken[images], -np.inf, 1 - cosine)
        new = _distance(cosine) ** self._picks.settings.mining_diversity
        values = self._picks.uncertainty[images] * new * gains
        return np.where((values > 0) & ~self._picks.taken[images] & ~self._picks.passed_over[images], values, -np.inf)


class _Explorer:
    """Picks the farthest of a few images in turn, preferring images without boxes; the turns are drawn at random.

    Args:
        picks: What is picked.
        candidates: Positions of the readable images.
        seed: Of the draw.
    """

    def __init__(self, picks: _Picks, candidates: np.ndarray, seed: int) -> None:
        self._picks = picks
        self._turns = np.random.default_rng(seed).permutation(candidates)  # an image comes once before any comes again
        self._next = 0
        self._gone = np.zeros(len(picks.taken), bool)  # near-duplicates
        self._block = self._turns[:0]  # whose turn is next; compared together, as single products take longer
        self._place = 0

    def pick(self) -> bool:
        """Pick an image; returns False if all that is left is almost the same as a pick."""
        picks = self._picks
        while (rows := self._draw()) is not None:
            drawn, vectors = self._block[rows], self._vectors[rows]
            cosine, number = picks.nearest_to(vectors, self._seen)
            nearer = cosine > self._to_picks[rows]
            to_picks, number = np.where(nearer, [cosine, number], [self._to_picks[rows], self._number[rows]])
            duplicate = picks.is_duplicate(to_picks)
            self._gone[drawn[duplicate]] = picks.passed_over[drawn[duplicate]] = True
            places = np.flatnonzero(~duplicate)
            if len(places):
                cosine = np.maximum(self._to_labelled[rows], to_picks)
                boxes = _sizes(picks.class_mass[drawn]).any(axis=1) | _sizes(picks.class_terms[drawn]).any(axis=1)
                best = places[np.lexsort((drawn[places], cosine[places], boxes[places]))[0]]
                near = number[best] if to_picks[best] > self._to_labelled[rows[best]] else self._labelled[rows[best]]
                picks.add(int(drawn[best]), vectors[best], cosine[best], int(near), explored=True)
                return True
        return False

    def _draw(self) -> np.ndarray | None:
        """Return the rows in the block of the next images, at most `DRAWN`; None when no image is left."""
        while True:
            rows = np.arange(self._place, len(self._block))
            rows = rows[self._is_left(self._block[rows])][:DRAWN]
            if len(rows):
                self._place = rows[-1] + 1
                return rows
            if self._next >= len(self._turns):
                self._turns, self._next = self._turns[self._is_left(self._turns)], 0
                if not len(self._turns):
                    return None
            self._block = self._turns[self._next : self._next + DRAWN * BLOCK_TURNS]
            self._next += len(self._block)
            self._place = 0
            self._vectors = self._picks.directions.of(self._block)
            self._to_labelled, self._labelled = self._picks.start_of(self._vectors)
            self._to_picks, self._number = self._picks.nearest_to(self._vectors)
            self._seen = self._picks.count

    def _is_left(self, images: np.ndarray) -> np.ndarray:
        return ~(self._picks.taken[images] | self._gone[images])


def _distance(cosine: np.ndarray) -> np.ndarray:
    """Return how new images are, in [0, 1], by their cosine to the nearest other one."""
    linear = np.clip((NEAR_DUPLICATE - cosine) / (NEAR_DUPLICATE - UNLIKE), 0, 1)
    return np.square(np.square(linear))  # alike on every processor, as powers are not
