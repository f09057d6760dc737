"""Images per second of a training from JPEG files, and of the model's forward, backward and step on data in memory.

    python benchmarks/training_speed.py [--model yolov8_n] [--size 320] [--batch 16] [--rounds 3] [--validation]
                                        [--compile]

Three sides, measured in turn in one process, `--rounds` times; medians are printed:

- bare eager: the model as built, fp32, one batch that stays in memory: forward, loss, backward, optimizer step;
- bare step: the same in the precision and memory format of the training;
- training: one epoch of the executor's own config through mmengine's Runner: loader processes, augmentation, image
  cache (`--cache`), moving average of the weights, schedule and all hooks but those that write files.

What they compute is compared on one batch of the loader: the loss of all three must agree up to the precision. Beside
the images per second stands the CPU time that the training process, without its loaders, spends on an image: it tells
what a step costs also where other programs share the machine. With --validation a tenth of the images is validated
after every epoch, with the files that the executor writes then, and the share of the time that this takes is printed.
With --compile there is a fourth side:
every other epoch is trained with the network compiled (`compile: true` of the executor).
"""

import argparse
import copy
import json
import logging
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmengine.utils import import_modules_from_strings
from rich.console import Console
from rich.table import Table

from mmyolo.utils import register_all_modules
from tmi.devices import available_cpus
from tmi.training.compile_hook import CompileHook
from tmi.training.config import PlatformHooks, TrainingTask, config_text, modify_mmengine_config
from tmi.training.data import TrainingData
from tmi.training.image_cache import shared_image_cache
from tmi.zoo.models import find_model
from ymir import ymir_training
from ymir.checkpoint_hook import YmirCheckpointHook
from ymir.params import TrainingParams, load_params
from ymir_exc import settings
from ymir_local.demo.sample_data import CLASS_NAMES, generate
from ymir_local.platform.prepare import prepare_training

NUM_CLASSES = 5
WARM_UP_STEPS = 2
SECONDS_PER_SIDE = 8
COMPILED = 'training, compiled'


def write_data(folder: Path, num_images: int) -> TrainingData:
    """Draw images and write them as a COCO file."""
    images = generate(folder / 'images', num_images=num_images, num_classes=NUM_CLASSES)
    coco: dict[str, list[dict[str, Any]]] = {
        'images': [],
        'annotations': [],
        'categories': [{'id': k, 'name': name} for k, name in enumerate(CLASS_NAMES[:NUM_CLASSES])],
    }
    for number, image in enumerate(images):
        coco['images'].append(
            {'id': number, 'file_name': str(image.path), 'width': image.width, 'height': image.height}
        )
        coco['annotations'] += [
            {
                'id': len(coco['annotations']) + k,
                'image_id': number,
                'category_id': box.class_index,
                'iscrowd': 0,
                'area': box.w * box.h,
                'bbox': [box.x, box.y, box.w, box.h],
            }
            for k, box in enumerate(image.boxes)
        ]
    path = folder / 'coco.json'
    path.write_text(json.dumps(coco))
    val_file = folder / 'val.json'
    held_out = [image['id'] for image in coco['images']][: max(num_images // 9, 1)]
    val = {
        'images': [image for image in coco['images'] if image['id'] in held_out],
        'annotations': [item for item in coco['annotations'] if item['image_id'] in held_out],
        'categories': coco['categories'],
    }
    val_file.write_text(json.dumps(val))
    return TrainingData(path, val_file, tuple((image.width, image.height) for image in images))


def make_config(folder: Path, data: TrainingData, options: argparse.Namespace) -> tuple[TrainingTask, Config]:
    """Return a task and the executor's training config for it, without what writes files for the platform."""
    params = load_params(
        TrainingParams,
        {
            'class_names': list(CLASS_NAMES[:NUM_CLASSES]),
            'model_name': options.model,
            'img_size': options.size,
            'samples_per_gpu': options.batch,
            'max_epochs': options.rounds * (2 if options.compile else 1) + 1,
            'compile': options.compile,
            'precision': options.precision,
            'workers_per_gpu': options.workers,
            'cache': options.cache,
        },
    )
    model = find_model(params.model_name)
    task = TrainingTask(
        params=params,
        model=model,
        data=data,
        num_processes=1,
        device=options.device,
        models_dir=folder,
        tensorboard_dir=folder / 'tensorboard',
    )
    if options.validation:
        task = with_checkpoints(task, folder)
    training = modify_mmengine_config(Config.fromfile(model.config), task)
    cfg = training.run
    import_modules_from_strings(**cfg.custom_imports)
    if options.validation:
        path = task.models_dir / task.package_config_file
        path.write_text(config_text(training.package, path))
    else:
        cfg.default_hooks.checkpoint = None
    cfg.default_hooks.logger.interval = 10**6
    cfg.custom_hooks = [
        hook for hook in cfg.custom_hooks if not hook['type'].startswith('Ymir') and 'switch_pipeline' not in hook
    ]
    cfg.custom_hooks.append({'type': 'MeasureHook', 'batch_size': options.batch})
    cfg.visualizer.vis_backends = []
    if options.validation:
        cfg.train_cfg.val_interval = 1
        cfg.train_cfg.pop('dynamic_intervals', None)
    else:
        cfg.val_dataloader = cfg.val_evaluator = cfg.val_cfg = None
    cfg.test_dataloader = cfg.test_evaluator = cfg.test_cfg = None
    cfg.work_dir, cfg.log_level = str(folder / 'work'), 'ERROR'
    return task, cfg


def with_checkpoints(task: TrainingTask, folder: Path) -> TrainingTask:
    """Return a task that writes its checkpoints as the executor does, into a folder as the platform makes it."""
    made = prepare_training(folder / 'task', CLASS_NAMES[:NUM_CLASSES], [], [])
    settings.DEFAULT_ENV_FILE_PATH = str(made.in_dir / 'env.yaml')
    hooks = PlatformHooks(ymir_training.HOOKS.imports, ymir_training.HOOKS.checkpoint)
    return replace(task, hooks=hooks, models_dir=made.out_dir / 'models')


def default_interval(task: TrainingTask) -> int:
    """Return the epochs from one validation to the next of a training on these images with the template's defaults."""
    params = load_params(TrainingParams, {'class_names': list(task.class_names), 'model_name': task.params.model_name})
    return modify_mmengine_config(Config.fromfile(task.model.config), replace(task, params=params)).recipe.val_interval


class BareStep:
    """A copy of a model with its own optimizer, and one batch in memory.

    Args:
        runner: The runner whose model is copied and whose optimizer wrapper gives the precision.
        batch: One batch of its loader.
        plain: fp32 in the default memory format, whatever the runner uses.
    """

    def __init__(self, runner: Runner, batch: dict[str, Any], plain: bool) -> None:
        self.model = copy.deepcopy(runner.model).train()
        if plain:
            self.model.to(memory_format=torch.contiguous_format)
        self.batch = batch
        self.precision = getattr(runner.optim_wrapper, 'cast_dtype', None) if not plain else None
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-4, momentum=0.9, nesterov=True)

    def loss(self) -> torch.Tensor:
        """Return the total loss of the batch."""
        data = self.model.data_preprocessor(copy.deepcopy(self.batch), training=True)
        device = data['inputs'].device.type
        with torch.autocast(device, dtype=self.precision or torch.bfloat16, enabled=self.precision is not None):
            losses = self.model(**data, mode='loss')
        return sum(value.sum() for name, value in losses.items() if 'loss' in name)

    def __call__(self) -> None:
        loss = self.loss()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def seconds_per_step(step: BareStep) -> tuple[float, float]:
    """Return the medians of seconds and CPU seconds over steps within `SECONDS_PER_SIDE`, three at least."""
    seconds: list[tuple[float, float]] = []
    end = time.perf_counter() + SECONDS_PER_SIDE
    for number in range(10**6):
        start = time.perf_counter(), time.process_time()
        step()
        synchronize()
        if number >= WARM_UP_STEPS:
            seconds.append((time.perf_counter() - start[0], time.process_time() - start[1]))
            if time.perf_counter() > end and len(seconds) >= 3:
                break
    wall, cpu = zip(*seconds)
    return statistics.median(wall), statistics.median(cpu)


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@HOOKS.register_module()
class MeasureHook(Hook):
    """Measures every epoch, and after it the bare steps, while the loader rests.

    The first epoch, in which the images are decoded and cached, does not count. Of a network that is compiled, every
    other epoch is trained without, and the bare steps follow that one.

    Args:
        batch_size: Images of a step.
    """

    priority = 'LOWEST'
    results: dict[str, list[tuple[float, float]]] = {}  # seconds and CPU seconds of an image, or of a validation
    losses: dict[str, float] = {}

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.batch: dict[str, Any] = {}
        self.compiled_calls: dict[torch.nn.Module, Any] = {}

    def before_train_epoch(self, runner: Runner) -> None:
        self.use_compiled(runner, runner.epoch % 2 == 0)
        self.start = time.perf_counter(), time.process_time()

    def before_val(self, runner: Runner) -> None:
        self.start = time.perf_counter(), time.process_time()

    def after_val(self, runner: Runner) -> None:
        for hook in runner.hooks:
            if isinstance(hook, YmirCheckpointHook):
                hook.saving.wait()  # what is written while the training goes on counts too
        if runner.epoch > 1:  # in the first one the loader processes start
            self.record('validation', self.passed(), 1)

    def use_compiled(self, runner: Runner, wanted: bool) -> None:
        """Let the training use what was compiled at its first batch, or not."""
        hook = next((hook for hook in runner.hooks if isinstance(hook, CompileHook)), None)
        if hook is None or hook.shape is None:
            return
        self.compiled_calls = self.compiled_calls or hook.calls
        if not self.compiled_calls:
            raise SystemExit('The network cannot be compiled; a training with compile: true says why.')
        hook.calls = self.compiled_calls
        hook._use(wanted)
        if not wanted:
            hook.calls = {}

    def passed(self) -> tuple[float, float]:
        synchronize()
        return time.perf_counter() - self.start[0], time.process_time() - self.start[1]

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if not self.batch:
            self.batch = copy.deepcopy(data_batch)

    def after_train_epoch(self, runner: Runner) -> None:
        passed = self.passed()
        if self.compiled_calls and runner.epoch % 2 == 0 and runner.epoch:
            self.record(COMPILED, passed, len(runner.train_dataloader) * self.batch_size)
            return
        bare, eager = BareStep(runner, self.batch, plain=False), BareStep(runner, self.batch, plain=True)
        if runner.epoch == 0:
            self.compare_losses(runner, bare, eager)
            return
        self.record('training', passed, len(runner.train_dataloader) * self.batch_size)
        self.record('bare step', seconds_per_step(bare), self.batch_size)
        self.record('bare eager', seconds_per_step(eager), self.batch_size)

    def record(self, side: str, seconds: tuple[float, float], images: int) -> None:
        self.results.setdefault(side, []).append((seconds[0] / images, seconds[1] / images))

    def compare_losses(self, runner: Runner, bare: BareStep, eager: BareStep) -> None:
        with torch.no_grad():
            self.losses.update({'bare eager': float(eager.loss()), 'bare step': float(bare.loss())})
            runner.model.train()
            data = runner.model.data_preprocessor(copy.deepcopy(self.batch), training=True)
            for side, compiled in ((COMPILED, True), ('training', False)):
                self.use_compiled(runner, compiled)
                with runner.optim_wrapper.optim_context(runner.model):
                    total, _ = runner.model.parse_losses(runner.model(**data, mode='loss'))
                self.losses[side] = float(total)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--model', default='yolov8_n')
    parser.add_argument('--size', type=int, default=320, help='side of the network input')
    parser.add_argument('--batch', type=int, default=16)
    parser.add_argument('--images', type=int, default=384, help='images of an epoch')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--workers', type=int, default=2, help='loader processes')
    parser.add_argument('--precision', default='auto')
    parser.add_argument('--cache', default='auto', help='of decoded images, as the key `cache` of a training')
    parser.add_argument('--validation', action='store_true', help='validate a tenth of the images after every epoch')
    parser.add_argument('--compile', action='store_true', help='train every other epoch with the network compiled')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    options = parser.parse_args()
    register_all_modules()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        task, cfg = make_config(Path(name), write_data(Path(name), options.images), options)
        with shared_image_cache(cfg, task, []):
            Runner.from_cfg(cfg).train()
    seconds = {
        side: [statistics.median(values) for values in zip(*rounds)] for side, rounds in MeasureHook.results.items()
    }
    precision = 'fp32' if cfg.optim_wrapper.type == 'OptimWrapper' else cfg.optim_wrapper.dtype
    table = Table(
        title=f'{options.model}, {options.size} px, batch {options.batch}, {precision}, '
        f'{options.device}, {available_cpus()} cores, median of {options.rounds}'
    )
    for column in ('', 'images/s', 'of the bare step', 'CPU ms per image', 'of the bare step', 'loss of one batch'):
        table.add_column(column, justify='right' if column else 'left')
    for side in ('bare eager', 'bare step', 'training', *([COMPILED] if options.compile else [])):
        table.add_row(
            side,
            f'{1 / seconds[side][0]:.1f}',
            f'{seconds["bare step"][0] / seconds[side][0]:.2f}',
            f'{1000 * seconds[side][1]:.1f}',
            f'{seconds["bare step"][1] / seconds[side][1]:.2f}',
            f'{MeasureHook.losses[side]:.4f}',
        )
    Console(width=100).print(table)
    if options.validation:
        share = [took / (of * options.images) for took, of in zip(seconds['validation'], seconds['training'])]
        interval = default_interval(task)
        print(
            f'a validation of {max(options.images // 9, 1)} images with its files takes {share[0]:.1%} of the time of '
            f'an epoch of {options.images}, and {share[1]:.1%} of its CPU time without the loaders; by default there '
            f'is one every {interval} epochs, which takes {share[0] / interval:.1%} and {share[1] / interval:.1%} of a '
            'training'
        )


if __name__ == '__main__':
    main()
