"""The images of a mining or inference task, read as a stream from candidate-index.tsv (contract section c.3).

The platform writes one absolute path per line; `ymir_exc.reading` says what else is read. The results
stand in the order of the file.
"""

import os
from collections.abc import Iterator

from tmi.errors import DataError
from ymir_exc.reading import read_index


def iter_candidates(index_file: str) -> Iterator[str]:
    """Yield the paths of the images.

    Args:
        index_file: candidate-index.tsv.

    Yields:
        The path of each image.

    Raises:
        TaskError: 300002 if there is no such file.
        DataError: it cannot be read (300002 too).
    """
    if not os.path.exists(index_file):
        raise DataError(
            f'The list of images {index_file or "(no candidate_index_file in env.yaml)"} does not exist: choose a '
            'data set for the task.'
        )
    for line in read_index(index_file):
        yield line.image


def count_candidates(index_file: str) -> int:
    """Count the images of the task.

    Args:
        index_file: candidate-index.tsv.

    Returns:
        How many there are, at least 1.

    Raises:
        TaskError: 300002 if the file does not exist or names no image.
        DataError: it cannot be read (300002 too).
    """
    count = sum(1 for _ in iter_candidates(index_file))
    if count == 0:
        raise DataError(f'The list of images {index_file} is empty: choose a data set with at least one image.')
    return count
