"""The results of the predicting processes on disk: one file per process, one JSON line per image, in order.

A process appends as it goes, so memory holds one batch, a crash leaves what was done, and the number of lines is the
progress. No process waits for another: the parent merges the files after all have ended, by taking one line of each in
turn, which is the order in which `iter_candidates` distributed the images. Boxes keep 3 decimals of a pixel and scores
6.

A process that is started again goes on behind the whole lines that are there. It copies them to a new file first: one
that it takes the place of may still be alive, and then writes to a file that nobody reads.
"""

import json
import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple


class Prediction(NamedTuple):
    """What the model found in one image.

    Args:
        index: Position of the image in the index file.
        path: The image, as in the index file.
        size: (width, height) in pixels, None for an image that could not be read.
        boxes: (n, 4) xyxy in pixels of the image, clipped to it.
        scores: (n,) in [0, 1], descending.
        labels: (n,) positions in class_names.
        problem: Why the image could not be read.
        finite: Whether the network gave finite numbers for it.
        support: (n,) boxes before NMS that agree with each box; of mining alone, as all that follow.
        spread: (n,) in [0, 1], how unsure the model is of the sides of each box.
        value: What the mining algorithm measured in the image.
        masks: (n,) mask of each object, where they were asked for: the `counts` of COCO's compressed run-length code,
            of the size of the image.
        areas: (n,) pixels of each mask.
    """

    index: int
    path: str
    size: Sequence[int] | None = None
    boxes: Sequence[Sequence[float]] = ()
    scores: Sequence[float] = ()
    labels: Sequence[int] = ()
    problem: str = ''
    finite: bool = True
    support: Sequence[int] = ()
    spread: Sequence[float] = ()
    value: float | None = None
    masks: Sequence[str] = ()
    areas: Sequence[int] = ()

    @property
    def readable(self) -> bool:
        return self.size is not None

    def above(self, score_thr: float) -> 'Prediction':
        """Return the prediction with only the boxes above a threshold."""
        keep = [place for place, score in enumerate(self.scores) if score > score_thr]
        if len(keep) == len(self.scores):
            return self
        values = {
            name: getattr(self, name) for name in ('boxes', 'scores', 'labels', 'support', 'spread', 'masks', 'areas')
        }
        return self._replace(**{name: [value[place] for place in keep] for name, value in values.items() if value})


def shard_path(folder: Path, rank: int) -> Path:
    """Return the file of one process."""
    return Path(folder) / f'rank_{rank}.jsonl'


class Finished(NamedTuple):
    """The part of a shard file that holds finished images.

    Args:
        images: How many.
        size: Of the part, in bytes.
    """

    images: int = 0
    size: int = 0


def finished_part(
    folder: Path, rank: int, world_size: int, limit: int | None = None, first: int | None = None
) -> Finished:
    """Find what a process has finished: the lines up to the first that is cut short or not the one that follows.

    Args:
        folder: Where the files lie.
        rank: Number of the process.
        world_size: How many processes there are.
        limit: Do not count more images, None for all.
        first: Position of the first image in the list, None for the number of the process.

    Returns:
        The part; nothing if there is no file.
    """
    images = size = 0
    first = rank if first is None else first
    try:
        with open(shard_path(folder, rank), 'rb') as file:
            for line in file:
                index = first + images * world_size
                if images == limit or not (line.startswith(b'[%d,' % index) and line.endswith(b']\n')):
                    break
                images, size = images + 1, size + len(line)
    except FileNotFoundError:
        pass
    return Finished(images, size)


def open_behind(path: Path, size: int) -> IO[bytes]:
    """Open a file for appending behind its beginning, which is copied to a new file of the same name.

    Args:
        path: The file; it need not exist if nothing is kept.
        size: How many bytes are kept.

    Returns:
        The stream.
    """
    temporary = path.with_name(f'{path.name}.tmp')
    with open(temporary, 'wb') as new:
        if size:
            with open(path, 'rb') as old:
                shutil.copyfileobj(old, new)
            new.truncate(size)
    os.replace(temporary, path)
    return open(path, 'ab')


class ShardWriter:
    """Appends predictions to the file of one process.

    Args:
        folder: Where the files of all processes lie.
        rank: Number of the process.
        kept: What stays of the file; the rest goes.
    """

    def __init__(self, folder: Path, rank: int, kept: Finished = Finished()) -> None:
        self._file = open_behind(shard_path(folder, rank), kept.size)

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Append predictions, whole lines at a time."""
        lines = ''.join(json.dumps(prediction, separators=(',', ':')) + '\n' for prediction in predictions)
        self._file.write(lines.encode('ascii'))
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class LineCounter:
    """Counts the lines of a growing file, reading each byte once.

    Args:
        path: The file, which need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._count = 0

    def count(self) -> int:
        """Return how many whole lines the file has by now."""
        if self._path.exists():
            with open(self._path, 'rb') as file:
                file.seek(self._offset)
                for block in iter(lambda: file.read(1 << 20), b''):
                    self._count += block.count(b'\n')
                    self._offset += len(block)
        return self._count


def merge_shards(
    folder: Path, world_size: int, num_images: int, wanted: Collection[int] | None = None
) -> Iterator[Prediction]:
    """Yield the predictions of all processes in the order of the index file.

    Args:
        folder: Where the files lie.
        world_size: How many processes wrote them.
        num_images: How many there must be.
        wanted: Positions of the images to yield, None for all; lines of others are not parsed.

    Yields:
        One prediction per candidate.

    Raises:
        ValueError: A file is cut short, which means that its process did not end well.
    """
    files: list[IO[str]] = [open(shard_path(folder, rank), encoding='ascii') for rank in range(world_size)]
    try:
        for index in range(num_images):
            line = files[index % world_size].readline()
            if wanted is not None and index not in wanted:
                continue
            prediction = Prediction(*json.loads(line)) if line.endswith('\n') else None
            if prediction is None or prediction.index != index:
                raise ValueError(f'{shard_path(folder, index % world_size)} lacks the prediction of image {index}')
            yield prediction
    finally:
        for file in files:
            file.close()
