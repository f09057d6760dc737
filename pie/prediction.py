"""A prediction from its parameters to the files that the platform shows: `Predict.py` and `PredictModel.py`."""

import functools
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

STARTED = time.monotonic()  # before the imports that follow

from pie.causes import file_cause  # noqa: E402
from pie.child import usable_gpus  # noqa: E402
from pie.entry import run_guarded  # noqa: E402
from pie.labels import Label, objects_of  # noqa: E402
from pie.models import network_of  # noqa: E402
from pie.outputs import Outputs  # noqa: E402
from pie.parameter_source import read_parameters  # noqa: E402
from pie.predict_parameters import PredictParameters, find_weights, read_content, with_description  # noqa: E402
from pie.storage import Storage, connect, split_url  # noqa: E402
from pie.texts import PieError, say, warn  # noqa: E402
from tmi.devices import find_device, select_devices  # noqa: E402

FILE_NAME = 'predictcfg.json'
NOTICE = 5.0  # seconds between two lines about the progress
FORMATS = {'detection': ('geojson',), 'segmentation': ('tif', 'geojson'), 'change': ('tif', 'geojson')}


class Job(NamedTuple):
    """What is to be done.

    Args:
        parameters: Of the prediction.
        network: What predicts.
        labels: Classes, in the order of its outputs.
        weights: Its weights.
        device: 'cpu' or 'cuda'.
        paths: The picture, or both of a change detection.
        target: The file to write.
        folder: For files that nobody needs afterwards.
    """

    parameters: PredictParameters
    network: Any
    labels: list[Label]
    weights: Path
    device: str
    paths: list[Path]
    target: Path
    folder: Path


def run(base: str, arguments: list[str]) -> int:
    """Predict as the parameters say.

    Args:
        base: The folder of the script.
        arguments: Of the command line.

    Returns:
        The exit status: 0 for a result, 1 after a failure, 128 and the number of a signal.
    """
    return run_guarded(
        lambda: _predict(Path(base), arguments), STARTED, lambda stop: warn('predict_stopped', signal=stop)
    )


def _predict(base: Path, arguments: list[str]) -> None:
    source = read_parameters(arguments, base, file_name=FILE_NAME)
    content = read_content(source)
    storage = functools.cache(lambda: connect(str(content.get('dataset_id') or ''))[0])
    with tempfile.TemporaryDirectory(prefix='pie-') as name:
        folder = Path(name)
        weights = find_weights(content, storage, base, folder / 'weights')
        parameters = with_description(content, weights, source.place)
        task, network = network_of(parameters)
        labels = objects_of(parameters.labels()) if task == 'detection' else parameters.labels()
        paths = _pictures(parameters.image_path, task, storage, base)
        target = _target(parameters, task, base, paths[0].stem)
        gpus = usable_gpus(min(parameters.gpu_num, 1))
        select_devices(range(gpus))
        job = Job(parameters, network, labels, weights, find_device(gpus), paths, target, folder)
        (_predict_boxes if task == 'detection' else _predict_pixels)(job)
    print('[Process: 1/1]', flush=True)  # has the platform push what lies in output/


def _pictures(image_path: str, task: str, storage: Callable[[], Storage], base: Path) -> list[Path]:
    """Return the local files of the pictures."""
    names = [name.strip() for name in re.split('[;；]', image_path) if name.strip()]
    wanted = 2 if task == 'change' else 1
    if len(names) != wanted:
        raise PieError('image_count', found=len(names), wanted=wanted, task=task, image_path=image_path[:200])
    return [_fetched(name, storage(), base) if '://' in name else Path(name).expanduser() for name in names]


def _fetched(url: str, storage: Storage, base: Path) -> Path:
    from pie.dataset import cache_folder

    bucket, key = split_url(url, storage.bucket)
    found = [one for one in storage.list(key, bucket) if one.key == key]
    if not found:
        raise PieError('image_absent', path=url)
    return storage.fetch(found, '', cache_folder(base, bucket, ''), bucket)[key]


def _target(parameters: PredictParameters, task: str, base: Path, stem: str) -> Path:
    """Return the file to write; its folder is made."""
    suffix = parameters.output_format or FORMATS[task][0]
    if suffix not in FORMATS[task]:
        raise PieError('format_of_task', found=suffix, task=task, allowed=', '.join(FORMATS[task]))
    target = Outputs.of(base, stem).folder / 'picture' / f'{stem}_pred.{suffix}'
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for path in target.parent.glob(f'.{target.stem}-*'):  # what a killed prediction left half written
            path.unlink(missing_ok=True)
    except OSError as error:
        raise PieError('not_writable', path=error.filename, reason=file_cause(error)) from error
    return target


# The imports of these take seconds; what is wrong with the parameters is said before.
def _predict_boxes(job: Job) -> None:
    from pie.geojson import box_features, write_geojson
    from pie.predict_boxes import BoxPredictor, predict_boxes
    from pie.predict_pictures import draw_found
    from pie.scene import Scene, open_environment

    parameters = job.parameters
    with open_environment(), Scene(job.paths[0]) as scene:
        predictor = BoxPredictor(
            job.weights, job.network, job.labels, parameters.load_size, parameters.confidence, job.device
        )
        grid = _grid(job, scene)
        boxes = predict_boxes(scene, predictor, grid, Progress(len(grid)))
        write_geojson(job.target, box_features(boxes, job.labels), scene.place)
        draw_found(job.target.with_suffix('.png'), scene, boxes, job.labels)
        counts = [int((boxes.labels == number).sum()) for number in range(len(job.labels))]
        _say_found(job, [f'{one.name} {count}' for one, count in zip(job.labels, counts)])


def _predict_pixels(job: Job) -> None:
    from contextlib import ExitStack

    from pie.geojson import class_features, write_geojson
    from pie.predict_pictures import paint_found
    from pie.predict_pixels import PixelPredictor, load_network, polygons_of, predict_pixels
    from pie.scene import Scene, check_pair, open_environment

    parameters = job.parameters
    with open_environment(), ExitStack() as stack:
        scenes = [stack.enter_context(Scene(path)) for path in job.paths]
        if len(scenes) == 2:
            check_pair(*scenes)
        network = load_network(job.weights, job.network, len(job.labels))
        predictor = PixelPredictor(network, parameters.input_size(), job.device)
        grid = _grid(job, scenes[0])
        is_vector = job.target.suffix == '.geojson'
        raster = job.folder / 'classes.tif' if is_vector else job.target
        bands = 1 if is_vector else parameters.output_bands
        counts = predict_pixels(scenes, predictor, grid, job.labels, raster, bands, Progress(len(grid)))
        if is_vector:
            write_geojson(job.target, class_features(polygons_of(raster), job.labels), scenes[0].place)
        paint_found(job.target.with_suffix('.png'), scenes[-1], raster, job.labels)
        shares = 100 * counts / max(int(counts.sum()), 1)
        _say_found(job, [f'{one.name} {share:.2f} %' for one, share in zip(job.labels, shares)])


def _grid(job: Job, scene: Any) -> Any:
    """Return how the picture is cut, and say so."""
    from pie.tiles import Grid

    tile, overlap = job.parameters.tiling()
    say(
        'predict_start',
        model=job.network.name,
        picture='{} x {}'.format(*scene.size),
        tile='{}x{}'.format(*tile),
        overlap=overlap,
        device=job.device,
    )
    return Grid(scene.size, tile, overlap)


def _say_found(job: Job, found: Sequence[str]) -> None:
    say('predicted', path=job.target, found=', '.join(found), seconds=f'{time.monotonic() - STARTED:.1f}')


class Progress:
    """Says now and then how far a prediction is.

    Args:
        total: Blocks.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.began = self.said = time.monotonic()

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if now - self.said < NOTICE and done < self.total:
            return
        self.said = now
        left = (now - self.began) / done * (self.total - done)
        say('predict_progress', done=done, total=self.total, percent=100 * done // self.total, left=f'{left:.0f}')
