"""A bar while a data set is read, split, prepared or written; on terminals only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .output import Output


@contextmanager
def data_progress(output: Output, title: str) -> Iterator[Callable[[int, int], None]]:
    """Return a function that takes the number of images done and of all.

    Args:
        output: of the command.
        title: what is going on.
    """
    if output.quiet or not output.console.is_terminal:
        yield lambda done, count: None
        return
    from ..platform.progress_bar import progress_bar

    with progress_bar(output.console, title) as show:
        yield lambda done, count: show(done / count if count else 1.0)
