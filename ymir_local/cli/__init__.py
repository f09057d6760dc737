"""The command line: `ymir train`, `ymir infer`, `ymir mine`, ... play the platform's part on one machine.

One file per group of commands. Everything that takes time to import is imported inside a command, so that `ymir --help`
answers at once.
"""

import sys
from typing import Annotated

import typer

from . import convert_command, info_commands, labels_command, package_commands, result_commands, task_commands
from .command_line import Command, CommandLine

app = typer.Typer(
    name='ymir',
    cls=CommandLine,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={'help_option_names': ['-h', '--help']},
    help='Train, infer and mine with an executor of the YMIR platform, without the platform.\n\n'
    'First steps: ymir train coco/ --model yolov8_n, then what it prints at its end. Each command has a '
    '--help with an example; exit codes: 0 success, 1 failure, 2 wrong usage, 130 stopped with Ctrl-C.',
)

TASKS, MODELS, RESULTS, HELP = 'Tasks', 'Models', 'Results and data', 'Information'
for command, name, panel in (
    (task_commands.train, 'train', TASKS),
    (task_commands.infer, 'infer', TASKS),
    (task_commands.mine, 'mine', TASKS),
    (package_commands.pack, 'pack', MODELS),
    (package_commands.unpack, 'unpack', MODELS),
    (info_commands.models, 'models', MODELS),
    (result_commands.check, 'check', RESULTS),
    (result_commands.report, 'report', RESULTS),
    (labels_command.labels, 'labels', RESULTS),
    (convert_command.convert, 'convert', RESULTS),
    (info_commands.explain, 'explain', HELP),
    (info_commands.demo, 'demo', HELP),
):
    app.command(name, cls=Command, rich_help_panel=panel)(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f'ymir-mmyolo {version("ymir-mmyolo")}')
        except PackageNotFoundError:
            typer.echo('ymir-mmyolo, not installed')
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option('--version', callback=_print_version, is_eager=True, help='Print the version.')
    ] = False,
) -> None:
    """Take the options before a command; the text of the help stands above."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with its exit code.

    Args:
        arguments: default: those of the process.
    """
    app(args=arguments, prog_name='ymir')


if __name__ == '__main__':
    sys.exit(main())
