"""The images of a prediction that are not looked at, because a predicting process was lost to each of them twice.

A file beside the plan, one JSON line per image, so that whoever goes on later leaves them out too.
"""

import json
from pathlib import Path

SKIPPED_FILE = 'skipped.jsonl'


def add_skipped(folder: Path, index: int, reason: str) -> None:
    """Add an image.

    Args:
        folder: Where the plan lies.
        index: Position of the image in the list.
        reason: Why it is skipped, in a few words.
    """
    with open(folder / SKIPPED_FILE, 'a', encoding='ascii') as file:
        file.write(json.dumps([index, reason]) + '\n')


def read_skipped(folder: Path) -> dict[int, str]:
    """Read the images and the reasons; none if there is no file.

    Args:
        folder: Where the plan lies.

    Returns:
        Position in the list -> reason.
    """
    try:
        lines = (folder / SKIPPED_FILE).read_text(encoding='ascii').splitlines(keepends=True)
    except FileNotFoundError:
        return {}
    return dict(json.loads(line) for line in lines if line.endswith('\n'))  # the last may be cut short by a kill
