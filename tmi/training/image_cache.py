"""The cache of decoded images of a training: where it lies, how large it is, and why.

The process that starts a training makes one `ImageCache` for all processes of the training on this machine, before they
start, and names it in their config. They fill it while the first epoch runs.
"""

import logging
import math
import os
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from mmyolo.utils.free_memory import available_memory
from mmyolo.utils.image_cache import ImageCache
from tmi.devices import available_cpus
from tmi.training.config import TrainingTask

logger = logging.getLogger('tmi')

MEGABYTE = 1024**2
LEAST_SHARE = 0.1  # of the images; a cache of fewer is not worth its memory
# Of one core: JPEGs of 0.45 megapixels are decoded at 224 a second.
DECODED_PIXELS_A_SECOND = 1e8
# More than any model takes, of one process; how long an epoch is with a time budget is not known before it is trained.
MOST_IMAGES_A_SECOND = {'cpu': 50, 'cuda': 1000}
# A process that has read all of a mapped file has an address of 8 bytes for each page of 4096.
PAGE_TABLE_SHARE = 8 / 4096
PROBE_BYTES = 32 * MEGABYTE
IN_MEMORY = ('tmpfs', 'ramfs', 'devtmpfs')
NETWORK = ('nfs', 'nfs4', 'cifs', 'smb3', '9p', 'ceph', 'lustre', 'gpfs', 'beegfs', 'glusterfs', 'afs')


class CacheNeed(NamedTuple):
    """What a training would cache.

    Args:
        num_images: Training images.
        size: Bytes of a cache of all.
        pixels: Of all their files.
        epochs: How often each is read; with a time budget at most so often.
        processes: Loader processes that read, of all GPUs of this machine.
    """

    num_images: int
    size: int
    pixels: int
    epochs: int
    processes: int


class DiskSpeed(NamedTuple):
    """What a disk reads and writes, in bytes a second."""

    read: float
    write: float


class CacheChoice(NamedTuple):
    """A cache to make.

    Args:
        kind: 'memory', 'disk' or 'off'.
        reason: Why.
        size: Bytes.
        folder: On the disk.
    """

    kind: str
    reason: str
    size: int = 0
    folder: Path | None = None


class Machine:
    """What this machine has room for.

    Args:
        folders: A cache on a disk may lie in one of them.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = folders
        self.cores = available_cpus()

    def free_memory(self) -> int:
        """Return the bytes of memory that are free."""
        return available_memory() or 0

    def largest_file(self) -> int:
        """Return the bytes that a file of this process may have (RLIMIT_FSIZE)."""
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        return 2**62 if limit == resource.RLIM_INFINITY else limit

    def free_disk(self) -> tuple[Path | None, int]:
        """Return the folder on a local disk with most bytes free, and these."""
        best: tuple[Path | None, int] = (None, 0)
        for folder in self.folders:
            kind = file_system(folder)
            if kind in (*IN_MEMORY, *NETWORK) or kind.startswith('fuse') or not os.access(folder, os.W_OK):
                continue
            status = os.statvfs(folder)
            free = status.f_bavail * status.f_frsize
            best = max(best, (folder, free), key=lambda one: one[1])
        return best

    def disk_speed(self, folder: Path) -> DiskSpeed:
        """Measure what a disk writes and reads, by a small file that is gone afterwards."""
        block = os.urandom(MEGABYTE)
        try:
            with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
                fd = file.fileno()
                times = [time.perf_counter()]
                for position in range(0, PROBE_BYTES, MEGABYTE):
                    os.pwrite(fd, block, position)
                os.fdatasync(fd)
                times.append(time.perf_counter())
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                for position in range(0, PROBE_BYTES, MEGABYTE):
                    os.pread(fd, MEGABYTE, position)
                times.append(time.perf_counter())
        except OSError:  # full, say
            return DiskSpeed(1, 1)
        return DiskSpeed(PROBE_BYTES / (times[2] - times[1]), PROBE_BYTES / (times[1] - times[0]))


def file_system(folder: Path, mounts: Path = Path('/proc/self/mountinfo')) -> str:
    """Return the kind of the file system of a folder.

    Args:
        folder: It exists.
        mounts: What is mounted, as Linux lists it.

    Returns:
        Its name, as 'ext4' or 'tmpfs'; empty if unknown.
    """
    folder = folder.resolve()
    best, kind = -1, ''
    try:
        lines = mounts.read_text(errors='surrogateescape').splitlines()
    except OSError:
        return ''
    for line in lines:
        fields, _, source = line.partition(' - ')
        point = Path(fields.split()[4].replace('\\040', ' '))
        if folder.is_relative_to(point) and len(point.parts) >= best:  # a later mount hides an earlier one
            best, kind = len(point.parts), source.split()[0]
    return kind


def memory_gain(need: CacheNeed, cores: int) -> float:
    """Estimate what a cache of all images in memory saves.

    Args:
        need: What is cached.
        cores: That decode otherwise.

    Returns:
        Seconds of the whole training.
    """
    return (need.epochs - 1) * need.pixels / DECODED_PIXELS_A_SECOND / max(min(need.processes, cores), 1)


def disk_gain(need: CacheNeed, free_memory: int, speed: DiskSpeed, cores: int) -> float:
    """Estimate what a cache of all images on a disk saves.

    Args:
        need: What is cached.
        free_memory: Bytes in which the system can keep what it has written and read.
        speed: Of the disk.
        cores: That decode otherwise.

    Returns:
        Seconds of the whole training; negative where it costs time.
    """
    reading = (need.epochs - 1) * max(need.size - free_memory, 0) / speed.read
    return memory_gain(need, cores) - reading - need.size / speed.write


def _room_in_memory(need: CacheNeed, machine: Machine) -> tuple[int, int]:
    """Return the bytes that a cache of all images takes, and those that it may take."""
    taken = math.ceil(need.size * (1 + need.processes * PAGE_TABLE_SHARE))
    return taken, min(machine.free_memory() // 2, machine.largest_file())


def _in_memory(need: CacheNeed, machine: Machine, whole: bool) -> CacheChoice | str:
    taken, room = _room_in_memory(need, machine)
    short = f'all need {_amount(taken)} of memory, of which {_amount(room)} can be taken'
    if taken <= room:
        return CacheChoice('memory', 'all fit into half of what is free', need.size)
    if whole or room < LEAST_SHARE * taken:
        return short
    return CacheChoice('memory', short, need.size * room // taken)


def _on_disk(need: CacheNeed, machine: Machine, whole: bool) -> CacheChoice | str:
    folder, free = machine.free_disk()
    if folder is None:
        return 'no folder for it is on a local disk'
    room = min(free // 2, machine.largest_file())
    short = f'all need {_amount(need.size)} of {folder}, of which {_amount(room)} can be taken'
    if need.size > room and (whole or room < LEAST_SHARE * need.size):
        return short
    if need.size > room:
        return CacheChoice('disk', short, room, folder)
    if not whole:
        return CacheChoice('disk', f'all fit into half of what is free in {folder}', need.size, folder)
    taken, memory = _room_in_memory(need, machine)
    part = memory_gain(need, machine.cores) * memory / taken if memory >= LEAST_SHARE * taken else 0
    gain = disk_gain(need, machine.free_memory(), machine.disk_speed(folder), machine.cores)
    estimate = f'all in {folder} would save about {max(gain, 0):.0f} s of decoding, a part in memory {part:.0f} s'
    return CacheChoice('disk', estimate, need.size, folder) if gain > part else estimate


# What to try for each setting: where, and whether only for all images and where it saves time.
ATTEMPTS = {
    'auto': ((_in_memory, True), (_on_disk, True), (_in_memory, False)),
    'memory': ((_in_memory, False), (_on_disk, False)),
    'disk': ((_on_disk, False),),
    'off': (),
}


def cache_choices(setting: str, need: CacheNeed, machine: Machine) -> Iterator[CacheChoice]:
    """Yield the caches to try, best first; the last is 'off'.

    Args:
        setting: 'auto', 'memory', 'disk' or 'off'.
        need: What would be cached.
        machine: Where.

    Yields:
        A choice; the next one is for the case that it cannot be made.
    """
    if setting == 'auto' and need.epochs < 2:
        yield CacheChoice('off', 'a single epoch reads each image once')
        return
    reasons = []
    for attempt, whole in ATTEMPTS[setting]:
        choice = attempt(need, machine, whole)
        if isinstance(choice, str):
            reasons.append(choice)
        else:
            yield choice._replace(reason='; '.join(dict.fromkeys([*reasons, choice.reason])))
    yield CacheChoice('off', '; '.join(dict.fromkeys(reasons)) or 'as set')


def cached_transforms(node: Any) -> Iterator[dict[str, Any]]:
    """Yield the configs of the transforms that read through a cache, which have `cache_bytes` and `cache_file`.

    Args:
        node: The config of a run or a part of it.

    Yields:
        The configs, to be changed in place.
    """
    if isinstance(node, dict):
        if 'cache_bytes' in node:
            yield node
        for value in node.values():
            yield from cached_transforms(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from cached_transforms(value)


def cache_need(run: Config, task: TrainingTask) -> CacheNeed:
    """Return what a training would cache.

    Args:
        run: Its config, in which `cache_bytes` is the size of a cache of all images.
        task: What it is about.

    Returns:
        The need; of size 0 if its family reads through no cache.
    """
    workers = max(run.train_dataloader.num_workers, 1) * task.node_processes
    if task.params.workers_per_gpu == 'auto':  # which may become one for each core
        workers = max(workers, available_cpus())
    pixels = sum(width * height for width, height in task.data.image_sizes)
    return CacheNeed(
        task.data.num_train,
        max((transform['cache_bytes'] for transform in cached_transforms(run._cfg_dict)), default=0),
        pixels,
        _epochs_in_time(task, pixels, workers) if task.params.max_minutes else run.train_cfg.max_epochs,
        workers,
    )


def _epochs_in_time(task: TrainingTask, pixels: int, workers: int) -> int:
    """Return how many epochs may fit into the time budget, by the decoding and by the fastest of models."""
    decoding = pixels / DECODED_PIXELS_A_SECOND / max(min(workers, available_cpus()), 1)
    training = task.data.num_train / MOST_IMAGES_A_SECOND[task.device] / task.num_processes
    epochs = int(60 * task.params.max_minutes / max(decoding, training))
    return min(epochs, task.most_epochs or epochs)


@contextmanager
def shared_image_cache(run: Config, task: TrainingTask, folders: Sequence[Path]) -> Iterator[CacheChoice]:
    """Make the cache of a training and name it in its config; it is gone after the block and the training processes.

    Args:
        run: The config, changed in place.
        task: What the training is about.
        folders: Folders of the task that a cache may lie in, besides that for temporary files.

    Yields:
        What was made.
    """
    need = cache_need(run, task)
    if not need.size:
        yield CacheChoice('off', 'the models of this family read through none')
        return
    if task.nodes > 1:
        choice, cache = CacheChoice('off', 'the processes of other nodes cannot share it'), None
    else:
        choice, cache = _make(task.params.cache, need, Machine([Path(tempfile.gettempdir()), *folders]))
    share = min(choice.size / need.size, 1)
    images = f'{"all" if share == 1 else f"about {share:.0%}"} of {need.num_images} images, {_amount(choice.size)}'
    logger.info('Image cache: %s (%s)', f'{choice.kind}, for {images}' if share else 'off', choice.reason)
    for transform in cached_transforms(run._cfg_dict):
        transform.update(cache_bytes=choice.size, cache_file=cache.path if cache else None)
    try:
        yield choice
    finally:
        del cache


def _make(setting: str, need: CacheNeed, machine: Machine) -> tuple[CacheChoice, ImageCache | None]:
    failed = set()
    for choice in cache_choices(setting, need, machine):
        if choice.kind == 'off':
            break
        if choice.kind in failed:
            continue
        try:
            return choice, ImageCache.create(choice.size, need.num_images, choice.folder)
        except OSError as error:
            logger.warning('No image cache can be made (%s): %s. The next best is tried.', choice.kind, error)
            failed.add(choice.kind)
    return choice, None


def _amount(size: int) -> str:
    return f'{size / MEGABYTE:,.0f} MB'
