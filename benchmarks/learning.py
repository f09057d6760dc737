"""How well trainings with few images learn: the executor's own recipe on generated scenes, with each choice changed.

    python -m benchmarks.learning --out FOLDER [--images 30 60] [--batch 8 auto] [--start scratch weights] [--seeds 0 1]
                                  [--choices auto public ...] [--processes 2] [--table]
    python -m benchmarks.learning                  # the quick form: one training of a minute, in a temporary folder

Every run is one line in FOLDER/records.jsonl, written when it ends; a run that stands there is not made again, so a
grid that was stopped goes on. `--table` prints what is there and trains nothing.

The scenes have five classes; all runs are measured on the same 100 scenes, the seed chooses images, weights and
augmentation. `--start weights` begins with a model that was trained on 400 scenes of eight other classes.
`map` is that of the best validation, `last` that of the last one; `cpu` are the seconds that the process computed,
which other work on the machine changes little.
"""

import argparse
import itertools
import json
import logging
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from mmyolo.utils.files import replacing
from ymir_local.demo.sample_data import CLASS_NAMES, SHAPES, Shape, add_camera, draw_scene
from ymir_local.platform.annotations import coco_bytes
from ymir_local.platform.labels import LabelledImage

NUM_CLASSES = 5
SIDES = (480, 1280)  # of an image, in pixels
SIZE = 192  # of the network's input
VALIDATION_IMAGES, VALIDATION_SEED = 100, 1000
OTHER_IMAGES, OTHER_EPOCHS, OTHER_SEED = 400, 20, 2000
# Images -> epochs, as a user with so few would set them.
EPOCHS = {30: 100, 60: 100, 120: 60, 400: 40}
VALIDATIONS = 5  # of a run, evenly spread
OPTIMIZER, RATES = 'optim_wrapper.optimizer.', 'default_hooks.param_scheduler.'
# A rate of the user keeps the config's optimizer, with the other numbers scaled as ever.
SGD = {'learning_rate': 0.01}


def adamw(rate: float) -> dict[str, Any]:
    """Return the changes of a config that train with AdamW at a rate."""
    optimizer = {'type': 'AdamW', 'lr': rate, 'weight_decay': 0.0005, 'batch_size_per_gpu': 8}
    return {'optim_wrapper.optimizer': {'_delete_': True, **optimizer}, RATES + 'warmup_bias_lr': 0.0}


# Name -> hyper-parameters beside the template, and changes of the finished config.
CHOICES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    'auto': ({}, {}),
    'public': ({'schedule': 'public'}, {}),
    'SGD': (SGD, {}),
    'SGD, rate 0.003': ({'learning_rate': 0.003}, {}),
    'SGD, biases like all': (SGD, {RATES + 'warmup_bias_lr': 0.0}),
    'SGD, gradients up to 1': (SGD, {'optim_wrapper.clip_grad.max_norm': 1.0}),
    'SGD, gradients up to 100': (SGD, {'optim_wrapper.clip_grad.max_norm': 100.0}),
    'AdamW': ({}, adamw(0.002)),
    'AdamW, rate 0.004': ({}, adamw(0.004)),  # also where so many steps have SGD
    'rate 0.002': ({}, {OPTIMIZER + 'lr': 0.002}),
    'rate 0.001': ({}, {OPTIMIZER + 'lr': 0.001}),
    'rate 0.004': ({}, {OPTIMIZER + 'lr': 0.004}),
    'rate 0.008': ({}, {OPTIMIZER + 'lr': 0.008}),
    'public transforms': ({'pipeline': 'public'}, {}),
    # As of a data set several times larger than what a loader keeps.
    'fast, 16 images kept': ({}, {'train_dataloader.dataset.pipeline.0.buffer_images': 16}),
    # Of ViDT.
    'no denoising': ({'cfg_options': 'model.denoising_groups=0'}, {}),
    'few queries': ({'cfg_options': 'model.num_decoder_layers=3 model.backbone.num_det_tokens=40'}, {}),
    'no limit of gradients': ({}, {'optim_wrapper.clip_grad.max_norm': 1e9}),
}


@dataclass(frozen=True)
class Run:
    """One training.

    Args:
        images: To train on.
        batch: Images a step, or 'auto'.
        start: 'scratch' or 'weights'.
        seed: Of images, weights and augmentation.
        choice: Of `CHOICES`.
        epochs: Length; 0 for that of `EPOCHS`.
        model: Name in the zoo.
    """

    images: int
    batch: int | str
    start: str
    seed: int
    choice: str
    epochs: int = 0
    model: str = 'yolov8_n'


def write_scenes(
    folder: Path, num_images: int, seed: int, names: Sequence[str], shapes: Sequence[Shape]
) -> tuple[Path, tuple[tuple[int, int], ...]]:
    """Draw scenes that are not there yet, as JPEG files with a COCO file.

    Args:
        folder: For the files.
        num_images: How many; the first ones of a seed are always the same.
        seed: Of the scenes.
        names: Of the classes.
        shapes: Of the classes.

    Returns:
        The COCO file, and (width, height) of each image.
    """
    path = folder / f'coco_{num_images}.json'
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        images = [_draw(folder, number, seed, shapes) for number in range(num_images)]
        with replacing(path) as part:
            part.write_bytes(coco_bytes({str(image.path): (str(image.path), image) for image in images}, names))
    coco = json.loads(path.read_bytes())
    return path, tuple((image['width'], image['height']) for image in coco['images'])


def _draw(folder: Path, number: int, seed: int, shapes: Sequence[Shape]) -> LabelledImage:
    rng = np.random.default_rng((seed, number))
    width, height = (int(side) for side in rng.integers(SIDES[0], SIDES[1] + 1, 2))
    classes = rng.integers(len(shapes), size=rng.integers(1, 7)).tolist()
    picture, boxes = draw_scene(rng, (width, height), classes, shapes)
    path = folder / f'{number:06d}.jpg'
    pixels = cv2.imencode('.jpg', add_camera(rng, picture), [cv2.IMWRITE_JPEG_QUALITY, 88])[1]
    with replacing(path) as part:
        part.write_bytes(pixels.tobytes())
    return LabelledImage(path, width, height, tuple(boxes))


def train(run: Run, out: Path) -> dict[str, Any]:
    """Make one training.

    Args:
        run: Which.
        out: For scenes, weights and logs.

    Returns:
        The record: the run, `map`, `last`, `curve` of (epoch, mAP), `seconds`, `cpu`, `losses` and `norms` (mean of
        each tenth of the steps), `rows` of the recipe.
    """
    names = CLASS_NAMES[:NUM_CLASSES]
    folder = out / 'scenes'
    train_file, sizes = write_scenes(
        folder / f'{run.seed}', run.images, run.seed, names, [SHAPES[name] for name in names]
    )
    weights = other_weights(out, run.model) if run.start == 'weights' else None
    return asdict(run) | _train(run, out, train_file, sizes, names, _validation(out, names), weights)


def _validation(out: Path, names: Sequence[str]) -> Path:
    shapes = [SHAPES[name] for name in names]
    return write_scenes(out / 'scenes' / 'validation', VALIDATION_IMAGES, VALIDATION_SEED, names, shapes)[0]


def other_weights(out: Path, model: str) -> Path:
    """Return the weights of a model trained on other classes, after training it the first time."""
    from benchmarks.mining.scenes import OTHER_SHAPES

    path = out / 'weights' / f'{model}.pth'
    if not path.exists():
        names = [f'other {k}' for k in range(len(OTHER_SHAPES))]
        file, sizes = write_scenes(out / 'scenes' / 'other', OTHER_IMAGES, OTHER_SEED, names, OTHER_SHAPES)
        run = Run(OTHER_IMAGES, 8, 'scratch', 0, 'auto', OTHER_EPOCHS, model)
        _train(run, out, file, sizes, names, file, None, keep=path)
    return path


def _train(
    run: Run,
    out: Path,
    train_file: Path,
    sizes: tuple[tuple[int, int], ...],
    names: Sequence[str],
    val_file: Path,
    weights: Path | None,
    keep: Path | None = None,
) -> dict[str, Any]:
    import torch
    from mmengine.config import Config
    from mmengine.hooks import Hook
    from mmengine.registry import RUNNERS
    from mmengine.runner import Runner
    from mmengine.utils import import_modules_from_strings

    from mmyolo.utils import register_all_modules
    from tmi.training.config import TrainingTask, modify_mmengine_config
    from tmi.training.data import TrainingData
    from tmi.training.image_cache import shared_image_cache
    from tmi.training.initial_weights import prepare_initial_weights
    from tmi.zoo.models import find_model
    from tmi.zoo.weights import choose_training_weights
    from ymir.params import TrainingParams, load_params

    register_all_modules()
    torch.set_num_threads(1)
    started, computed = time.time(), time.process_time()
    epochs = run.epochs or EPOCHS[run.images]
    raw = {
        'class_names': list(names),
        'model_name': run.model,
        'img_size': SIZE,
        'samples_per_gpu': run.batch,
        'workers_per_gpu': 0,
        'max_epochs': epochs,
        'val_interval': max(epochs // VALIDATIONS, 1),
        'seed': run.seed,
        **CHOICES[run.choice][0],
    }
    params = load_params(TrainingParams, {key: value for key, value in raw.items() if value is not None})
    model = find_model(params.model_name)
    place = out / 'work' / f'{os.getpid()}'
    place.mkdir(parents=True, exist_ok=True)
    data = TrainingData(train_file, val_file, sizes)
    task = TrainingTask(params, model, data, 1, 'cpu', place, place / 'tensorboard', pretrained=weights is not None)
    training = modify_mmengine_config(Config.fromfile(model.config), task)
    cfg = training.run
    cfg.train_cfg.pop('dynamic_intervals', None)
    cfg.default_hooks.checkpoint = None
    cfg.default_hooks.logger.interval = 10**6
    cfg.visualizer.vis_backends = []
    cfg.work_dir = str(place)
    cfg.log_level = 'ERROR'
    cfg.merge_from_dict(CHOICES[run.choice][1])
    if weights is not None:
        chosen = choose_training_weights([str(weights)], model.stem, False, '')
        cfg.load_from = str(prepare_initial_weights(chosen, cfg, model.name, place / 'initial_weights.pth'))

    class Record(Hook):
        """Notes losses, gradient norms and validations."""

        priority = 'LOWEST'

        def __init__(self) -> None:
            self.losses: list[float] = []
            self.norms: list[float] = []
            self.curve: list[tuple[int, float]] = []

        def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
            self.losses.append(float(outputs['loss']))
            scalars = runner.message_hub.log_scalars
            if 'train/grad_norm' in scalars:
                self.norms.append(float(scalars['train/grad_norm'].current()))

        def after_val_epoch(self, runner: Runner, metrics: Any = None) -> None:
            self.curve.append((runner.epoch, round(float(metrics['coco/bbox_mAP']), 4)))

    import_modules_from_strings(**cfg.custom_imports)
    record = Record()
    with shared_image_cache(cfg, task, [place]):
        runner = RUNNERS.build(cfg)
        runner.register_hook(record)
        runner.train()
    if keep is not None:
        _save(runner, training, names, keep)
    shutil.rmtree(place, ignore_errors=True)
    return {
        'map': max(value for _, value in record.curve),
        'last': record.curve[-1][1],
        'curve': record.curve,
        'seconds': round(time.time() - started),
        'cpu': round(time.process_time() - computed),
        'losses': _tenths(record.losses),
        'norms': _tenths(record.norms),
        'rows': training.recipe.rows(),
    }


def _save(runner: Any, training: Any, names: Sequence[str], path: Path) -> None:
    """Write the averaged weights as the executor's stages hold them."""
    import torch

    averages = (hook.ema_model.module for hook in runner.hooks if type(hook).__name__ == 'EMAHook')
    average = next(averages, runner.model)
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = {'dataset_meta': {'classes': tuple(names)}, 'cfg': training.package.pretty_text}
    with replacing(path) as part:
        torch.save({'meta': meta, 'state_dict': average.state_dict()}, part)


def _tenths(values: Sequence[float]) -> list[float]:
    return [round(float(np.mean(part)), 2) for part in np.array_split(values, 10) if len(part)]


def _run_quietly(run: Run, out: Path) -> dict[str, Any]:
    logging.disable(logging.ERROR)
    return train(run, out)


def read_records(out: Path) -> list[dict[str, Any]]:
    """Return the records of the runs that have ended."""
    path = out / 'records.jsonl'
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def key_of(record: dict[str, Any]) -> tuple:
    """Return what tells a record's run from others."""
    return tuple(record[name] for name in Run.__dataclass_fields__)


def make_runs(out: Path, runs: Sequence[Run], processes: int) -> None:
    """Make the runs that no record stands of, and write a record of each."""
    done = {key_of(record) for record in read_records(out)}
    waiting = [run for run in runs if tuple(asdict(run).values()) not in done]
    out.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(processes, context, max_tasks_per_child=1) as pool:
        futures: dict[Future, Run] = {pool.submit(_run_quietly, run, out): run for run in waiting}
        for future in as_completed(futures):
            try:
                record = future.result()
            except Exception as error:  # the others go on
                print(f'{futures[future]} failed: {error!r}', flush=True)
                continue
            with (out / 'records.jsonl').open('a') as file:
                file.write(json.dumps(record) + '\n')
            print(
                {name: record[name] for name in (*asdict(futures[future]), 'map', 'last', 'seconds', 'cpu')}, flush=True
            )


def grid(options: argparse.Namespace) -> Iterator[Run]:
    """Yield the runs that the command line asks for, the first seed of all first."""
    parts = (options.seeds, options.images, options.start, options.choices, options.batch)
    for seed, images, start, choice, batch in itertools.product(*parts):
        yield Run(images, batch, start, seed, choice, options.epochs, options.model)


def print_table(console: Console, records: Sequence[dict[str, Any]]) -> None:
    """Print the mean of the seeds of each setting."""
    table = Table(title=f'mAP of the best validation, {SIZE} px, mean of the seeds (lowest)')
    for name in ('model', 'start', 'images', 'epochs', 'batch', 'choice', 'seeds', 'mAP', 'lowest', 'cpu seconds'):
        table.add_column(name, justify='right')
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for record in records:
        epochs = record['epochs'] or EPOCHS[record['images']]
        group = (record['model'], record['start'], record['images'], epochs, str(record['batch']), record['choice'])
        groups.setdefault(group, []).append(record)
    for group, runs in sorted(groups.items()):
        scores = [run['map'] for run in runs]
        numbers = (len(runs), f'{fmean(scores):.3f}', f'{min(scores):.3f}', round(fmean(run['cpu'] for run in runs)))
        table.add_row(*map(str, (*group, *numbers)))
    console.print(table)


def batch_size(text: str) -> int | str:
    return text if text == 'auto' else int(text)


def main() -> None:
    """Read the command line, make the runs that are missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--out', type=Path, help='folder for everything that is written; without it the quick form')
    parser.add_argument('--images', type=int, nargs='+', default=list(EPOCHS))
    parser.add_argument('--batch', type=batch_size, nargs='+', default=[4, 8, 16, 'auto'])
    parser.add_argument('--start', nargs='+', choices=('scratch', 'weights'), default=['scratch', 'weights'])
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--choices', nargs='+', choices=CHOICES, default=['SGD', 'auto'])
    parser.add_argument('--epochs', type=int, default=0, help='of each run; by default they follow from the images')
    parser.add_argument('--model', default='yolov8_n')
    parser.add_argument('--processes', type=int, default=1)
    parser.add_argument('--table', action='store_true', help='only print the records')
    parser.add_argument('--quick', action='store_true', help='60 images, 20 epochs, one seed')
    options = parser.parse_args()
    if options.quick or not options.out:
        options.images, options.batch, options.start, options.seeds, options.epochs = (
            [60],
            ['auto'],
            ['scratch'],
            [0],
            20,
        )
    with tempfile.TemporaryDirectory() as temporary:
        out = options.out or Path(temporary)
        if not options.table:
            make_runs(out, list(grid(options)), options.processes)
        print_table(Console(width=120), read_records(out))


if __name__ == '__main__':
    main()
