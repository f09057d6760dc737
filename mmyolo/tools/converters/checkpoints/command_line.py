"""The command line that all converters of checkpoints share."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from .convert import State, convert_checkpoint


def make_parser(description: str, src: str | None = None, dst: str | None = None) -> argparse.ArgumentParser:
    """Make a parser.

    Args:
        description: What is converted.
        src: The default of --src; without one, `src` and `dst` are positional.
        dst: The default of --dst.
    """
    parser = argparse.ArgumentParser(description=description)
    for name, default, text in (('src', src, 'the checkpoint to convert'), ('dst', dst, 'the file to write')):
        if default is None:
            parser.add_argument(name, help=text)
        else:
            parser.add_argument(f'--{name}', default=default, help=f'{text}; {default} by default')
    parser.add_argument('--config', help='a config whose model the weights must fit; else nothing is written')
    return parser


def run(
    args: argparse.Namespace,
    translate: Callable[[State], State],
    read: Callable[[str | Path], State] | None = None,
    may_lack: Sequence[str] = (),
    name_classes: Callable[[State], Sequence[str] | None] = lambda state: None,
) -> None:
    """Convert as the arguments say; end the program with a message if that fails.

    Args:
        args: Of `make_parser`.
        translate: See `convert_checkpoint`.
        read: See `convert_checkpoint`.
        may_lack: See `convert_checkpoint`.
        name_classes: See `convert_checkpoint`.
    """
    try:
        state = convert_checkpoint(args.src, args.dst, translate, read, args.config, may_lack, name_classes)
    except ValueError as error:
        sys.exit(str(error))
    print(f'{args.dst}: {len(state)} tensors')
