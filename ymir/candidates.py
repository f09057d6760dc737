"""The images of a mining or inference task, read as a stream from candidate-index.tsv (contract section c.3).

The platform writes one absolute path per line. Read here too: blank lines (skipped), CRLF, blanks around a path, a
second column behind a TAB (ignored), no newline at the end, names that are not UTF-8. The position of an image among
the lines that count is its index; images are dealt to processes in turn, `index % world_size`, so that the results of
all of them, taken in turn again, stand in the order of the file.
"""
import itertools
from typing import Iterator, Tuple

from ymir_exc.code import ExecutorReturnCode

from ymir.errors import TaskError


def iter_candidates(index_file: str, rank: int = 0, world_size: int = 1) -> Iterator[Tuple[int, str]]:
    """Yield the images of one process.

    Args:
        index_file: candidate-index.tsv.
        rank: Number of the process.
        world_size: How many processes there are.

    Yields:
        Index of the image in the whole file, and its path.

    Raises:
        TaskError: 300002 if the file does not exist.
    """
    try:
        with open(index_file, encoding='utf-8', errors='surrogateescape') as lines:
            paths = (line.split('\t', 1)[0].strip() for line in lines)
            yield from itertools.islice(enumerate(filter(None, paths)), rank, None, world_size)
    except FileNotFoundError as error:
        raise TaskError(
            ExecutorReturnCode.RC_EXEC_DATASET_ERROR,
            f'The list of images {index_file or "(no candidate_index_file in env.yaml)"} does not exist: choose a '
            'data set for the task.') from error


def count_candidates(index_file: str) -> int:
    """Count the images of the task.

    Args:
        index_file: candidate-index.tsv.

    Returns:
        How many there are, at least 1.

    Raises:
        TaskError: 300002 if the file does not exist or names no image.
    """
    count = sum(1 for _ in iter_candidates(index_file))
    if count == 0:
        raise TaskError(ExecutorReturnCode.RC_EXEC_DATASET_ERROR,
                        f'The list of images {index_file} is empty: choose a data set with at least one image.')
    return count
