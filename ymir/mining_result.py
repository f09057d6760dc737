"""From scores to result.tsv (contract section d.5): best first, ties in the order of the index file, no score last.

The platform takes the first lines of the file, so the order is the result, and every candidate needs its line.
"""

from collections.abc import Iterable

from ymir_exc.result_writer import MiningResultWriter


def write_order(scored: Iterable[tuple[str, float | None]]) -> int:
    """Write result.tsv.

    Args:
        scored: Path and score of every candidate in the order of the index file; None for an image that could not be
            read.

    Returns:
        How many lines were written.
    """
    count = 0
    with MiningResultWriter() as writer:
        for path, score in scored:
            writer.write(path, float('-inf') if score is None else score)
            count += 1
    return count
