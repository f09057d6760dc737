"""Shows a running task: a bar with the newest numbers on a terminal, a line at every tenth elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from ymir_exc.reading import MonitorLine

from .event_scalars import EventScalars

SECONDS_BETWEEN_READS = 1.0


def duration(seconds: float) -> str:
    """Write seconds as m:ss or h:mm:ss.

    Args:
        seconds: not negative.
    """
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02}:{seconds:02}' if hours else f'{minutes}:{seconds:02}'


def numbers_line(values: dict[str, float], max_epochs: int | None = None) -> str:
    """Write epoch, loss, accuracy and learning rate in one line.

    Args:
        values: as `EventScalars.last` gives them.
        max_epochs: of the whole training.
    """
    words = []
    if 'epoch' in values:
        words.append(f'epoch {values["epoch"]:g}' + (f'/{max_epochs}' if max_epochs else ''))
    accuracies = [name for name in values if name not in ('epoch', 'loss', 'lr')]
    words += [
        f'{name} {values[name]:{form}}'
        for name, form in (('loss', '.4g'), *((name, '.3f') for name in accuracies), ('lr', '.2g'))
        if name in values
    ]
    return '  '.join(words)


class Watch:
    """The newest numbers of a running task, and how long it will still take.

    Args:
        scalars: of the task, None for a task that draws no curves.
        max_epochs: of a training.
    """

    def __init__(self, scalars: EventScalars | None = None, max_epochs: int | None = None) -> None:
        self.scalars = scalars
        self.max_epochs = max_epochs
        self.percent = 0.0
        self.began = time.monotonic()
        self._moved: tuple | None = None
        self._next_read = 0.0

    def take(self, progress: MonitorLine) -> None:
        """Note the state of monitor.txt, and read the curves once a second.

        Args:
            progress: the newest state.
        """
        now = time.monotonic()
        percent = min(max(0.0, progress.percent), 1.0)  # NaN becomes 0
        if percent > self.percent and self._moved is None:
            self._moved = (now, percent)  # the start-up before it says nothing about the speed
        self.percent = percent
        if self.scalars and (now >= self._next_read or percent >= 1):
            self.scalars.update()
            self._next_read = time.monotonic() + SECONDS_BETWEEN_READS

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    @property
    def remaining(self) -> float | None:
        """Seconds to go at the speed so far; None while there is none."""
        if self._moved is None or self.percent >= 1:
            return None
        since, first = self._moved
        spent, done = time.monotonic() - since, self.percent - first
        if done <= 0 or spent < 0.5:
            spent, done = self.elapsed, self.percent
        return spent / done * (1 - self.percent) if done > 0 else None

    def numbers(self) -> str:
        """Return the line of numbers, empty where there are none."""
        return numbers_line(self.scalars.last(), self.max_epochs) if self.scalars else ''


@contextmanager
def live_view(
    console: Console, title: str, watch: Watch, quiet: bool = False
) -> Iterator[Callable[[MonitorLine], None]]:
    """Return a function that takes the state of monitor.txt and shows it; leave the terminal clean, however it ends.

    Args:
        console: where to draw.
        title: what is going on.
        watch: keeps the numbers.
        quiet: show nothing.
    """
    if quiet:
        yield watch.take
        return
    if not console.is_terminal:
        yield _lines(console, title, watch)
        return

    from rich.console import Group
    from rich.live import Live
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    def picture() -> Group:
        row = Table.grid(padding=(0, 1))
        remaining = watch.remaining
        row.add_row(
            title,
            ProgressBar(total=1.0, completed=watch.percent, width=30),
            f'{watch.percent:4.0%}',
            duration(watch.elapsed),
            f'ETA {duration(remaining)}' if remaining is not None else 'ETA -:--',
        )
        return Group(row, Text(watch.numbers(), no_wrap=True, overflow='ellipsis', style='dim'))

    with Live(picture(), console=console, auto_refresh=False) as live:

        def show(progress: MonitorLine) -> None:
            watch.take(progress)
            live.update(picture(), refresh=True)

        yield show


def _lines(console: Console, title: str, watch: Watch) -> Callable[[MonitorLine], None]:
    shown = -1

    def show(progress: MonitorLine) -> None:
        nonlocal shown
        watch.take(progress)
        tenth = int(watch.percent * 10 + 1e-6)
        if tenth <= shown:
            return
        shown = tenth
        remaining = watch.remaining
        words = [f'{title}: {watch.percent:.0%}', duration(watch.elapsed)]
        words += [f'ETA {duration(remaining)}'] if remaining is not None else []
        words += [watch.numbers()] if watch.numbers() else []
        console.print('  '.join(words), highlight=False, markup=False, soft_wrap=True)

    return show
