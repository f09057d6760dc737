"""Shows the whole executor on one machine: `python -m ymir_local.demo.demo`, or `make demo`.

Draws a small data set, trains on it, mines and infers with the model that came out, each through `ymir/start.py` as the
platform would, and ends with a table and a picture.
"""

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ..platform.folder_changes import files_below
from ..platform.labels import LabelledImage
from ..platform.prepare import Host, ModelStage, Task, asset_id, hyper_parameters, prepare_candidates, prepare_training
from ..platform.progress_bar import progress_bar
from ..platform.run import Outcome, TaskFailed, run_as_process
from .demo_result import draw_comparison, mean_average_precision, read_predictions
from .sample_data import CLASS_NAMES, generate

NUM_CLASSES = 3
NUM_TRAIN, NUM_VAL, NUM_CANDIDATES = 160, 40, 60
# Large, clear objects and a small input: enough to see a detector learn in two minutes on two CPU cores.
DATA = {
    'num_classes': NUM_CLASSES,
    'size_range': (360, 640),
    'objects_range': (1, 4),
    'scale_range': (0.2, 0.5),
    'clutter': 8,
}
TRAINING = {
    'model_name': 'yolov8_n',
    'img_size': 192,
    'max_epochs': 25,
    'val_interval': 5,
    'samples_per_gpu': 8,
    'workers_per_gpu': 2,
}
PICTURED = 6
FOLDERS = ('data', 'training', 'mining', 'infer')
MARK = '.ymir_demo'  # says that a demo made the folders


def run_task(console: Console, name: str, task: Task) -> Outcome:
    """Run one task with a progress bar.

    Args:
        console: where to draw.
        name: of the task.
        task: prepared for a process.

    Raises:
        TaskFailed: with the lines that the platform would show.
    """
    with progress_bar(console, name) as show:
        outcome = run_as_process(task, show)
    outcome.raise_for_failure(name)
    return outcome


def make_room(out_dir: Path) -> None:
    """Remove an earlier demo.

    Args:
        out_dir: folder of the demo; made where there is none.

    Raises:
        FileExistsError: it holds folders that a demo would replace, but no demo made them.
    """
    mark = out_dir / MARK
    there = [out_dir / name for name in FOLDERS if os.path.lexists(out_dir / name)]
    if there and not mark.exists():
        raise FileExistsError(f'{there[0]} is not from a demo and stays as it is; name a new folder with --out')
    for folder in there:
        shutil.rmtree(folder)
    out_dir.mkdir(parents=True, exist_ok=True)
    mark.touch()


def demo(out_dir: Path, gpu_count: int, console: Console) -> None:
    """Run the demo.

    Args:
        out_dir: folder for everything that the demo writes.
        gpu_count: how many GPUs; 0 means CPU.
        console: where to draw.
    """
    began = time.monotonic()
    make_room(out_dir)
    class_names = CLASS_NAMES[:NUM_CLASSES]
    images = generate(out_dir / 'data', num_images=NUM_TRAIN + NUM_VAL + NUM_CANDIDATES, **DATA)
    train, val = images[:NUM_TRAIN], images[NUM_TRAIN : NUM_TRAIN + NUM_VAL]
    candidates = images[NUM_TRAIN + NUM_VAL :]
    console.print(f'data: {len(images)} images of {", ".join(class_names)} in {out_dir / "data"}')

    training = prepare_training(
        out_dir / 'training',
        class_names,
        train,
        val,
        hyper_parameters('training', TRAINING),
        host=Host(gpu_count=gpu_count),
    )
    trained = run_task(console, 'training', training)
    model = ModelStage.of_training(training)

    paths = [image.path for image in candidates]
    mining = prepare_candidates(out_dir / 'mining', paths, model, mining=True, host=Host(gpu_count=gpu_count))
    mined = run_task(console, 'mining', mining)
    infer = prepare_candidates(out_dir / 'infer', paths, model, infer=True, host=Host(gpu_count=gpu_count))
    inferred = run_task(console, 'inference', infer)

    predictions = predictions_of(infer, candidates, class_names)
    picture = out_dir / 'predictions.png'
    draw_comparison(picture, candidates[:PICTURED], predictions[:PICTURED], class_names)

    score = mean_average_precision(candidates, predictions)
    table = Table(title='What the demo did')
    for column in ('task', 'mAP', 'images', 'seconds', 'images/s', 'files written'):
        table.add_column(column, justify='left' if column in ('task', 'files written') else 'right', no_wrap=True)
    for name, task, outcome, metric, count, main_file in (
        ('training', training, trained, f'{model.metric:.3f}', TRAINING['max_epochs'] * NUM_TRAIN, 'result.yaml'),
        ('mining', mining, mined, '', NUM_CANDIDATES, 'result.tsv'),
        ('inference', infer, inferred, f'{score:.3f}', NUM_CANDIDATES, 'infer-result.json'),
    ):
        table.add_row(
            name,
            metric,
            f'{count}',
            f'{outcome.seconds:.0f}',
            f'{count / outcome.seconds:.1f}',
            f'{len(files_below(task.out_dir))}, {main_file}',
        )
    console.print(table)
    for line in (
        f'mAP is that of IoU 0.5:0.95: for training on {NUM_VAL} validation images, for inference',
        f'on {NUM_CANDIDATES} images that training never saw. Seconds and images/s hold the whole process,',
        'the start of Python included; training counts its images once per epoch.',
        f'model    {", ".join(os.path.relpath(file) for file in model.files)}',
        f'files    {out_dir}/training/out, {out_dir}/mining/out, {out_dir}/infer/out',
        f'picture  {picture} (labels beside predictions)',
        f'total    {time.monotonic() - began:.0f} s',
    ):
        console.print(line, soft_wrap=True, highlight=False)


def predictions_of(infer: Task, images: Sequence[LabelledImage], class_names: Sequence[str]) -> list[list]:
    """Return the predicted boxes with scores for each image.

    Args:
        infer: a finished inference task.
        images: its candidates.
        class_names: names by class index.
    """
    by_name = read_predictions(infer.out_dir / 'infer-result.json', class_names)
    return [by_name[asset_id(image.path)] for image in images]


def main() -> int:
    """Read the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--out', type=Path, default=Path('demo_out'), help='folder for everything that is written')
    parser.add_argument('--gpus', type=int, default=0, help='number of GPUs; 0 means CPU')
    arguments = parser.parse_args()
    console = Console()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the running task ends too
    try:
        demo(arguments.out, arguments.gpus, console)
    except (TaskFailed, FileExistsError) as error:
        console.print(str(error), markup=False, style='red')
        return 1
    except KeyboardInterrupt:
        console.print('stopped')
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
