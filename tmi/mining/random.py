"""Random order, the baseline of every comparison; the same order for the same paths and seed, anywhere."""

import hashlib

from tmi.inference.shards import Prediction
from tmi.mining.scorer import Scorer


class RandomScorer(Scorer):
    """Uniform in [0, 1), a function of seed and path, so independent of how images are distributed to processes."""

    needs_predictions = False

    def score(self, path: str, prediction: Prediction | None = None) -> float:
        text = f'{self.seed}:{path}'.encode('utf-8', 'surrogateescape')
        # 53 bits fill the mantissa, so the score is below 1.
        return (int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), 'big') >> 11) / 2**53
