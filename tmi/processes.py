"""How the processes of a task tell each other what failed, so that the outermost one alone has the last word.

A task is a tree of processes (the adapter's script, torchrun, ranks, loader workers) that all write to one log. The
outermost process names a file in the environment variable `TMI_ERROR_FILE`; the processes below leave their error there
(the first one wins: what follows in other ranks are consequences), and the outermost reports it after all others ended.
"""

import ctypes
import json
import logging
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from tmi.errors import SettingError, TaskError, as_task_error, cause_name, error_named

ERROR_FILE_VARIABLE = 'TMI_ERROR_FILE'
STARTED_VARIABLE = 'TMI_STARTED'  # the clock when the outermost process began, for a time budget
STANDSTILL_VARIABLE = 'TMI_STANDSTILL_SECONDS'  # after which a process that does nothing is ended
MAX_TRACE_LINES = 99
PR_SET_PDEATHSIG = 1

logger = logging.getLogger('tmi')


@dataclass
class ErrorRecord:
    """What one process leaves for the outermost one.

    Args:
        cause: Name of a class of `tmi.errors`.
        sentence: What the user is to read.
        process: The name of the process in the words of the user.
        trace: The last lines of the traceback.
    """

    cause: str
    sentence: str
    process: str
    trace: list[str]

    @classmethod
    def of(cls, error: TaskError, process: str) -> 'ErrorRecord':
        lines = ''.join(traceback.format_exception(type(error), error, error.__traceback__)).splitlines()
        return cls(cause_name(error), error.sentence, process, lines[-MAX_TRACE_LINES:])

    def to_error(self) -> TaskError:
        """Return the error again, without its trace."""
        return error_named(self.cause, self.sentence)


def end_with_parent() -> None:
    """Have this process ended (SIGTERM) when the one that started it is killed: nobody would take its results.

    Called first by each process of a task but the outermost. On Linux; elsewhere, and in a process that was started by
    hand, this does nothing.
    """
    if sys.platform == 'linux' and os.environ.get(ERROR_FILE_VARIABLE):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def note_start(started: float) -> None:
    """Note when the task began, for the processes below; called first by the outermost process.

    Args:
        started: As `time.monotonic` has it.
    """
    os.environ[STARTED_VARIABLE] = repr(started)


def task_started() -> float:
    """Return when the task began, as `time.monotonic` has it; now, in a process that stands alone."""
    return float(os.environ.get(STARTED_VARIABLE) or time.monotonic())


def seconds_of(variable: str) -> float | None:
    """Return the seconds that an environment variable sets, None if it sets none.

    Args:
        variable: Its name.

    Raises:
        TaskError: SettingError if it holds no number above 0.
    """
    text = os.environ.get(variable, '')
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float('inf'):
        raise SettingError(f'The environment variable {variable} is {text!r}; allowed is a number of seconds above 0.')
    return seconds


def read_record(path: str) -> ErrorRecord | None:
    """Read the error that a process below left, None if there is none or it is cut short by a kill."""
    try:
        with open(path, encoding='utf-8') as file:
            return ErrorRecord(**json.load(file))
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def forget_record() -> None:
    """Take back what was left, where the cause becomes known after its consequences."""
    path = os.environ.get(ERROR_FILE_VARIABLE)
    if path:
        Path(path).unlink(missing_ok=True)


def leave_record(path: str, record: ErrorRecord) -> None:
    """Write a record whole or not at all, and only if no other process did so before.

    Args:
        path: The file that the outermost process reads.
        record: What failed.
    """
    temporary = f'{path}.{socket.gethostname()}.{os.getpid()}'
    try:
        with open(temporary, 'w', encoding='utf-8') as file:
            json.dump(asdict(record), file)
        os.link(temporary, path)
    except FileExistsError:
        logger.info('an earlier error of this task is already recorded')
    except OSError as error:  # on a full disk, say; the trace stands in the log
        logger.warning('The error of %s cannot be recorded in %s: %s', record.process, path, error)
    finally:
        Path(temporary).unlink(missing_ok=True)


def report(error: BaseException, process: str = 'task') -> TaskError:
    """Print the trace of a failure and leave its record for the outermost process, if there is one.

    Args:
        error: What was caught.
        process: The name of the process in the words of the user, e.g. 'training, rank 1'.

    Returns:
        What was reported.
    """
    mapped = as_task_error(error)
    traceback.print_exception(type(error), error, error.__traceback__)
    path = os.environ.get(ERROR_FILE_VARIABLE)
    if path:
        leave_record(path, ErrorRecord.of(mapped, process))
    return mapped


def report_uncaught(process: str, report: Callable[[BaseException, str], object] = report) -> None:
    """Have every exception that ends this process reported, for scripts whose main is not ours to wrap.

    Args:
        process: The name of the process in the words of the user.
        report: How.
    """

    def hook(kind: type, error: BaseException, trace: object) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            report(error, process)

    sys.excepthook = hook


def run_task(
    name: str, main: Callable[[], int | None], report: Callable[[BaseException, str], object] = report
) -> None:
    """Run the main of a process, and end the process; a failure is reported and gives exit status 1.

    Args:
        name: The name of the process in the words of the user.
        main: What to run; its return value is the exit status, None meaning 0.
        report: How a failure is reported.
    """
    try:
        status = main() or 0
    except Exception as error:
        report(error, name)
        status = 1
    sys.stdout.flush()
    sys.exit(status)
