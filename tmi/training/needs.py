"""What a training needs of memory and disk, compared with what there is before it begins.

The numbers are estimates. So a training is stopped only where even a part of what it needs for certain is missing;
anything else is a warning.
"""

import contextlib
import copy
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import Config

from mmyolo.registry import MODELS
from mmyolo.utils import register_all_modules
from mmyolo.utils.config_types import registered_only
from mmyolo.utils.free_memory import available_memory
from tmi.errors import InsufficientMemoryError, SettingError, TaskError
from tmi.families import family_of
from tmi.setting_names import advice
from tmi.training.config import TrainingConfig, TrainingTask
from tmi.training.loader_workers import WORKER_BYTES

logger = logging.getLogger('tmi')

SHARED_MEMORY = Path('/dev/shm')
PROCESS_BYTES = {'cpu': 500 * 1024**2, 'cuda': 2 * 1024**3}  # of a training process before it has a batch
PREFETCH = 2  # batches that each loader worker is ahead, unless the config says otherwise
BYTES_A_PIXEL = 6  # of a decoded image and a copy of it, as it is turned or shrunk
FLOAT = 4  # bytes of a number of the weights
STATES = {'SGD': 1, 'AdamW': 2, 'Adam': 2}  # numbers that an optimizer keeps for each of the weights
# Of a GPU: what its driver takes; bytes a pixel of the input that the layers of a model of SMALL_MODEL weights keep for
# the backward pass in fp32, which grow with the weights to the power of 0.6 (counted for ten models of the zoo
# without ViDT: within 20 %; ViDT-nano keeps 1.7 times as much); and what gradients, losses and work space add to that.
DRIVER_BYTES = 600 * 1024**2
SMALL_MODEL = 3_200_000
PIXEL_BYTES = 500
OVERHEAD = 1.5
MEGABYTE, GIGABYTE = 1024**2, 1024**3


def decodable_pixels() -> int | None:
    """Return how many pixels the largest image may have that memory holds; None if that is unknown."""
    free = available_memory()
    return None if free is None else free // BYTES_A_PIXEL


class Resources(NamedTuple):
    """What there is; bytes, None where it is unknown.

    Args:
        shared_memory: Free in /dev/shm.
        disk: Free where the weights are written.
        memory: That can be taken without swapping.
        gpu: Free on the fullest GPU of the task.
    """

    shared_memory: int | None
    disk: int | None
    memory: int | None
    gpu: int | None = None


class Shortage(NamedTuple):
    """Something of which there may be too little.

    Args:
        sentence: What is needed, what there is, and what to do.
        error: To be raised with the sentence where the training cannot succeed; None for a warning.
    """

    sentence: str
    error: type[TaskError] | None = None


def check_needs(
    training: TrainingConfig, task: TrainingTask, gpu_memory: Callable[[int], int | None] = lambda number: None
) -> None:
    """Warn where there may be too little for a training.

    Args:
        training: Its config.
        task: What it is about.
        gpu_memory: Gives the bytes that are free on a GPU, None if it cannot be asked.

    Raises:
        TaskError: The training cannot succeed.
    """
    num_gpus = task.node_processes if task.device == 'cuda' else 0
    resources = available_resources(task.models_dir, num_gpus, gpu_memory)
    for shortage in shortages(training, task, resources, number_of_weights(training.run)):
        if shortage.error is not None:
            raise shortage.error(shortage.sentence)
        logger.warning('%s', shortage.sentence)


def available_resources(
    models_dir: Path, num_gpus: int = 0, gpu_memory: Callable[[int], int | None] = lambda number: None
) -> Resources:
    """Return what this machine has.

    Args:
        models_dir: Where the weights are written.
        num_gpus: GPUs of the task.
        gpu_memory: Gives the bytes that are free on a GPU.
    """
    gpus = [free for number in range(num_gpus) if (free := gpu_memory(number)) is not None]
    return Resources(_free_on(SHARED_MEMORY), _free_on(models_dir), available_memory(), min(gpus, default=None))


def _free_on(folder: Path) -> int | None:
    with contextlib.suppress(OSError):
        status = os.statvfs(folder)
        return status.f_bavail * status.f_frsize
    return None


def number_of_weights(run: Config) -> int:
    """Return how many numbers the model of a config has, without memory for them.

    Args:
        run: A complete config.
    """
    register_all_modules()
    family_of(run.model).register()
    with registered_only(), torch.device('meta'):
        model = MODELS.build(copy.deepcopy(run.model))
    return sum(value.numel() for value in model.state_dict().values())


def shortages(training: TrainingConfig, task: TrainingTask, resources: Resources, weights: int) -> Iterator[Shortage]:
    """Compare what a training needs with what there is.

    Args:
        training: Its config.
        task: What it is about.
        resources: What there is.
        weights: Numbers of the model.

    Yields:
        What may be too little.
    """
    loader = training.run.train_dataloader
    workers = loader.num_workers * task.node_processes
    width, height = training.img_size
    batch = loader.batch_size * 3 * width * height
    yield from _of_shared_memory(batch, workers, loader.get('prefetch_factor') or PREFETCH, resources.shared_memory)
    yield from _of_disk(training, task, FLOAT * weights, resources.disk)
    processes = task.node_processes * PROCESS_BYTES[task.device]
    images = workers * WORKER_BYTES + batch * (workers * PREFETCH + task.node_processes)
    if resources.memory is not None and resources.memory < processes + images:
        ways = advice('set {workers_per_gpu|samples_per_gpu|img_size} lower')
        yield Shortage(
            f'The training will take about {_amount(processes + images)} of main memory ({task.node_processes} '
            f'training and {workers} loader processes), and {_amount(resources.memory)} are free: '
            f'{_joined(ways, "give the container more memory")}.'
        )
    need = _gpu_bytes(loader.batch_size * width * height, weights, training.precision)
    if resources.gpu is not None and resources.gpu < need:
        ways = advice('set {samples_per_gpu|img_size} lower', 'take a smaller {model_name}')
        yield Shortage(
            f'The training will take roughly {_amount(need)} of GPU memory with {loader.batch_size} images of '
            f'{width}x{height} a step, and {_amount(resources.gpu)} are free: if it runs out, {ways}.'
        )


def _of_shared_memory(batch: int, workers: int, prefetch: int, free: int | None) -> Iterator[Shortage]:
    """Loader workers hand over batches in shared memory; who writes beyond its end is killed by a bus error."""
    need = workers * (prefetch + 1) * batch
    if free is None or not workers or free >= need:
        return
    ways = _joined('set shm_size higher', advice('set {workers_per_gpu} lower (0 needs none)'))
    yield Shortage(
        f'{workers} loader workers hand over up to {_amount(need)} of images at once in {SHARED_MEMORY}, which has '
        f'{_amount(free)} free: {ways}.',
        InsufficientMemoryError if free < batch else None,
    )


def _of_disk(training: TrainingConfig, task: TrainingTask, size: int, free: int | None) -> Iterator[Shortage]:
    kept = task.params.max_keep_checkpoints + 1
    optimizer = training.run.optim_wrapper.get('optimizer', {}).get('type', 'SGD')
    state = size * (2 + STATES.get(optimizer, 2))  # weights, their average, and the optimizer's
    need = kept * size + 2 * state  # of which the next is written before the last one goes
    if free is None or free >= need:
        return
    yield Shortage(
        f'The training will write up to {_amount(need)} to {task.models_dir} ({kept} weight files of {_amount(size)}, '
        f'and twice {_amount(state)} from which it can be resumed), where {_amount(free)} are free: free some, or give '
        'the task an output folder on another disk.',
        SettingError if free < size else None,
    )


def _gpu_bytes(pixels: int, weights: int, precision: str) -> int:
    """Estimate the GPU memory of a training.

    Args:
        pixels: Of the images of a step.
        weights: Numbers of the model.
        precision: In which it computes.
    """
    layers = pixels * PIXEL_BYTES * max(weights / SMALL_MODEL, 0.1) ** 0.6 * (1 if '32' in precision else 0.5)
    return int(DRIVER_BYTES + 5 * FLOAT * weights + OVERHEAD * layers)


def _amount(size: float) -> str:
    return f'{size / GIGABYTE:.1f} GB' if size >= GIGABYTE else f'{size / MEGABYTE:.0f} MB'


def _joined(*ways: str) -> str:
    return ', or '.join(filter(None, ways))
