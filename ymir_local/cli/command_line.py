"""The group of commands, and what it says about a command line that cannot be understood."""

import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from .output import EXIT_STOPPED, EXIT_USAGE, Output
from .signals import stop_signals

TASK_OF_COMMAND = {'train': 'training', 'infer': 'infer', 'mine': 'mining'}
UsageError = typer.BadParameter.__base__  # of click, which recent versions of typer do not show


class Command(TyperCommand):
    """A command that rejects an option without a value, as an unset variable of a script leaves it: `--image ""`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        """Read the arguments of the command; called by typer.

        Args:
            ctx: of typer.
            args: of the command line.
        """
        valued = {name for option in self.params if not getattr(option, 'is_flag', True) for name in option.opts}
        for argument, following in zip(args, [*args[1:], None]):
            name, equals, value = argument.partition('=')
            if name in valued and (value if equals else following if following is not None else name).strip() == '':
                raise UsageError(f'{name} is empty; give a value, or leave the option out', ctx)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:
        """Write the help, with the hyper-parameters of a task as its template describes them; called by typer.

        Args:
            ctx: of typer.
            formatter: of click.
        """
        super().format_help(ctx, formatter)
        task = TASK_OF_COMMAND.get(self.name or '')
        if task is None:
            return
        from ..platform.parameters import ParameterError, describe_template

        try:
            rows = describe_template(task)
        except (ParameterError, OSError, ValueError):
            return  # this package alone, without the executor
        with formatter.section('KEY=VALUE, with the defaults of the executor of this package'):
            formatter.write_dl(rows)


class CommandLine(TyperGroup):
    """Says one sentence about wrong usage in the manner of every other error; with `--json`, on standard output too."""

    _as_json = _has_begun = False

    def main(
        self, args: Sequence[str] | None = None, *positional: Any, standalone_mode: bool = True, **options: Any
    ) -> Any:
        """Run a command line; called by typer.

        Args:
            args: default: those of the process.
            *positional: of typer.
            standalone_mode: whether the process ends with the command.
            **options: of typer.
        """
        arguments: list[str] = list(sys.argv[1:] if args is None else args)
        self._as_json = '--json' in arguments
        if not standalone_mode:
            return super().main(arguments, *positional, standalone_mode=False, **options)
        self._has_begun = False
        with stop_signals():
            try:
                code = super().main(arguments, *positional, standalone_mode=False, **options)
                if code == EXIT_STOPPED and not self._has_begun:
                    _say_stopped(self._as_json)
            except UsageError as error:
                code = _explain(error, self._as_json)
            except typer.Abort:
                code = EXIT_STOPPED
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: typer.Context) -> Any:
        """Run a command; called by typer, which makes its own of Ctrl-C.

        Args:
            ctx: of typer.
        """
        self._has_begun = True
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _say_stopped(self._as_json)
            raise typer.Exit(EXIT_STOPPED) from None


def _say_stopped(as_json: bool) -> None:
    try:
        Output(as_json).stop()
    except typer.Exit:
        pass


def _explain(error: Any, as_json: bool) -> int:
    output = Output(as_json)
    if type(error).__name__ == 'NoArgsIsHelpError':
        output.console.print(error.format_message(), markup=False, highlight=False, soft_wrap=True)
        return EXIT_USAGE
    try:
        output.fail(_sentence(error))
    except typer.Exit:
        if error.ctx:
            text = f'{error.ctx.get_usage()}\n`{error.ctx.command_path} --help` explains it.'
            output.errors.print(text, markup=False, highlight=False, soft_wrap=True)
    return EXIT_USAGE


def _sentence(error: Any) -> str:
    """Return what is wrong, what is allowed and how to fix it."""
    command = error.ctx.command if error.ctx else None
    described = getattr(error, 'param', None)
    if described is not None:
        # Recent versions of typer check with pydantic, which names the exception.
        hints = [error.format_message().replace('Value error, ', ''), getattr(described, 'help', None) or '']
    else:
        near = sorted(getattr(error, 'possibilities', None) or ())
        hints = [error.message, f'Did you mean {" or ".join(near)}?' if near else '']
        names = [parameter.name for parameter in getattr(command, 'params', ())]
        if not near and hasattr(error, 'option_name') and 'overrides' in names:
            hints.append('A hyper-parameter is written without dashes, for example max_epochs=20.')
        elif hasattr(command, 'commands') and 'Did you mean' not in ' '.join(hints):
            hints.append(f'Commands are: {", ".join(command.commands)}.')
    words = (' '.join(hint.split()) for hint in hints)
    return ' '.join(hint if hint.endswith(('.', '?')) else f'{hint}.' for hint in words if hint)
