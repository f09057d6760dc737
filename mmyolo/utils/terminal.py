"""Progress of long work on the terminal."""
from typing import Iterable, Iterator, Optional, TypeVar

from rich.console import Console
from rich.progress import track

Item = TypeVar('Item')


def progress(items: Iterable[Item], description: str, total: Optional[int] = None) -> Iterator[Item]:
    """Gives items one by one and draws a bar on the error stream, which leaves the output to results.

    Args:
        items: What to go through.
        description: What is being done, such as 'Reading boxes'.
        total: How many there are, where `items` has no length.
    """
    return iter(track(items, description, total=total, console=Console(stderr=True)))
