"""What a training says about who waits for whom, and how the number of workers follows it."""

import functools
import os
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.dataset import BaseDataset, worker_init_fn
from mmengine.hooks import Hook
from torch.utils.data import DataLoader

from tmi.training import loader_workers, throughput_hook, train_loop
from tmi.training.loader_workers import WorkerTimes, first_workers, give_way, more_workers, set_workers
from tmi.training.throughput_hook import ThroughputHook

from .simulated import Clock, Machine, Runner


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (train_loop, loader_workers):
        monkeypatch.setattr(module, 'time', clock)
    monkeypatch.setattr(loader_workers, 'available_cpus', lambda: 8)
    monkeypatch.setattr(throughput_hook, 'max_workers', loader_workers.max_workers)
    monkeypatch.setattr(loader_workers, 'available_memory', lambda: 64 * 1024**3)
    return clock


def train(clock, machine, auto=True, **options):
    runner = Runner(machine, clock, [ThroughputHook(auto_workers=auto)], **options)
    runner.train_loop.run()
    return runner


def test_a_model_that_never_waits(clock):
    runner = train(clock, Machine(step=0.1, image=0.001), epochs=3)  # 10 images a step
    (line,) = runner.messages
    assert line == (
        '100.0 images/s, 0 % of the time waiting for data: the model alone would take 100.0, one loader worker '
        'prepares 1000.0, so 1 is needed; there are 2'
    )
    assert runner.train_dataloader.num_workers == 2


def test_a_model_that_waits_gets_the_workers_it_needs(clock):
    runner = train(clock, Machine(step=0.1, image=0.05), epochs=20)  # a worker prepares 20 images/s of 100
    assert runner.train_dataloader.num_workers == 5
    first, change, then = runner.messages
    assert first.startswith('40.0 images/s, 60 % of the time waiting for data: the model alone would take 100.0, one')
    assert first.endswith('prepares 20.0, so 5 are needed; there are 2')
    assert change == 'Loader workers: 5 instead of 2'
    assert then.startswith('100.0 images/s, 0 % of the time waiting')
    assert runner.message_hub.get_info('throughput')['workers_needed'] == 5


def test_the_number_that_the_user_gave_stays(clock):
    runner = train(clock, Machine(step=0.1, image=0.05), auto=False, epochs=20)
    assert runner.train_dataloader.num_workers == 2
    assert runner.messages[0].endswith('there are 2 (workers_per_gpu)')
    assert runner.message_hub.get_info('throughput')['waiting_share'] == pytest.approx(0.6, abs=0.01)


def test_cores_are_the_limit(clock, monkeypatch):
    runner = train(clock, Machine(step=0.01, image=0.05), epochs=20)  # 50 would be needed
    assert runner.train_dataloader.num_workers == 8
    assert runner.messages[-1].endswith('there are 8, and no more fit the 8 CPU cores')


def test_memory_is_the_limit(clock, monkeypatch):
    monkeypatch.setattr(loader_workers, 'available_memory', lambda: 2 * 1024**3)  # 2 of them in half of it
    assert more_workers(SimpleNamespace(num_workers=2, _iterator=None), 50, 8, 1) == 4
    assert first_workers('auto', 1, 'cuda') == 2
    monkeypatch.setattr(loader_workers, 'available_memory', lambda: 64 * 1024**3)
    assert (first_workers('auto', 1, 'cuda'), first_workers('auto', 4, 'cuda'), first_workers(4, 1, 'cpu')) == (8, 2, 4)


def test_workers_that_bring_nothing_are_taken_back(clock):
    machine = Machine(step=0.1, image=0.05)

    class Disk(Hook):
        """Gives as many images a second to many workers as to two."""

        def before_train_epoch(self, runner):
            machine.image = 0.025 * runner.train_dataloader.num_workers

    runner = Runner(machine, clock, [ThroughputHook(auto_workers=True), Disk()], epochs=20)
    runner.train_loop.run()
    assert runner.train_dataloader.num_workers == 2
    assert sum('Loader workers' in line for line in runner.messages) == 2


def test_a_run_that_is_nearly_over_keeps_its_workers(clock):
    runner = train(clock, Machine(step=0.01, image=0.005), epochs=3, steps=30)  # 2 s of waiting in all
    assert runner.train_dataloader.num_workers == 2


def test_a_cache_that_fills_in_the_first_epoch_is_said(clock):
    machine = Machine(step=0.1, image=0.05)

    class Cache(Hook):
        def before_train_epoch(self, runner):
            machine.image = 0.05 if runner.epoch == 0 else 0.01

    runner = Runner(machine, clock, [ThroughputHook(), Cache()], epochs=3, steps=60)
    runner.train_loop.run()
    first, second = runner.messages
    assert 'prepares 20.0' in first and 'prepares 100.0, so 1 is needed' in second


class Numbers(BaseDataset):
    """Draws a number for each image."""

    def load_data_list(self):
        return [{'number': index} for index in range(8)]

    def prepare_data(self, index):
        return np.random.random()


def test_a_real_loader_gets_other_workers_with_other_random_numbers(monkeypatch):
    monkeypatch.setattr(loader_workers, 'available_memory', lambda: 64 * 1024**3)
    dataset = Numbers(serialize_data=False)
    times = WorkerTimes(2)
    times.watch(dataset)
    times.watch(dataset)
    init = functools.partial(worker_init_fn, num_workers=1, rank=0, seed=3)
    loader = DataLoader(dataset, 4, num_workers=1, persistent_workers=True, worker_init_fn=init)
    first = [number for batch in loader for number in batch.tolist()]
    seconds, images = times.read()
    assert images == 8 and seconds > 0
    assert more_workers(loader, 5, 4, 1) == 4
    set_workers(loader, 2, 10)
    second = [number for batch in loader for number in batch.tolist()]
    assert len({worker.pid for worker in loader._iterator._workers}) == 2
    assert times.read()[1] == 16 and not set(first) & set(second)
    loader._iterator._shutdown_workers()


class Niceness(Numbers):
    """Tells how its worker runs, and a random number."""

    def prepare_data(self, index):
        return os.nice(0), np.random.random()


@pytest.mark.parametrize('seeded', [True, False])
def test_workers_give_way_to_a_training_on_the_same_cores(seeded):
    init = functools.partial(worker_init_fn, num_workers=1, rank=0, seed=3) if seeded else None
    read = []
    for niceness in (0, 5):
        loader = DataLoader(Niceness(serialize_data=False), 8, num_workers=1, worker_init_fn=init)
        if niceness:
            give_way(loader, niceness)
        read += [(levels.tolist(), numbers.tolist()) for levels, numbers in loader]
    assert read[0][0] == [os.nice(0)] * 8 and read[1][0] == [min(os.nice(0) + 5, 19)] * 8
    assert not seeded or read[0][1] == read[1][1]
