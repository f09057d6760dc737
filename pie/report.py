"""How a failure reaches the user: one sentence in Chinese, one in English, and the exit status 1.

A trace is of use only where the cause is not known, so only then it is printed.
"""

import os
import sys
import traceback

from pie.texts import sentences
from tmi.errors import TaskError, UnknownError, as_task_error
from tmi.processes import ERROR_FILE_VARIABLE, ErrorRecord, leave_record


def show(error: BaseException) -> None:
    """Print a failure, as the last lines of the log.

    Args:
        error: Whatever was caught.
    """
    mapped = as_task_error(error)
    _print_trace(error, mapped)
    chinese, english = sentences(mapped)
    sys.stdout.flush()
    print(f'错误: {chinese}\nError: {english}', file=sys.stderr, flush=True)


def leave(error: BaseException, process: str) -> None:
    """Leave a failure to the process that started this one.

    Args:
        error: What was caught.
        process: The name of this one.
    """
    mapped = as_task_error(error)
    _print_trace(error, mapped)
    path = os.environ.get(ERROR_FILE_VARIABLE)
    if path:
        leave_record(path, ErrorRecord.of(mapped, process))


def _print_trace(error: BaseException, mapped: TaskError) -> None:
    if isinstance(mapped, UnknownError) and error.__traceback__:  # one that another process left has printed its own
        traceback.print_exception(type(error), error, error.__traceback__)
