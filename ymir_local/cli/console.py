"""Where text is printed: never folded when it is piped, never the end of a command because of a letter."""

import errno
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

from rich.console import Console as RichConsole

WIDTH_OF_FILES = 200


def encode_everything(stream: TextIO) -> None:
    """Let a stream print what its encoding lacks, such as a file name, as an escape instead of raising an error.

    Args:
        stream: standard output or standard error.
    """
    if getattr(stream, 'errors', '') == 'strict' and hasattr(stream, 'reconfigure'):
        stream.reconfigure(errors='backslashreplace')


def drop_output(stream: TextIO) -> None:
    """Send all that is still to be printed nowhere, once whoever read it has gone.

    Args:
        stream: standard output or standard error.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


class _Stream:
    """A stream whose terminal has gone, with a connection that ended, is one whose reader has gone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        return self._tell(self._stream.write, text)

    def flush(self) -> None:
        self._tell(self._stream.flush)

    @staticmethod
    def _tell(action: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return action(*arguments)
        except OSError as error:
            if error.errno == errno.EIO:
                raise BrokenPipeError(error.errno, error.strerror) from None
            raise


class Console(RichConsole):
    """A console of rich that knows what may happen to a stream.

    A file or a pipe has no width, so tables are as wide as their contents there, unless COLUMNS says otherwise. When
    the reader of a pipe goes (`| head`), or the terminal is closed, the command ends as with Ctrl-C, once.

    Args:
        stderr: print to standard error.
    """

    reader_has_gone = False

    def __init__(self, stderr: bool = False, **options: Any) -> None:
        stream = sys.stderr if stderr else sys.stdout
        encode_everything(stream)
        # No emoji: `:b:` in the name of a file is not a picture.
        super().__init__(file=_Stream(stream), stderr=stderr, emoji=False, **options)
        if not self.is_terminal and not os.environ.get('COLUMNS', '').isdigit():
            self.width = WIDTH_OF_FILES

    def on_broken_pipe(self) -> None:
        """Render itself; called by rich."""
        self.quiet = True
        drop_output(self.file)
        if not Console.reader_has_gone:
            Console.reader_has_gone = True
            raise KeyboardInterrupt
