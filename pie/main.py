"""A training from its parameters to the end of its log."""

import functools
import shutil
import time
from collections.abc import Callable
from pathlib import Path

STARTED = time.monotonic()  # before the imports that follow

from mmyolo.utils.files import replacing  # noqa: E402
from pie.causes import file_cause  # noqa: E402
from pie.entry import run_guarded  # noqa: E402
from pie.labels import objects_of  # noqa: E402
from pie.models import network_of  # noqa: E402
from pie.outputs import Outputs  # noqa: E402
from pie.parameter_source import read_parameters  # noqa: E402
from pie.parameters import make_parameters  # noqa: E402
from pie.storage import connect  # noqa: E402
from pie.texts import PieError, say, warn  # noqa: E402
from pie.trainlog import TrainLog  # noqa: E402
from pie.weights import fetch_weights  # noqa: E402


def run(base: str, arguments: list[str]) -> int:
    """Train as the parameters say.

    Args:
        base: The folder of train.py.
        arguments: Of the command line.

    Returns:
        The exit status: 0 after a training that came to its end, 1 after a failure, 128 and the number of a signal.
    """
    started: list[tuple[Outputs, bytes]] = []  # once the log of this training is begun, with what it took the place of

    def finish() -> None:
        for outputs, earlier in started:
            log = TrainLog.read(outputs.log)
            if earlier and not log.content['epochs']:  # weights and pictures are still those of the earlier training
                with replacing(outputs.log) as temporary:
                    temporary.write_bytes(earlier)
            else:
                log.finish()

    status = run_guarded(
        lambda: _train(Path(base), arguments, started), STARTED, lambda stop: warn('stopped', signal=stop), finish
    )
    if not status:
        say('finished', folder=started[0][0].folder)
    return status


def _train(base: Path, arguments: list[str], started: list[tuple[Outputs, bytes]]) -> None:
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
        raise PieError('not_writable', path=error.filename, reason=file_cause(error)) from error
    storage, url = connect(parameters.dataset_id)
    weights = None
    if parameters.resume_path:
        weights = fetch_weights(storage, parameters.resume_path, parameters.weights_stem, run_dir / 'weights')
    prepare = _prepare_detection if task == 'detection' else _prepare_pixels
    train = prepare(storage, url, parameters, task, network, labels, base, run_dir)
    earlier = outputs.log.read_bytes() if outputs.log.is_file() else b''
    TrainLog.start(outputs.log, parameters.training_id, task)
    started.append((outputs, earlier))
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
