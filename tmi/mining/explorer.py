"""The picks of `hybrid` that do not follow from what the model sees: a hedge against what it doesn't see."""

import numpy as np

from tmi.mining.picks import Picks, sizes

DRAWN = 16  # images that an exploring pick chooses from
BLOCK_TURNS = 64  # times as many that are compared with the picks at once


class Explorer:
    """Picks the farthest of a few images in turn, preferring images without boxes; the turns are drawn at random.

    Args:
        picks: What is picked.
        candidates: Positions of the readable images.
        seed: Of the draw.
    """

    def __init__(self, picks: Picks, candidates: np.ndarray, seed: int) -> None:
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
                boxes = sizes(picks.class_mass[drawn]).any(axis=1) | sizes(picks.class_terms[drawn]).any(axis=1)
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
