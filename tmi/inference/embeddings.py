"""Embeddings of images on disk: a file per predicting process, a row of 128 half-precision numbers per image, in order.

Rows are of unit length; that of an image which could not be read is zero. Features of more than 128 numbers go through
a fixed random projection, which keeps angles (Johnson and Lindenstrauss 1984). 256 bytes an image, mapped into memory.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tmi.inference.shards import open_behind

EMBEDDING_SIZE = 128
ROW_BYTES = 2 * EMBEDDING_SIZE
SEED = 20201129  # of the projection; another one would make the embeddings of stored statistics useless


def embeddings_path(folder: Path, rank: int) -> Path:
    """Return the file of one process."""
    return Path(folder) / f'rank_{rank}.embeddings'


def finished_rows(folder: Path, rank: int) -> int:
    """Return how many whole rows a process has written."""
    path = embeddings_path(folder, rank)
    return path.stat().st_size // ROW_BYTES if path.exists() else 0


class EmbeddingWriter:
    """Appends embeddings to the file of one process.

    Args:
        folder: Where the files of all processes lie.
        rank: Number of the process.
        kept: How many rows stay of the file; the rest goes.
    """

    def __init__(self, folder: Path, rank: int, kept: int = 0) -> None:
        self._file = open_behind(embeddings_path(folder, rank), kept * ROW_BYTES)
        self._projections: dict[int, np.ndarray] = {}

    def write(self, features: Sequence[np.ndarray | None]) -> None:
        """Append a row per image.

        Args:
            features: (d,) of each image; None for one that could not be read.
        """
        rows = np.stack([self._row(one) for one in features])
        self._file.write(rows.astype('<f2').tobytes())
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _row(self, features: np.ndarray | None) -> np.ndarray:
        row = np.zeros(EMBEDDING_SIZE)
        if features is None:
            return row
        if len(features) > EMBEDDING_SIZE:
            features = np.einsum('d,de->e', features.astype(np.float64), self._projection(len(features)))
        row[: len(features)] = features
        length = np.linalg.norm(row)
        return row / length if length > 0 else row

    def _projection(self, size: int) -> np.ndarray:
        """Return (size, EMBEDDING_SIZE)."""
        if size not in self._projections:
            self._projections[size] = np.random.default_rng(SEED).standard_normal((size, EMBEDDING_SIZE))
        return self._projections[size]


class Embeddings:
    """The embeddings of all images in the order of the list, mapped from the files of the processes.

    Args:
        folder: Where the files lie.
        world_size: How many processes wrote them.
        num_images: How many there must be.

    Raises:
        ValueError: A file is cut short, which means that its process did not end well.
    """

    def __init__(self, folder: Path, world_size: int, num_images: int) -> None:
        self._num_images = num_images
        self._files = []
        for rank in range(world_size):
            path = embeddings_path(folder, rank)
            count = len(range(rank, num_images, world_size))
            if path.stat().st_size != count * ROW_BYTES:
                raise ValueError(f'{path} lacks embeddings: {count} images need {count * ROW_BYTES} bytes')
            shape = (count, EMBEDDING_SIZE)
            self._files.append(np.memmap(path, '<f2', 'r', shape=shape) if count else np.zeros(shape, '<f2'))

    def __len__(self) -> int:
        return self._num_images

    def rows(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return embeddings.

        Args:
            indices: (k,) positions in the list.

        Returns:
            (k, EMBEDDING_SIZE) float32.
        """
        indices = np.asarray(indices, dtype=np.int64)
        rows = np.empty((len(indices), EMBEDDING_SIZE), np.float32)
        for rank, file in enumerate(self._files):
            mine = indices % len(self._files) == rank
            rows[mine] = file[indices[mine] // len(self._files)]
        return rows
