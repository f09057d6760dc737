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

import numpy as np

from tmi.mining.explorer import Explorer
from tmi.mining.picks import Order, OrderSettings, Picks, distance_of, sizes
from tmi.mining.similarity import Embeddings

ACTIVE = 2048  # images kept up to date between two looks at the whole pool
REPORTED = 100  # picks between two reports of progress


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
    uncertainty = sizes(uncertainty)
    candidates = np.flatnonzero(np.asarray(readable, bool))
    picks = Picks(uncertainty, class_terms, class_mass, embeddings, candidates, labelled, labelled_boxes, settings)
    # The most uncertain first, the earlier first among equals.
    ranked = candidates[np.argsort(-uncertainty[candidates], kind='stable')]
    hint = min(settings.mining_topk_hint, len(ranked))
    if hint:
        _Pool(picks, ranked[: _pool_size(settings, hint)], spread_only=True).pick(hint)
    size = min(max(settings.mining_order_size, hint), len(ranked))
    step = _pool_size(settings, settings.mining_order_size)
    pools = (_Pool(picks, ranked[start : start + step]) for start in range(0, len(ranked), step))
    pool = next(pools, None)
    exploring = Explorer(picks, candidates, settings.mining_seed)
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


def _pool_size(settings: OrderSettings, picks: int) -> int:
    return max(int(np.ceil(settings.mining_pool_ratio * picks)), 1)


class _Pool:
    """Images from which the most valuable one is picked again and again.

    Args:
        picks: What is picked.
        images: (p,) Positions of the images; the first among equals is picked.
        spread_only: The value is the distance alone, without a limit: k-centre greedy.
    """

    def __init__(self, picks: Picks, images: np.ndarray, spread_only: bool = False) -> None:
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
        new = distance_of(cosine) ** self._picks.settings.mining_diversity
        values = self._picks.uncertainty[images] * new * gains
        return np.where((values > 0) & ~self._picks.taken[images] & ~self._picks.passed_over[images], values, -np.inf)
