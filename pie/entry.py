"""What the scripts of the package have in common: how a process begins, is stopped, and ends with its sentence."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from pie.report import show
from tmi import log
from tmi.errors import SETTINGS_FILE_VARIABLE, killed_process
from tmi.paths import PROJECT_ROOT
from tmi.processes import ERROR_FILE_VARIABLE, note_start, read_record
from tmi.setting_names import write_setting_names

# What the core calls them -> what the platform does; the other settings of the core cannot be set there.
SETTING_NAMES = {
    'class_names': 'label',
    'gpu_count': 'gpu_num',
    'img_size': 'load_size',
    'learning_rate': 'learning_rate',
    'max_epochs': 'epochs',
    'model_name': 'model_name',
    'pretrained_model_params': 'resume_path',
    'samples_per_gpu': 'batch_size',
}
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stopped(BaseException):
    """The process was asked to end.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def run_guarded(
    work: Callable[[], None], started: float, stopped: Callable[[Stopped], None], last: Callable[[], None] | None = None
) -> int:
    """Do the work of a script; whatever goes wrong becomes a sentence in both languages.

    Args:
        work: Does it.
        started: When the process began, as `time.monotonic` has it.
        stopped: Says that a signal came.
        last: Called at the end, also after a failure or a signal.

    Returns:
        The exit status: 0 for work that is done, 1 after a failure, 128 and the number of a signal.
    """
    _prepare_process(started)
    previous = {number: signal.signal(number, _stop) for number in STOPPING}
    status = 0
    with tempfile.TemporaryDirectory(prefix='pie-') as folder:
        os.environ[ERROR_FILE_VARIABLE] = os.path.join(folder, 'error.json')
        try:
            work()
        except Stopped as stop:
            stopped(stop)
            status = 128 + stop.number
        except Exception as error:
            show(_cause(error))
            status = 1
        finally:
            for number in STOPPING:  # what follows takes milliseconds and must not be cut
                signal.signal(number, signal.SIG_IGN)
            if last is not None:
                last()
            os.environ.pop(ERROR_FILE_VARIABLE)
    for number, handler in previous.items():
        signal.signal(number, handler)
    return status


def _prepare_process(started: float) -> None:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, 'reconfigure'):
            stream.reconfigure(encoding='utf-8', errors='replace', line_buffering=True)  # the log is a pipe
    os.environ[SETTINGS_FILE_VARIABLE] = 'the parameters'
    write_setting_names(SETTING_NAMES)
    os.environ.setdefault('PYTHONUNBUFFERED', '1')
    os.environ.setdefault('PYTHONIOENCODING', 'utf-8')
    os.environ.setdefault('OPENCV_LOG_LEVEL', 'SILENT')
    os.environ.setdefault('PYTHONWARNINGS', 'ignore::FutureWarning,ignore::DeprecationWarning')
    paths = [path for path in os.environ.get('PYTHONPATH', '').split(os.pathsep) if path and path != str(PROJECT_ROOT)]
    os.environ['PYTHONPATH'] = os.pathsep.join([str(PROJECT_ROOT), *paths])
    note_start(started)
    log.configure_logging('info', ('tmi', 'pie'))


def _stop(number: int, frame: Any) -> None:
    for other in STOPPING:
        signal.signal(other, signal.SIG_IGN)
    raise Stopped(number)


def _cause(error: Exception) -> BaseException:
    """Return what a process below left, or why it was killed; the error itself where there is no such thing."""
    record = read_record(os.environ[ERROR_FILE_VARIABLE])
    if record is not None:
        return record.to_error()
    if isinstance(error, subprocess.CalledProcessError):
        return killed_process('The training process', error.returncode) or error
    return error
