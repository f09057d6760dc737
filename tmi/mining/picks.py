"""What is picked so far in the order of `hybrid`, and how new and how wanted that leaves the other images."""

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
FEW_BOXES = 3  # a class with as many labelled boxes has 0.7 of the gain of one without, at the default exponent
GAIN_RANGE = 64  # boxes of the most frequent class to those where the gain starts to fall
STEPS = 2.0**20  # shares and gains are multiples of 1 / STEPS, so that their sums are exact in any order
BLOCK = 1 << 22  # cosines computed at a time


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


class Picks:
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
        self._boxes = sizes(labelled_boxes)
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
        self._records.append((float(distance_of(float(cosine))), near, gain, explored))
        self._boxes = self._boxes + sizes(self.class_mass[image])
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
        terms = sizes(self.class_terms[images])
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


def sizes(values: np.ndarray) -> np.ndarray:
    """Return numbers as float64, those that are not finite or below 0 as 0."""
    return np.maximum(np.nan_to_num(np.asarray(values, np.float64), nan=0.0, posinf=0.0, neginf=0.0), 0.0)


def distance_of(cosine: np.ndarray) -> np.ndarray:
    """Return how new images are, in [0, 1], by their cosine to the nearest other one."""
    linear = np.clip((NEAR_DUPLICATE - cosine) / (NEAR_DUPLICATE - UNLIKE), 0, 1)
    return np.square(np.square(linear))  # alike on every processor, as powers are not
