"""Where the image cache of a training lies, and that its processes share it."""

import copy
import logging
import os
import resource
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mmyolo.registry import TRANSFORMS
from mmyolo.utils.free_memory import available_memory
from mmyolo.utils.image_cache import ImageCache, _open
from tests.processes import check_in_fork
from tmi.training import image_cache
from tmi.training.data import TrainingData
from tmi.training.image_cache import (
    CacheNeed,
    DiskSpeed,
    Machine,
    cache_choices,
    cache_need,
    cached_transforms,
    disk_gain,
    file_system,
    shared_image_cache,
)

GIGABYTE = 1024**3
FAST, SLOW = DiskSpeed(1e9, 1e9), DiskSpeed(2e7, 2e7)
NEED = CacheNeed(num_images=10_000, size=10 * GIGABYTE, pixels=10_000 * 10**6, epochs=50, processes=8)


class FakeMachine(Machine):
    """A machine of given numbers."""

    def __init__(self, memory, disk, speed=FAST, largest=2**62):
        self.cores, self._memory, self._disk, self._speed, self._largest = 8, memory, disk, speed, largest

    def free_memory(self):
        return self._memory

    def largest_file(self):
        return self._largest

    def free_disk(self):
        return (Path('/tmp'), self._disk) if self._disk else (None, 0)

    def disk_speed(self, folder):
        return self._speed


def choices(setting, memory, disk, need=NEED, **machine):
    return list(cache_choices(setting, need, FakeMachine(int(memory * GIGABYTE), int(disk * GIGABYTE), **machine)))


@pytest.mark.parametrize(
    'setting, memory, disk, kind, share',
    [
        ('auto', 30, 100, 'memory', 1),
        ('auto', 12, 100, 'disk', 1),  # never more than half of what is free
        ('auto', 12, 19, 'memory', 0.59),
        ('auto', 1, 19, 'off', 0),
        ('memory', 12, 100, 'memory', 0.59),
        ('memory', 1, 100, 'disk', 1),
        ('memory', 1, 1, 'off', 0),
        ('disk', 30, 100, 'disk', 1),
        ('disk', 30, 12, 'disk', 0.6),
        ('disk', 30, 1, 'off', 0),
        ('disk', 30, 0, 'off', 0),
        ('off', 30, 100, 'off', 0),
    ],
)
def test_the_place_follows_what_is_free(setting, memory, disk, kind, share):
    first, *_ = found = choices(setting, memory, disk)
    assert first.kind == kind and first.size / NEED.size == pytest.approx(share, abs=0.01)
    assert found[-1].kind == 'off' and all(choice.reason for choice in found)


def test_the_address_tables_of_many_processes_count():
    need = NEED._replace(processes=512)
    assert choices('auto', 30, 100, need)[0].kind == 'disk'
    assert choices('auto', 42, 100, need)[0].kind == 'memory'


def test_a_limit_of_file_sizes_counts():
    """RLIMIT_FSIZE holds for memory too."""
    assert choices('auto', 30, 100, largest=2 * GIGABYTE)[0].size == pytest.approx(2 * GIGABYTE, rel=0.02)
    (off,) = choices('auto', 30, 100, largest=2**20)
    assert off.kind == 'off' and 'all need 10,400 MB of memory, of which 1 MB can be taken' in off.reason


def test_auto_takes_none_for_a_single_epoch():
    need = NEED._replace(epochs=1)
    assert [choice.kind for choice in choices('auto', 30, 100, need)] == ['off']
    assert choices('memory', 30, 100, need)[0].kind == 'memory'


def test_auto_takes_a_disk_only_where_that_saves_time():
    need = NEED._replace(size=14 * GIGABYTE)
    assert choices('auto', 12, 100, need)[0].kind == 'disk'
    assert choices('auto', 12, 100, need._replace(size=20 * GIGABYTE))[0].kind == 'memory'  # a part of them saves more
    assert choices('auto', 12, 100, need, speed=SLOW)[0].kind == 'memory'
    assert choices('disk', 12, 100, need, speed=SLOW)[0].kind == 'disk'  # asked for
    # 100 s of one core to decode 1e10 pixels, 8 decode; 10 GB are written in 10 s and of 20 GB half read in 10 s.
    need = NEED._replace(size=20 * 10**9, epochs=11)
    assert disk_gain(need, 10 * 10**9, DiskSpeed(1e9, 2e9), 8) == pytest.approx(10 * (12.5 - 10) - 10)
    assert disk_gain(need, 10 * 10**9, DiskSpeed(1e9, 2e9), 2) == pytest.approx(10 * (50 - 10) - 10)


def test_file_systems_are_told_apart(tmp_path):
    mounts = tmp_path / 'mountinfo'
    mounts.write_text(
        '1 0 0:1 / / rw - overlay overlay rw\n'
        f'2 1 0:2 / {tmp_path} rw shared:1 - nfs4 host:/x rw\n'
        f'3 2 0:3 / {tmp_path}/a\\040b rw - tmpfs tmpfs rw\n'
    )
    (tmp_path / 'a b').mkdir()
    (tmp_path / 'a').mkdir()
    assert [file_system(path, mounts) for path in (Path('/'), tmp_path / 'a', tmp_path / 'a b')] == [
        'overlay',
        'nfs4',
        'tmpfs',
    ]
    assert file_system(tmp_path, tmp_path / 'absent') == ''


@pytest.mark.parametrize('kind', ['tmpfs', 'nfs4', 'fuse.sshfs'])
def test_what_is_no_local_disk_is_none(tmp_path, monkeypatch, kind):
    assert Machine([tmp_path]).free_disk()[1] > 0 or file_system(tmp_path) in image_cache.IN_MEMORY
    monkeypatch.setattr(image_cache, 'file_system', lambda folder: kind)
    assert Machine([tmp_path]).free_disk() == (None, 0)


def test_the_speed_of_a_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(image_cache, 'PROBE_BYTES', 2**20)
    speed = Machine([]).disk_speed(tmp_path)
    assert speed.read > 0 and speed.write > 0 and not list(tmp_path.iterdir())
    monkeypatch.setattr(os, 'fdatasync', lambda fd: (_ for _ in ()).throw(OSError(28, 'No space left on device')))
    assert disk_gain(NEED, 0, Machine([]).disk_speed(tmp_path), 8) < 0


@pytest.fixture
def training(tmp_path):
    """A config with two pipelines, its task, and four photos."""
    paths = []
    for index in range(4):
        paths.append(str(tmp_path / f'{index}.jpg'))
        cv2.imwrite(paths[-1], np.full((48, 64, 3), 40 * index, np.uint8))
    data = TrainingData(tmp_path / 'train.json', tmp_path / 'val.json', ((64, 48),) * 4)
    load = {'type': 'LoadCachedImage', 'max_size': 32, 'cache_bytes': data.cache_bytes(32), 'cache_file': None}
    run = Config(
        {
            'train_dataloader': {
                'num_workers': 2,
                'dataset': {'pipeline': [{'type': 'Mosaic', 'pre_transform': [load]}]},
            },
            'train_cfg': {'max_epochs': 3},
            'custom_hooks': [{'type': 'Other', 'switch_pipeline': [copy.deepcopy(load)]}],
        }
    )
    yield SimpleNamespace(
        run=run,
        paths=paths,
        task=SimpleNamespace(
            data=data,
            num_processes=2,
            node_processes=2,
            nodes=1,
            device='cpu',
            most_epochs=None,
            params=SimpleNamespace(cache='auto', workers_per_gpu=2, max_minutes=0),
        ),
    )
    _open.cache_clear()


@pytest.mark.parametrize('setting', ['memory', 'disk'])
def test_two_ranks_share_one_cache(training, setting, tmp_path, caplog, monkeypatch):
    """Each opens what the config names; nothing was inherited, and nothing is left."""
    monkeypatch.setattr(image_cache, 'file_system', lambda folder: 'ext4')
    training.task.params.cache = setting
    before = set(os.listdir(tmp_path))
    pipes = [os.pipe() for _ in range(2)]
    ranks = []
    first = dict(next(cached_transforms(training.run._cfg_dict)))
    for (reading, _), paths in zip(pipes, (training.paths[:2], training.paths[2:]), strict=True):
        ranks.append(os.fork())
        if ranks[-1] == 0:
            try:
                for _, writing in pipes:
                    os.close(writing)  # so that reading ends when this test fails before it writes
                load = TRANSFORMS.build({**first, 'cache_file': os.read(reading, 100).decode()})
                for path in paths:
                    load({'img_path': path})
                os._exit(0)
            finally:
                os._exit(1)
    with caplog.at_level(logging.INFO, 'tmi'), shared_image_cache(training.run, training.task, [tmp_path]) as choice:
        loads = list(cached_transforms(training.run._cfg_dict))
        assert choice.kind == setting and len(loads) == 2 and loads[0] == loads[1]
        file = loads[0].cache_file
        for _, writing in pipes:
            os.write(writing, file.encode())
        assert [os.waitpid(rank, 0)[1] for rank in ranks] == [0, 0]
        assert ImageCache.open(file).num_images == 4
        assert set(os.listdir(tmp_path)) == before
    assert not os.path.exists(file)
    assert f'Image cache: {setting}, for all of 4 images' in caplog.text


def test_what_a_training_needs(training, monkeypatch):
    monkeypatch.setattr(image_cache, 'available_cpus', lambda: 16)
    need = cache_need(training.run, training.task)
    assert need == (4, training.task.data.cache_bytes(32), 4 * 64 * 48, 3, 4)
    assert 4 * 32 * 24 * 3 < need.size < 1.1 * 4 * 32 * 24 * 3 + 700
    training.task.params.workers_per_gpu = 'auto'  # one for each core at most
    assert cache_need(training.run, training.task).processes == 16


def test_a_cache_counts_the_epochs_that_may_fit_into_a_time_budget(training, monkeypatch):
    monkeypatch.setattr(image_cache, 'available_cpus', lambda: 2)
    task = training.task

    def epochs(images, minutes, most=None, device='cpu', side=64):
        sizes = ((side, side),) * images
        task.data, task.params.max_minutes = SimpleNamespace(num_train=images, image_sizes=sizes), minutes
        task.most_epochs, task.device = most, device
        return cache_need(training.run, task).epochs

    assert epochs(1000, 1) == 6  # 2 processes take 100 images a second at most
    assert epochs(1000, 1, device='cuda') == 120
    assert epochs(1000, 1, device='cuda', side=1000) == 12  # two cores decode 200 megapixels a second
    assert (epochs(100, 1, most=30), epochs(100, 0.1, most=30)) == (30, 6)
    assert epochs(100_000, 1) == 0
    assert next(cache_choices('auto', cache_need(training.run, task), Machine([]))).kind == 'off'


def test_it_is_gone_after_a_failed_training(training):
    with pytest.raises(ValueError, match='failed'), shared_image_cache(training.run, training.task, []):
        file = next(cached_transforms(training.run._cfg_dict)).cache_file
        assert os.path.exists(file)
        raise ValueError('failed')
    assert not os.path.exists(file)


def test_what_cannot_be_made_is_said_and_the_next_is_tried(training, tmp_path, monkeypatch, caplog):
    create = ImageCache.create

    def only_on_disk(size, num_images, folder=None):
        if folder is None:
            raise OSError(12, 'Cannot allocate memory')
        return create(size, num_images, folder)

    monkeypatch.setattr(ImageCache, 'create', only_on_disk)
    monkeypatch.setattr(image_cache, 'file_system', lambda folder: 'ext4')
    monkeypatch.setattr(image_cache, 'disk_gain', lambda *_: 1e6)
    with caplog.at_level(logging.INFO, 'tmi'), shared_image_cache(training.run, training.task, [tmp_path]) as choice:
        assert choice.kind == 'disk'
    assert 'No image cache can be made (memory): [Errno 12] Cannot allocate memory' in caplog.text
    monkeypatch.setattr(image_cache, 'file_system', lambda folder: 'tmpfs')
    with shared_image_cache(training.run, training.task, []) as choice:
        assert choice.kind == 'off'
        assert [(load.cache_bytes, load.cache_file) for load in cached_transforms(training.run._cfg_dict)] == [
            (0, None)
        ] * 2


@pytest.fixture
def one_gigabyte(training, tmp_path, monkeypatch):
    """A training whose cache would take 1 GB, and a local disk with room for four."""
    for load in cached_transforms(training.run._cfg_dict):
        load.cache_bytes = GIGABYTE
    monkeypatch.setattr(image_cache, 'file_system', lambda folder: 'ext4')
    monkeypatch.setattr(Machine, 'free_disk', lambda self: (tmp_path, 4 * GIGABYTE))
    monkeypatch.setattr(image_cache, 'disk_gain', lambda *_: 1e6)
    return training


def loads(training):
    """Load an image as a worker does, and return its mean."""
    load = TRANSFORMS.build(next(cached_transforms(training.run._cfg_dict)))
    return load({'img_path': training.paths[2]})['img'].mean()


def test_a_small_limit_of_addresses_falls_back(one_gigabyte, caplog):
    """RLIMIT_AS of a real process: neither memory nor disk can hold all, since both are mapped."""

    def check():
        pages = int(Path('/proc/self/statm').read_text().split()[0])
        limit = pages * resource.getpagesize() + GIGABYTE // 2
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        task = one_gigabyte.task
        with caplog.at_level(logging.INFO, 'tmi'), shared_image_cache(one_gigabyte.run, task, []) as choice:
            loads(one_gigabyte)
        assert choice.kind == 'memory' and 0.2 < choice.size / GIGABYTE < 0.26
        assert 'No image cache can be made (disk): [Errno 12] Cannot allocate memory' in caplog.text
        assert 'Image cache: memory, for about 2' in caplog.text and 'all need 1,0' in caplog.text

    check_in_fork(check)


def test_a_small_control_group_sends_it_to_the_disk(one_gigabyte, tmp_path, monkeypatch, caplog):
    group = tmp_path / 'cgroup'
    group.mkdir()
    values = {'memory.max': 512 * 1024**2, 'memory.current': 462 * 1024**2, 'memory.stat': 'inactive_file 0'}
    for name, value in values.items():
        (group / name).write_text(f'{value}\n')
    (tmp_path / 'own').write_text('0::/\n')
    monkeypatch.setattr(image_cache, 'available_memory', lambda: available_memory(group, tmp_path / 'own'))
    with caplog.at_level(logging.INFO, 'tmi'), shared_image_cache(one_gigabyte.run, one_gigabyte.task, []) as choice:
        assert (choice.kind, choice.size) == ('disk', GIGABYTE) and loads(one_gigabyte) == pytest.approx(80, abs=2)
    assert 'Image cache: disk, for all of 4 images, 1,024 MB (all need 1,0' in caplog.text
    assert 'MB of memory, of which 25 MB can be taken' in caplog.text


@pytest.mark.parametrize('setting', ['auto', 'memory', 'disk'])
def test_a_small_limit_of_file_sizes_switches_it_off(one_gigabyte, setting, caplog):
    """RLIMIT_FSIZE of a real process holds for memory and disk."""
    one_gigabyte.task.params.cache = setting

    def check():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * 1024**2,) * 2)
        task = one_gigabyte.task
        with caplog.at_level(logging.INFO, 'tmi'), shared_image_cache(one_gigabyte.run, task, []) as choice:
            assert choice.kind == 'off' and loads(one_gigabyte) == pytest.approx(80, abs=2)
        assert 'Image cache: off (all need 1,0' in caplog.text and 'of which 2 MB can be taken' in caplog.text

    check_in_fork(check)


def test_the_size_of_dev_shm_does_not_matter(training):
    """The cache in memory is no file there, so that Docker's 64 MB of it hold no cache back."""
    training.task.params.cache = 'memory'
    with shared_image_cache(training.run, training.task, []) as choice:
        assert choice.kind == 'memory'
        assert os.readlink(next(cached_transforms(training.run._cfg_dict)).cache_file).startswith('/memfd:')


def test_a_family_without_a_cache_has_none(training):
    run = Config({'train_dataloader': {'num_workers': 0}, 'train_cfg': {'max_epochs': 3}})
    with shared_image_cache(run, training.task, []) as choice:
        assert choice.kind == 'off'
