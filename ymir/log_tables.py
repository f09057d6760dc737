"""Tables in the log of a task, without escape codes, since the log is shown as it is."""

import sys
from collections.abc import Sequence

import rich.box
from rich.console import Console
from rich.table import Table

LOG_WIDTH = 120


def print_table(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Print a table of what and how much to the log."""
    table = Table(title=title, title_justify='left', show_header=False, box=rich.box.ASCII)
    for name, value in rows:
        table.add_row(name, value)
    print_plain(table)


def print_plain(table: Table) -> None:
    """Print a table; what looks like markup in its cells is text."""
    options = {'no_color': True, 'highlight': False, 'markup': False, 'emoji': False, 'force_terminal': False}
    Console(width=LOG_WIDTH, **options).print(table)
    sys.stdout.flush()
