"""What a predicting process is at, in a small file that its parent reads; imports no torch.

The process writes it at each step, so a parent that sees no change for long knows that it stands still. Where images
are looked at one at a time, the file names the image before it is touched: whoever is lost then is lost to that image.
The file is written over in place and keeps its length, which a full disk allows.
"""

import json
import os
from pathlib import Path
from typing import NamedTuple

LENGTH = 64


class Beat(NamedTuple):
    """What a process wrote last.

    Args:
        count: How often it has written.
        predicts: Whether it has come as far as the images; before, it loads the model.
        image: Position in the list of the one image that it is at, None while it is at a batch.
    """

    count: int = 0
    predicts: bool = False
    image: int | None = None


def heartbeat_path(folder: Path, rank: int) -> Path:
    """Return the file of one process."""
    return Path(folder) / f'rank_{rank}.heartbeat'


class Heartbeat:
    """Written by one process.

    Args:
        folder: Where the files of all processes lie.
        rank: Number of the process.
        is_shared: Whether another machine reads it, which would not see what waits in the memory of this one.
    """

    def __init__(self, folder: Path, rank: int, is_shared: bool = False) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | (os.O_DSYNC if is_shared else 0)
        self._file = os.open(heartbeat_path(folder, rank), flags, 0o666)
        self._beat = Beat()
        self.step()

    def step(self) -> None:
        """Say that something was done."""
        self._beat = self._beat._replace(count=self._beat.count + 1)
        os.pwrite(self._file, json.dumps(self._beat).ljust(LENGTH).encode('ascii'), 0)

    def at_batch(self) -> None:
        """Say that batches follow."""
        self._beat = self._beat._replace(predicts=True, image=None)
        self.step()

    def at_image(self, index: int) -> None:
        """Say which image follows.

        Args:
            index: Its position in the list.
        """
        self._beat = self._beat._replace(predicts=True, image=index)
        self.step()

    def close(self) -> None:
        """Close the file, in a process that goes on with other work."""
        os.close(self._file)


def read_heartbeat(folder: Path, rank: int) -> Beat:
    """Read what a process wrote last; an empty beat if there is nothing."""
    try:
        return Beat(*json.loads(heartbeat_path(folder, rank).read_text(encoding='ascii')))
    except (OSError, ValueError, TypeError):
        return Beat()
