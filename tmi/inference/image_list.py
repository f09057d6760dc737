"""The images of a prediction: a file beside the plan, one path a line as a JSON string, distributed to processes in
turn.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

IMAGE_LIST_FILE = 'images.jsonl'


def write_image_list(paths: Iterable[str], folder: Path, name: str = IMAGE_LIST_FILE) -> str:
    """Write the list.

    Args:
        paths: Of all images, of any characters.
        folder: Where the plan lies.
        name: Of the file.

    Returns:
        The hash of the list, by which it is known again.
    """
    digest = hashlib.sha256()
    with open(folder / name, 'w', encoding='ascii') as file:
        for path in paths:
            line = json.dumps(path) + '\n'
            file.write(line)
            digest.update(line.encode('ascii'))
    return digest.hexdigest()


def iter_image_list(
    folder: Path, rank: int = 0, world_size: int = 1, first: int = 0, stop: int | None = None
) -> Iterator[tuple[int, str]]:
    """Read what `write_image_list` wrote.

    Args:
        folder: Where the plan lies.
        rank: Number of the process.
        world_size: How many processes there are.
        first: How many images of the process are left out at the beginning.
        stop: The number of its image that is no longer wanted, None for all.

    Yields:
        Position and path of every image of the process.
    """
    with open(folder / IMAGE_LIST_FILE, encoding='ascii') as file:
        for line in islice(file, rank + first * world_size, None, world_size):
            if stop is not None and first >= stop:
                return
            yield rank + first * world_size, json.loads(line)
            first += 1
