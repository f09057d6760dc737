"""Training a segmentation or a change detection: from parameters and data to the job of the training process."""

import sys
from collections.abc import Sequence
from pathlib import Path

from mmyolo.utils.coco_file import image_size
from pie.child import run_training, usable_gpus
from pie.description import describe
from pie.labels import Label
from pie.networks import NetworkKind
from pie.outputs import Outputs
from pie.parameters import Parameters
from pie.pixel_data import PixelSplit
from pie.pixel_training import DEFAULT_RATE, PixelJob
from pie.texts import PieError, say
from tmi.devices import find_device, select_devices

SAMPLES = 100  # whose size is looked at


def train_pixels(
    parameters: Parameters,
    labels: Sequence[Label],
    network: NetworkKind,
    splits: dict[str, PixelSplit],
    outputs: Outputs,
    run_dir: Path,
    weights: Path | None,
) -> None:
    """Train to the end.

    Args:
        parameters: Of the training.
        labels: Its classes, background included.
        network: The network.
        splits: `train` and `valid`.
        outputs: Where the results go.
        run_dir: Where files of this run go that nobody needs afterwards.
        weights: Weights to start from.

    Raises:
        TaskError: It failed.
    """
    gpus = usable_gpus(parameters.gpu_num)
    if parameters.batch_size < gpus:
        raise PieError('batch_too_small', batch=parameters.batch_size, gpus=gpus)
    select_devices(range(gpus))
    size = parameters.input_size()
    job = PixelJob(
        network=network.name,
        labels=list(labels),
        size=size,
        epochs=parameters.epochs,
        batch_size=parameters.batch_size,
        rate=parameters.learning_rate,
        auto_termination=bool(parameters.auto_termination),
        gpus=gpus,
        train=splits['train'].samples,
        valid=splits['valid'].samples,
        pixels=[int(count) for count in splits['train'].pixels],
        output_dir=str(outputs.folder),
        stem=outputs.stem,
        description=describe(
            network.name, network.task, labels, size, [image_size(one[0]) for one in splits['train'].samples[:SAMPLES]]
        ),
        weights=str(weights or ''),
    )
    say(
        'recipe',
        model=network.name,
        size='{}x{}'.format(*size),
        device=f'{max(gpus, 1)} x {find_device(gpus)}',
        epochs=job.epochs,
        steps=-(-len(job.train) // job.batch_size),
        batch=job.batch_size,
        optimizer='AdamW',
        rate=f'{job.rate or DEFAULT_RATE:g}',
    )
    file = run_dir / 'job.json'
    job.write(file)
    run_training([sys.executable, str(Path(__file__).with_name('pixel_process.py')), str(file)], {})
