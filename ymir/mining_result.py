"""From an order to result.tsv (contract section d.5).

The platform takes the first lines of the file and never compares scores, so the order is the result. The score column
holds (N - rank) / N, which falls from line to line for every algorithm.
"""

from collections.abc import Iterable

import numpy as np

from ymir_exc.result_writer import MiningResultWriter


def write_order(paths: Iterable[str], positions: np.ndarray) -> None:
    """Write result.tsv.

    Args:
        paths: Every candidate in the order of the index file.
        positions: (N,) positions in the index file, best first.
    """
    total = len(positions)
    scores = np.empty(total)
    scores[positions] = (total - np.arange(total)) / max(total, 1)
    with MiningResultWriter() as writer:
        for path, score in zip(paths, map(float, scores), strict=True):  # a list would take 32 bytes a number
            writer.write(path, score)
