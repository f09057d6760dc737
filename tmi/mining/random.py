"""Random order, the baseline of every comparison; the same order for the same paths and seed, anywhere."""

import hashlib

from tmi.inference.shards import Prediction
from tmi.mining.algorithm import Algorithm


class Random(Algorithm):
    """Uniform in [0, 1), a function of seed and path, so independent of how images are distributed to processes."""

    summary = 'random order; needs no model'
    summary_zh = '随机顺序,不需要模型'
    passes = 0

    def uncertainty(self, prediction: Prediction) -> float:
        text = f'{self.settings.mining_seed}:{prediction.path}'.encode('utf-8', 'surrogateescape')
        # 53 bits fill the mantissa, so the score is below 1.
        return (int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), 'big') >> 11) / 2**53
