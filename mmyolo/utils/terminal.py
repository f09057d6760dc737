"""Progress of long work on the terminal, and tables for a log."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track
from rich.table import Table

Item = TypeVar('Item')


def progress(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Give items one by one and draw a bar on the error stream, which leaves the output to results.

    Args:
        items: What to go through.
        description: What is being done, such as 'Reading boxes'.
        total: How many there are, where `items` has no length.
    """
    return iter(track(items, description, total=total, console=Console(stderr=True)))


def as_text(table: Table, width: int) -> str:
    """Lay a table out for a log, without colours, at most `width` characters wide."""
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return capture.get()
