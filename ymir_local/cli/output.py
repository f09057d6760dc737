"""What commands say and where: people's text, or one JSON object on standard output and everything else beside it."""

import json
import os
import shlex
import shutil
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import typer

from ..texts import t

EXIT_FAILED, EXIT_USAGE, EXIT_STOPPED = 1, 2, 130
SHOWN_WARNINGS = 10


class UsageMistake(Exception):
    """The user asked for something that cannot be; the message says what is allowed."""


def default_language() -> str:
    """Return Chinese if the locale is and standard output can show it, else English."""
    locale = next((os.environ[name] for name in ('LC_ALL', 'LC_MESSAGES', 'LANG') if os.environ.get(name)), '')
    if not locale.lower().startswith('zh'):
        return 'en'
    try:
        '中'.encode(getattr(sys.stdout, 'encoding', None) or 'utf-8')
    except UnicodeEncodeError:
        return 'en'
    return 'zh'


def sentence(error: BaseException) -> str:
    """Return what went wrong, without the number of the system's error.

    Args:
        error: any.
    """
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    names = [os.fspath(name) for name in (error.filename, error.filename2) if isinstance(name, (str, os.PathLike))]
    return f'{" -> ".join(names)}: {error.strerror}' if names else error.strerror


class Output:
    """Where a command writes.

    Args:
        as_json: print one JSON object at the end, and everything else to standard error.
        quiet: say nothing but errors and the end.
        language: 'en', 'zh', or empty for that of the locale.
    """

    def __init__(self, as_json: bool = False, quiet: bool = False, language: str = '') -> None:
        from .console import Console

        self.as_json = as_json
        self.quiet = quiet
        self.language = language or default_language()
        self.console = Console(stderr=as_json)
        self.errors = Console(stderr=True)

    def text(self, key: str, **values: Any) -> str:
        """Return a sentence in the user's language.

        Args:
            key: its name in the section `cli` of the texts.
            values: for its gaps.
        """
        return t(f'cli.{key}', **values).in_language(self.language)

    def say(self, text: str, style: str = '') -> None:
        """Say something on the way.

        Args:
            text: one or more lines.
            style: of rich.
        """
        if not self.quiet:
            self.console.print(text, style=style or None, markup=False, highlight=False, soft_wrap=True)

    def end(self, text: str, style: str = '') -> None:
        """Say what came out, also to a user who wants quiet.

        Args:
            text: one or more lines.
            style: of rich.
        """
        self.console.print(text, style=style or None, markup=False, highlight=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Warn, on standard error.

        Args:
            text: one sentence.
        """
        self.errors.print(
            f'{self.text("warning")}: {text}', style='yellow', markup=False, highlight=False, soft_wrap=True
        )

    def warn_of(self, sentences: Sequence[str]) -> None:
        """Warn of many things: the first few, and how many more.

        Args:
            sentences: such as the warnings of a data set.
        """
        for sentence in sentences[:SHOWN_WARNINGS]:
            self.warn(sentence)
        if len(sentences) > SHOWN_WARNINGS:
            self.warn(self.text('more warnings', count=len(sentences) - SHOWN_WARNINGS))

    def table(
        self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()
    ) -> None:
        """Print a table.

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
            table.add_column(
                Text(column), justify='right' if number in right else 'left', overflow='fold', no_wrap=number in right
            )
        for row in rows:
            table.add_row(*(Text(str(cell)) for cell in row))
        self.console.print(table)

    def finish(self, result: dict[str, Any], code: int = 0) -> NoReturn:
        """End the command.

        Args:
            result: for `--json`.
            code: exit code.
        """
        if self.as_json:
            self._print_json(result)
        raise typer.Exit(code)

    def fail(self, text: str, code: int = EXIT_USAGE) -> NoReturn:
        """End the command with a sentence about what is wrong.

        Args:
            text: the sentence.
            code: exit code.
        """
        self.errors.print(f'{self.text("error")}: {text}', style='red', markup=False, highlight=False, soft_wrap=True)
        self.finish({'ok': False, 'error': text, 'exit_code': code}, code)

    def stop(self) -> NoReturn:
        """End the command after Ctrl-C."""
        self.errors.print(self.text('interrupted'), style='yellow')
        self.finish({'ok': False, 'stopped': True, 'exit_code': EXIT_STOPPED}, EXIT_STOPPED)

    def _print_json(self, result: dict[str, Any]) -> None:
        text = json.dumps(result, ensure_ascii=False, default=str, allow_nan=False)
        try:
            text.encode('utf-8')
        except UnicodeEncodeError:  # a file name of other bytes: JSON escapes it
            text = json.dumps(result, default=str, allow_nan=False)
        try:
            typer.echo(text)
        except BrokenPipeError:
            from .console import drop_output

            drop_output(sys.stdout)

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Turn every error into one sentence and an exit code, and Ctrl-C into 130; with `--json` into JSON as well.

        Without it, an unexpected error keeps its trace, which is what a developer needs.
        """
        try:
            yield
        except typer.Exit:
            raise
        except KeyboardInterrupt:
            self.stop()
        except Exception as error:
            if isinstance(error, _mistakes()):
                self.fail(sentence(error))
            if isinstance(error, OSError):  # the disk is full, for example
                self.fail(sentence(error), EXIT_FAILED)
            if not self.as_json:
                raise
            traceback.print_exc()
            self.fail(f'{type(error).__name__}: {error}', EXIT_FAILED)


def _mistakes() -> tuple[type, ...]:
    """Return what the user, and not this program, has to fix."""
    from ymir_exc.errors import ExecutorError

    from ..platform.package import PackageError
    from ..platform.parameters import ParameterError

    return (
        UsageMistake,
        ParameterError,
        PackageError,
        ExecutorError,
        FileExistsError,
        FileNotFoundError,
        NotADirectoryError,
        IsADirectoryError,
        PermissionError,
    )


def shown_path(path: Path) -> str:
    """Return a path as the user would type it: relative where that is shorter, quoted for the shell.

    Args:
        path: any.
    """
    relative = os.path.relpath(path)
    return shlex.quote(relative if len(relative) < len(str(path)) else str(path))


def program() -> str:
    """Return this command as the user has to type it: with its path where it is not on PATH."""
    called = Path(sys.argv[0])
    return shown_path(called) if called.name == 'ymir' and not shutil.which('ymir') else 'ymir'


def size(count: float) -> str:
    """Write a number of bytes for people.

    Args:
        count: of bytes.
    """
    for unit in ('B', 'kB', 'MB'):
        if count < 1000:
            return f'{count:.0f} {unit}' if unit == 'B' else f'{count:.1f} {unit}'
        count /= 1000
    return f'{count:.1f} GB'
