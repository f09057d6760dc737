"""The images of a prediction: a file beside the plan, one path a line as a JSON string, distributed to processes in
turn.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

IMAGE_LIST_FILE = 'images.jsonl'


def write_image_list(paths: Iterable[str], folder: Path) -> None:
    """Write the list.

    Args:
        paths: Of all images, of any characters.
        folder: Where the plan lies.
    """
    with open(folder / IMAGE_LIST_FILE, 'w', encoding='ascii') as file:
        file.writelines(json.dumps(path) + '\n' for path in paths)


def iter_image_list(folder: Path, rank: int = 0, world_size: int = 1) -> Iterator[tuple[int, str]]:
    """Read what `write_image_list` wrote.

    Args:
        folder: Where the plan lies.
        rank: Number of the process.
        world_size: How many processes there are.

    Yields:
        Position and path of every image of the process.
    """
    with open(folder / IMAGE_LIST_FILE, encoding='ascii') as file:
        for index, line in enumerate(file):
            if index % world_size == rank:
                yield index, json.loads(line)
