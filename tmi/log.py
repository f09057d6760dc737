"""The log of a task."""

import logging
import sys
import warnings
from collections.abc import Sequence


def configure_logging(level: str = 'info', packages: Sequence[str] = ('tmi',)) -> None:
    """Send the messages of a task and Python's warnings, each on one line, to the standard output.

    Args:
        level: 'debug', 'info', 'warning' or 'error'.
        packages: Whose messages are shown from this level on.
    """
    logging.basicConfig(format='%(asctime)s %(levelname)s %(message)s', stream=sys.stdout, force=True)
    for name in packages:
        logging.getLogger(name).setLevel(level.upper())
    logging.captureWarnings(True)
    warnings.formatwarning = _one_line_warning


def _one_line_warning(message: object, category: type, *_: object, **__: object) -> str:
    return f'{" ".join(str(message).split())} ({category.__name__})'
