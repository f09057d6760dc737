"""How many processes load images for a training, how fast they are, and how their number changes."""

import functools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from mmyolo.utils.free_memory import available_memory
from tmi.devices import available_cpus

FIRST_WORKERS = {'cpu': 2, 'cuda': 8}  # where the number is to follow from what is measured
WORKER_BYTES = 500 * 1024**2  # a guess, until a worker can be looked at
# Of the free memory that workers may take.
MEMORY_SHARE = 0.5
# How much workers give way (the nice value) where the model computes on the same cores as they: on 2 cores a training
# at 320 px went from 0.80 to 0.92 of a step without loaders. With a GPU they keep the usual 0.
NICENESS = {'cpu': 15, 'cuda': 0}


def max_workers(num_processes: int) -> int:
    """Return how many loader processes each of the training processes may have: the cores are shared.

    Args:
        num_processes: Processes that train together.
    """
    return max(available_cpus() // num_processes, 1)


def first_workers(asked: int | str, num_processes: int, device: str) -> int:
    """Return with how many loader processes each training process begins.

    Args:
        asked: The user's number, or 'auto'.
        num_processes: Processes that train together.
        device: 'cuda' or 'cpu'.

    Returns:
        The user's number within the cores; for 'auto' one that the memory holds too.
    """
    limit = max_workers(num_processes)
    if asked != 'auto':
        return min(int(asked), limit)
    return max(min(FIRST_WORKERS[device], limit, _fitting(WORKER_BYTES) // num_processes), 1)


def more_workers(loader: DataLoader, wanted: int, limit: int, num_processes: int) -> int:
    """Return how many workers a loader may have, at most.

    Args:
        loader: Whose workers run.
        wanted: How many would be of use, more than there are.
        limit: The most, by the cores.
        num_processes: Processes that train together, each of which may ask the same.

    Returns:
        The wanted number, or what the cores and half of the free memory allow.
    """
    now = loader.num_workers
    sizes = [_private_bytes(worker.pid) for worker in getattr(loader._iterator, '_workers', ())]
    size = max(sizes, default=0) or WORKER_BYTES
    return max(min(wanted, limit, now + _fitting(size) // num_processes), now)


def set_workers(loader: DataLoader, count: int, seed_offset: int) -> None:
    """Give a loader another number of workers, from its next epoch on.

    Args:
        loader: Between two epochs.
        count: The new number, at least 1, as the old one.
        seed_offset: Added to the seed of the workers, which would draw the numbers of the first ones again.
    """
    if loader._iterator is not None:
        loader._iterator._shutdown_workers()
        loader._iterator = None
    loader.num_workers = count
    init = loader.worker_init_fn
    if isinstance(init, functools.partial) and 'seed' in init.keywords:
        changes = {'num_workers': count, 'seed': init.keywords['seed'] + seed_offset}
        loader.worker_init_fn = functools.partial(init.func, *init.args, **{**init.keywords, **changes})


def give_way(loader: DataLoader, niceness: int) -> None:
    """Let the workers of a loader compute only where the training leaves cores idle, or waits for them.

    Args:
        loader: Before its first epoch.
        niceness: Added to that of the training process, 0 to 19.
    """
    init = loader.worker_init_fn
    keywords = init.keywords if isinstance(init, functools.partial) else {}
    function = init.func if isinstance(init, functools.partial) else init
    # `seed` stays a keyword, for `set_workers`.
    loader.worker_init_fn = functools.partial(_init_with_niceness, niceness, function, **keywords)


def _init_with_niceness(niceness: int, init: Callable[..., None] | None, worker_id: int, **keywords: Any) -> None:
    os.nice(niceness)
    if init is not None:
        init(worker_id, **keywords)


class WorkerTimes:
    """What the workers of a loader spend on images: seconds and images, counted in memory that all share.

    Args:
        count: The most workers.
    """

    def __init__(self, count: int) -> None:
        self._table = torch.zeros(max(count, 1), 2, dtype=torch.float64).share_memory_()

    def watch(self, dataset: Dataset) -> None:
        """Measure a data set of mmengine from now on, once; workers that run already go on unmeasured.

        Args:
            dataset: Any; one without `prepare_data` is left alone.
        """
        prepare = getattr(dataset, 'prepare_data', None)
        if prepare is not None and not isinstance(prepare, _Measured):
            dataset.prepare_data = _Measured(prepare, self._table)

    def read(self) -> tuple[float, float]:
        """Return seconds and images of all workers so far."""
        seconds, images = self._table.sum(dim=0).tolist()
        return seconds, images


class _Measured:
    """`prepare_data` of a data set, which notes in the row of its worker how long it took."""

    def __init__(self, prepare: Any, table: torch.Tensor) -> None:
        self._prepare = prepare
        self._table = table

    def __call__(self, index: int) -> Any:
        began = time.perf_counter()
        data = self._prepare(index)
        worker = get_worker_info()
        row = self._table[worker.id if worker is not None and worker.id < len(self._table) else 0]
        row += torch.tensor([time.perf_counter() - began, 1.0], dtype=torch.float64)
        return data


def _fitting(size: int) -> int:
    """Return how many workers of this many bytes fit into the memory that they may take."""
    free = available_memory()
    return os.cpu_count() or 1 if free is None else int(MEMORY_SHARE * free) // size


def _private_bytes(pid: int | None) -> int:
    """Return the memory that a process shares with no other; 0 if the system does not say."""
    try:
        lines = Path(f'/proc/{pid}/smaps_rollup').read_text(encoding='ascii').splitlines()
    except OSError:
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith('Private_'))
