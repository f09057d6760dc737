"""The images of a mining or inference task, read as a stream from candidate-index.tsv (contract section c.3).

The platform writes one absolute path per line; `ymir_exc.reading` says what else is read. The position of an image among
the lines that count is its index; images are dealt to processes in turn, `index % world_size`, so that the results of
all of them, taken in turn again, stand in the order of the file.
"""

import itertools
import os
from collections.abc import Iterator

from ymir.errors import TaskError
from ymir_exc.code import ExecutorReturnCode
from ymir_exc.reading import read_index


def iter_candidates(index_file: str, rank: int = 0, world_size: int = 1) -> Iterator[tuple[int, str]]:
    """Yield the images of one process.

    Args:
        index_file: candidate-index.tsv.
        rank: Number of the process.
        world_size: How many processes there are.

    Yields:
        Index of the image in the whole file, and its path.

    Raises:
        TaskError: 300002 if there is no such file.
        DatasetError: it cannot be read (300002 too).
    """
    if not os.path.exists(index_file):
        raise TaskError(
            ExecutorReturnCode.RC_EXEC_DATASET_ERROR,
            f'The list of images {index_file or "(no candidate_index_file in env.yaml)"} does not exist: choose a '
            'data set for the task.',
        )
    images = (line.image for line in read_index(index_file))
    yield from itertools.islice(enumerate(images), rank, None, world_size)


def count_candidates(index_file: str) -> int:
    """Count the images of the task.

    Args:
        index_file: candidate-index.tsv.

    Returns:
        How many there are, at least 1.

    Raises:
        TaskError: 300002 if the file does not exist or names no image.
        DatasetError: it cannot be read (300002 too).
    """
    count = sum(1 for _ in iter_candidates(index_file))
    if count == 0:
        raise TaskError(
            ExecutorReturnCode.RC_EXEC_DATASET_ERROR,
            f'The list of images {index_file} is empty: choose a data set with at least one image.',
        )
    return count
