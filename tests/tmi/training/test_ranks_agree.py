"""Two training processes whose clocks differ follow one decision: the same epochs, validations and loader workers."""

import json
import os
import traceback
from datetime import timedelta

import pytest
from torch import distributed

from tmi.training import loader_workers, throughput_hook, time_budget_hook, train_loop
from tmi.training.throughput_hook import ThroughputHook

from .simulated import Clock, Machine, Runner
from .test_time_budget import make_task, simulate


def in_two_processes(tmp_path, work):
    """Return what a function gives for ranks 0 and 1, which are processes of one group."""
    children = []
    for rank in range(2):
        children.append(os.fork())
        if children[-1] == 0:
            try:
                store = f'file://{tmp_path}/store'
                distributed.init_process_group('gloo', store, timedelta(seconds=100), world_size=2, rank=rank)
                (tmp_path / f'{rank}.json').write_text(json.dumps(work(rank)))
                os._exit(0)
            finally:
                traceback.print_exc()
                os._exit(1)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    return [json.loads((tmp_path / f'{rank}.json').read_text()) for rank in range(2)]


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (train_loop, time_budget_hook, loader_workers):
        monkeypatch.setattr(module, 'time', clock)
    monkeypatch.setattr(throughput_hook, 'max_workers', lambda processes: 8)
    monkeypatch.setattr(loader_workers, 'available_memory', lambda: 64 * 1024**3)
    return clock


def test_the_length_of_a_training_with_a_time_budget(clock, tmp_path):
    task = make_task(tmp_path, max_minutes=3)

    def train(rank):
        runner = simulate(clock, Machine(step=0.2 + 0.1 * rank, validation=2.0 - rank), task, 3)
        return [runner.max_epochs, runner.iter, runner.validated, runner.optim_wrapper.param_groups[0]['lr']]

    first, second = in_two_processes(tmp_path, train)
    assert first == second and first[0] != 100


def test_the_number_of_loader_workers(clock, tmp_path):
    def train(rank):
        hook = ThroughputHook(num_processes=2, auto_workers=True)
        runner = Runner(Machine(step=0.1, image=0.05 + 0.03 * rank), clock, [hook], epochs=20)
        runner.train_loop.run()
        return [runner.train_dataloader.num_workers, hook.auto_workers, runner.iter]

    first, second = in_two_processes(tmp_path, train)
    assert first == second and first[0] > 2
