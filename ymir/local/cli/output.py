"""What commands say and where: people's text, or one JSON object on standard output and everything else beside it."""
import json
import os
import shlex
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, NoReturn, Sequence, Tuple

import typer

from .texts import TEXTS

EXIT_FAILED, EXIT_USAGE, EXIT_STOPPED = 1, 2, 130
LANGUAGES = ('en', 'zh')


class UsageMistake(Exception):
    """The user asked for something that cannot be; the message says what is allowed."""


def default_language() -> str:
    """Chinese if the locale is, else English."""
    locale = next((os.environ[name] for name in ('LC_ALL', 'LC_MESSAGES', 'LANG') if os.environ.get(name)), '')
    return 'zh' if locale.lower().startswith('zh') else 'en'


class Output:
    """Where a command writes.

    Args:
        as_json: print one JSON object at the end, and everything else to standard error.
        quiet: say nothing but errors and the end.
        language: 'en', 'zh', or empty for that of the locale.
    """

    def __init__(self, as_json: bool = False, quiet: bool = False, language: str = '') -> None:
        from rich.console import Console
        self.as_json = as_json
        self.quiet = quiet
        self.language = language or default_language()
        self.console = Console(stderr=as_json)
        self.errors = Console(stderr=True)

    def text(self, key: str, **values: Any) -> str:
        """Gives a sentence in the user's language.

        Args:
            key: its name in texts.py.
            values: for its gaps.
        """
        return TEXTS[key][LANGUAGES.index(self.language)].format(**values)

    def say(self, text: str, style: str = '') -> None:
        """Says something on the way.

        Args:
            text: one or more lines.
            style: of rich.
        """
        if not self.quiet:
            self.console.print(text, style=style or None, markup=False, highlight=False, soft_wrap=True)

    def end(self, text: str, style: str = '') -> None:
        """Says what came out, also to a user who wants quiet.

        Args:
            text: one or more lines.
            style: of rich.
        """
        self.console.print(text, style=style or None, markup=False, highlight=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Warns, on standard error.

        Args:
            text: one sentence.
        """
        self.errors.print(f'{self.text("warning")}: {text}',
                          style='yellow',
                          markup=False,
                          highlight=False,
                          soft_wrap=True)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]],
              right: Sequence[int] = ()) -> None:
        """Prints a table.

        Args:
            title: above it.
            columns: headings.
            rows: texts.
            right: numbers of the columns that are aligned to the right.
        """
        from rich.table import Table
        from rich.text import Text
        table = Table(title=title, title_justify='left')
        for number, column in enumerate(columns):
            table.add_column(column, justify='right' if number in right else 'left', overflow='fold')
        for row in rows:
            table.add_row(*(Text(str(cell)) for cell in row))
        self.console.print(table)

    def finish(self, result: Dict[str, Any], code: int = 0) -> NoReturn:
        """Ends the command.

        Args:
            result: for `--json`.
            code: exit code.
        """
        if self.as_json:
            typer.echo(json.dumps(result, ensure_ascii=False, default=str, allow_nan=False))
        raise typer.Exit(code)

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Turns the mistakes of users into one sentence and exit code 2, and Ctrl-C into 130."""
        from ymir_exc.errors import ExecutorError

        from ..package import PackageError
        from ..parameters import ParameterError
        try:
            yield
        except (UsageMistake, ParameterError, PackageError, ExecutorError, FileExistsError, FileNotFoundError,
                NotADirectoryError, PermissionError) as error:
            self.errors.print(f'{self.text("error")}: {error}',
                              style='red',
                              markup=False,
                              highlight=False,
                              soft_wrap=True)
            self.finish(dict(ok=False, error=str(error)), EXIT_USAGE)
        except KeyboardInterrupt:
            self.errors.print(self.text('interrupted'), style='yellow')
            self.finish(dict(ok=False, stopped=True), EXIT_STOPPED)


def shown_path(path: Path) -> str:
    """A path as the user would type it: relative where that is shorter, quoted for the shell.

    Args:
        path: any.
    """
    relative = os.path.relpath(path)
    return shlex.quote(relative if len(relative) < len(str(path)) else str(path))


def files_below(folder: Path) -> List[Tuple[str, int]]:
    """Lists the plain files of a folder with their sizes, links left out.

    Args:
        folder: where to look.
    """
    return sorted((str(path.relative_to(folder)), path.stat().st_size) for path in Path(folder).rglob('*')
                  if path.is_file() and not path.is_symlink())


def size(count: float) -> str:
    """Writes a number of bytes for people.

    Args:
        count: of bytes.
    """
    for unit in ('B', 'kB', 'MB'):
        if count < 1000:
            return f'{count:.0f} {unit}' if unit == 'B' else f'{count:.1f} {unit}'
        count /= 1000
    return f'{count:.1f} GB'
