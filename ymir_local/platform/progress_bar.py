"""Shows the progress of a task: a bar on a terminal, a line at every tenth elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def progress_bar(console: Console, title: str) -> Iterator[Callable[[float], None]]:
    """Return a function that takes the percent done, 0 to 1.

    Args:
        console: where to draw.
        title: what is going on.
    """
    if console.is_terminal:
        columns = (
            TextColumn('{task.description:<10}', markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task(title, total=1.0)
            yield lambda percent: progress.update(bar, completed=percent)
        return

    shown = -1

    def print_tenths(percent: float) -> None:
        nonlocal shown
        tenth = int(percent * 10 + 1e-6)
        if tenth > shown:
            shown = tenth
            console.print(f'{title}: {percent:.0%}', markup=False, highlight=False, soft_wrap=True)

    yield print_tenths
