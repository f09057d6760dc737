"""What a training knows of its labelled images and mining cannot see: one small file that travels with the weights.

It is a .npz archive of plain arrays. Nothing in it is executed: each array is read by its header, of a bounded size,
and checked.
"""

import logging
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np

from tmi.errors import ModelError
from tmi.inference.embeddings import EMBEDDING_SIZE
from tmi.mining.calibration import COEFFICIENTS, features, sigmoid
from tmi.mining.centroids import MAX_CENTROIDS

logger = logging.getLogger('tmi')

MINING_STATS_FILE = 'mining_stats.npz'
STATS_VERSION = 1  # to be raised when what mining compares with them changes, such as the embedding
STATS_NAME = re.compile(r'mining_stats(_[0-9]+)?\.npz')  # numbered where the name was taken
MAX_BYTES = 64 << 20  # of one array; 1,000 classes need 50 KB
MAX_COEFFICIENT = 1e4
MAX_COMPONENT = 1.01  # of a centroid of unit length in half precision


@dataclass(frozen=True)
class MiningStats:
    """Statistics of the labelled images of a training.

    Args:
        class_names: Names of the classes, C of them.
        num_boxes: (C,) int64, labelled boxes of each class in the training set.
        num_images: Images of the training set.
        average_precision: (C,) of the validation from 0 to 1, nan where unknown.
        calibration: (C, 3) coefficients of `tmi.mining.calibration`, fitted on the validation set; nan rows for classes
            with too few detections.
        calibration_all: (3,) those of all classes together, nan if unknown.
        centroids: (k, d) float16 of unit length, k <= 512, of the embeddings of the labelled images.
    """

    class_names: list[str]
    num_boxes: np.ndarray
    num_images: int
    average_precision: np.ndarray
    calibration: np.ndarray
    calibration_all: np.ndarray
    centroids: np.ndarray

    def true_positive(self, labels: Sequence[int], scores: Sequence[float], support: Sequence[int]) -> np.ndarray:
        """Return how likely detections are right.

        Args:
            labels: (n,) positions in `class_names`.
            scores: (n,) in [0, 1].
            support: (n,) boxes before NMS that agree with each, at least 1.

        Returns:
            (n,) in [0, 1], by the regression of the class, else by that of all classes, else the scores as they are.
        """
        rows = self.calibration[np.asarray(labels, dtype=np.int64)].reshape(-1, COEFFICIENTS)
        rows = np.where(np.isnan(rows), self.calibration_all, rows)
        chances = sigmoid(np.sum(features(np.asarray(scores), np.asarray(support)) * rows, axis=1))
        return np.where(np.isnan(chances), np.asarray(scores, dtype=np.float64), chances)

    def matched_to(self, class_names: Sequence[str]) -> 'MiningStats':
        """Return the statistics for the classes of a task, found by name without outer blanks, else but for case.

        Args:
            class_names: Of the task, in its order.

        Returns:
            The same for these classes; one that is not known here has no boxes and nan.
        """
        exact = {name.strip(): place for place, name in enumerate(self.class_names)}
        known = {_key(name): place for place, name in enumerate(self.class_names)}
        places = [exact.get(name.strip(), known.get(_key(name), -1)) for name in class_names]
        places = np.array(places, dtype=np.int64)
        padded = [
            np.concatenate([values, np.full_like(values[:1], filler, shape=(1, *values.shape[1:]))])
            for values, filler in ((self.num_boxes, 0), (self.average_precision, np.nan), (self.calibration, np.nan))
        ]
        num_boxes, average_precision, calibration = (values[places] for values in padded)
        return MiningStats(
            list(class_names),
            num_boxes,
            self.num_images,
            average_precision,
            calibration,
            self.calibration_all,
            self.centroids,
        )


def _key(name: str) -> str:
    return name.strip().lower()


def write_stats(target: str | PathLike[str] | IO[bytes], stats: MiningStats) -> None:
    """Write statistics; the same ones always give the same bytes.

    Args:
        target: A path, or a stream for who replaces files atomically.
        stats: What to write.
    """
    np.savez_compressed(
        target,
        version=np.array(STATS_VERSION, dtype=np.int64),
        class_names=np.array(list(stats.class_names), dtype=np.str_),
        num_boxes=np.asarray(stats.num_boxes, dtype=np.int64),
        num_images=np.array(stats.num_images, dtype=np.int64),
        average_precision=np.asarray(stats.average_precision, dtype=np.float64),
        calibration=np.asarray(stats.calibration, dtype=np.float64),
        calibration_all=np.asarray(stats.calibration_all, dtype=np.float64),
        centroids=np.asarray(stats.centroids, dtype=np.float16),
    )


def read_stats(path: str | PathLike[str]) -> MiningStats:
    """Read what `write_stats` wrote.

    Args:
        path: The file, from anywhere.

    Returns:
        The statistics, in the order of the classes of the training.

    Raises:
        ModelError: It cannot be read, or holds something else.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise _Unfit('it is a folder, a pipe or a device')
        with zipfile.ZipFile(path) as archive:
            _check_version(archive)
            names, boxes, images, precision, calibration, together, centroids = (
                _read_array(archive, name, kind, shape)
                for name, kind, shape in (
                    ('class_names', 'U', ('C',)),
                    ('num_boxes', 'i', ('C',)),
                    ('num_images', 'i', ()),
                    ('average_precision', 'f', ('C',)),
                    ('calibration', 'f', ('C', COEFFICIENTS)),
                    ('calibration_all', 'f', (COEFFICIENTS,)),
                    ('centroids', 'f', ('k', 'd')),
                )
            )
        stats = MiningStats(list(map(str, names)), boxes, int(images), precision, calibration, together, centroids)
        _check(stats)
    except Exception as error:  # an archive that is damaged can fail in any way
        reason = str(error) if isinstance(error, _Unfit) else f'{type(error).__name__}: {error}'
        raise ModelError(
            f'{path} holds no statistics that mining can use: {reason}. Train the model again to have new ones, or '
            'remove the file: mining works without it.'
        ) from error
    return stats


class _Unfit(ValueError):
    """The file is whole and says something that cannot be."""


def _check_version(archive: zipfile.ZipFile) -> None:
    """Reject statistics of another version: their numbers may mean something else."""
    version = int(_read_array(archive, 'version', 'i', ())) if 'version.npy' in archive.namelist() else None
    if version != STATS_VERSION:
        written = 'they have no version' if version is None else f'they are of version {version}'
        raise _Unfit(f'{written}, and this image reads version {STATS_VERSION} alone')


def _read_array(archive: zipfile.ZipFile, name: str, kind: str, shape: Sequence[Any]) -> np.ndarray:
    """Read one array of a .npz archive by its header, with memory for what is there, not for what it claims."""
    with archive.open(f'{name}.npy') as stream:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise _Unfit(f'{name} is of another version of the format')
        found, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
        if dtype.kind != kind or dtype.hasobject or len(found) != len(shape) or fortran_order and len(found) > 1:
            raise _Unfit(f'{name} is an array of {dtype} with {len(found)} dimensions')
        if any(size < 0 or isinstance(wanted, int) and wanted != size for wanted, size in zip(shape, found)):
            raise _Unfit(f'{name} has the shape {found}')
        count = 1
        for size in found:
            count *= size
        if count * dtype.itemsize > MAX_BYTES:
            raise _Unfit(f'{name} claims {count * dtype.itemsize} bytes, at most {MAX_BYTES} are allowed')
        content = stream.read(count * dtype.itemsize)
    return np.frombuffer(content, dtype=dtype, count=count).reshape(found)


def _check(stats: MiningStats) -> None:
    number = len(stats.class_names)
    for name in ('num_boxes', 'average_precision', 'calibration'):
        if len(getattr(stats, name)) != number:
            raise _Unfit(f'{name} has {len(getattr(stats, name))} classes, class_names {number}')
    if len({name.strip() for name in stats.class_names}) < number:
        raise _Unfit('class_names has a name twice')
    if stats.num_images < 0 or np.any(stats.num_boxes < 0):
        raise _Unfit('a number of images or boxes is below 0')
    known = stats.average_precision[~np.isnan(stats.average_precision)]
    if np.any((known < 0) | (known > 1)):
        raise _Unfit('average_precision is outside 0 to 1')
    rows = np.concatenate([stats.calibration, stats.calibration_all[None]])
    missing = np.isnan(rows)
    if np.any(missing.any(axis=1) != missing.all(axis=1)) or np.any(np.abs(rows[~missing]) > MAX_COEFFICIENT):
        raise _Unfit(f'calibration has a row with nan beside numbers, or a number beyond {MAX_COEFFICIENT:g}')
    if len(stats.centroids) > MAX_CENTROIDS or not np.isfinite(stats.centroids).all():
        raise _Unfit(f'centroids are more than {MAX_CENTROIDS} or not finite')
    if stats.centroids.shape[1] != EMBEDDING_SIZE:
        raise _Unfit(f'centroids have {stats.centroids.shape[1]} numbers, embeddings have {EMBEDDING_SIZE}')
    if np.any(np.abs(stats.centroids) > MAX_COMPONENT):
        raise _Unfit('centroids are longer than 1')


def load_stats(
    paths: Sequence[str], models_dir: str, class_names: Sequence[str]
) -> tuple[MiningStats | None, list[str]]:
    """Find and read the statistics among the files of a model, and say what mining does without.

    Args:
        paths: The files of the stage that the user chose.
        models_dir: Where relative ones lie.
        class_names: Of the task.

    Returns:
        The statistics for these classes, None without any that can be read; and a sentence for each part that is
        missing, which is logged here.
    """
    stats = None
    missing = []
    found = [Path(models_dir) / path for path in paths if STATS_NAME.fullmatch(Path(path).name)]
    if not found:
        missing.append(
            f'The model comes without {MINING_STATS_FILE}, which a training of this image writes beside its weights.'
        )
    for path in found:
        try:
            stats = read_stats(path).matched_to(class_names)
            break
        except ModelError as error:
            missing.append(error.sentence)
    if stats is None or np.isnan(stats.calibration_all).all() and np.isnan(stats.calibration).all():
        missing.append(
            'How reliable scores are is unknown: the score of a box is taken for the chance that it is right.'
        )
    if stats is None or not stats.num_boxes.any():
        missing.append('No labelled boxes are known: no class is taken for rare at the beginning.')
    if stats is None or np.isnan(stats.average_precision).all():
        missing.append('The average precision of the classes is unknown: all are taken for equally hard.')
    if stats is None or not len(stats.centroids):
        missing.append('No labelled images are known: images are compared with each other alone.')
    for sentence in missing:
        logger.info('%s', sentence)
    return stats, missing
