"""A training from its parameters to the end of its log."""

import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STARTED = time.monotonic()  # before the imports that follow

from pie.labels import objects_of  # noqa: E402
from pie.models import network_of  # noqa: E402
from pie.outputs import Outputs  # noqa: E402
from pie.parameter_source import read_parameters  # noqa: E402
from pie.parameters import make_parameters  # noqa: E402
from pie.report import show  # noqa: E402
from pie.storage import connect  # noqa: E402
from pie.texts import PieError, say, warn  # noqa: E402
from pie.trainlog import TrainLog  # noqa: E402
from pie.weights import fetch_weights  # noqa: E402
from tmi import log  # noqa: E402
from tmi.errors import SETTINGS_FILE_VARIABLE, killed_process  # noqa: E402
from tmi.paths import PROJECT_ROOT  # noqa: E402
from tmi.processes import ERROR_FILE_VARIABLE, note_start, read_record  # noqa: E402

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stopped(BaseException):
    """The process was asked to end.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def run(base: str, arguments: list[str]) -> int:
    """Train as the parameters say.

    Args:
        base: The folder of train.py.
        arguments: Of the command line.

    Returns:
        The exit status: 0 after a training that came to its end, 1 after a failure, 128 and the number of a signal.
    """
    _prepare_process()
    previous = {number: signal.signal(number, _stop) for number in STOPPING}
    started: list[Outputs] = []  # once the log of this training is begun
    status = 0
    with tempfile.TemporaryDirectory(prefix='pie-') as folder:
        os.environ[ERROR_FILE_VARIABLE] = os.path.join(folder, 'error.json')
        try:
            _train(Path(base), arguments, started)
        except Stopped as stop:
            warn('stopped', signal=stop)
            status = 128 + stop.number
        except Exception as error:
            show(_cause(error))
            status = 1
        finally:
            for number in STOPPING:  # what follows takes milliseconds and must not be cut
                signal.signal(number, signal.SIG_IGN)
            for outputs in started:
                TrainLog.read(outputs.log).finish()
            os.environ.pop(ERROR_FILE_VARIABLE)
    if not status:
        say('finished', folder=started[0].folder)
    for number, handler in previous.items():
        signal.signal(number, handler)
    return status


def _train(base: Path, arguments: list[str], started: list[Outputs]) -> None:
    if Path.cwd().resolve() != base.resolve():
        warn('other_folder', base=base, cwd=Path.cwd())
    parameters = make_parameters(read_parameters(arguments, base))
    task, network = network_of(parameters)
    labels = parameters.labels()
    outputs = Outputs.of(base, parameters.weights_stem)
    try:
        outputs.prepare()
        run_dir = _run_folder(base)
    except OSError as error:
        raise PieError('not_writable', path=error.filename, reason=error.strerror) from error
    storage, url = connect(parameters.dataset_id)
    weights = None
    if parameters.resume_path:
        weights = fetch_weights(storage, parameters.resume_path, parameters.weights_stem, run_dir / 'weights')
    prepare = _prepare_detection if task == 'detection' else _prepare_pixels
    train = prepare(storage, url, parameters, task, network, labels, base, run_dir)
    TrainLog.start(outputs.log, parameters.training_id, task)
    started.append(outputs)
    train(outputs, run_dir, weights)
    shutil.rmtree(run_dir, ignore_errors=True)


# The imports of these take seconds; what is wrong with the parameters is said before.
def _prepare_detection(storage, url, parameters, task, network, labels, base, run_dir) -> Callable[..., None]:
    """Read the data; return what trains."""
    from pie.dataset import prepare_detection
    from pie.detection import train_detector

    labels = objects_of(labels)
    data = prepare_detection(storage, url, labels, base, run_dir, parameters.model_name)
    return functools.partial(train_detector, parameters, labels, network, data)


def _prepare_pixels(storage, url, parameters, task, network, labels, base, run_dir) -> Callable[..., None]:
    """Read the data; return what trains."""
    from pie.pixel_data import prepare_pixels
    from pie.pixels import train_pixels

    if len(labels) < 2:
        raise PieError('needs_background', names=labels[0].name)
    splits = prepare_pixels(storage, url, labels, base, run_dir, task, parameters.model_name)
    return functools.partial(train_pixels, parameters, labels, network, splits)


def _run_folder(base: Path) -> Path:
    """Return an empty folder for the files of this run."""
    folder = base / 'data' / 'run'
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _prepare_process() -> None:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, 'reconfigure'):
            stream.reconfigure(encoding='utf-8', errors='replace', line_buffering=True)  # the log is a pipe
    os.environ[SETTINGS_FILE_VARIABLE] = 'the parameters'
    os.environ.setdefault('PYTHONUNBUFFERED', '1')
    os.environ.setdefault('PYTHONIOENCODING', 'utf-8')
    os.environ.setdefault('OPENCV_LOG_LEVEL', 'SILENT')
    os.environ.setdefault('PYTHONWARNINGS', 'ignore::FutureWarning,ignore::DeprecationWarning')
    paths = [path for path in os.environ.get('PYTHONPATH', '').split(os.pathsep) if path and path != str(PROJECT_ROOT)]
    os.environ['PYTHONPATH'] = os.pathsep.join([str(PROJECT_ROOT), *paths])
    note_start(STARTED)
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
