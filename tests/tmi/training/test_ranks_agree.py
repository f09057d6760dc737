"""Two training processes that see different things decide alike: length, loader workers, compiler."""

import json
import os
import traceback
from datetime import timedelta

import pytest
import torch
from mmengine.hooks import Hook
from torch import distributed

from tmi.training import loader_workers, throughput_hook, time_budget_hook, train_loop
from tmi.training.compile_hook import CompileHook
from tmi.training.throughput_hook import ThroughputHook

from .simulated import BATCH, Clock, Machine, Runner
from .test_compile_hook import make_batch, make_runner, refuse
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


@pytest.mark.parametrize('late', [0, 1])
def test_the_process_that_waits_for_its_data_decides(clock, tmp_path, late):
    """The other one waits for it in each step, so that its own model only seems slow."""

    def train(rank):
        machine = Machine(step=0.02, image=0.05 if rank == late else 0.001)

        class Wait(Hook):
            def before_train_epoch(self, runner):
                if rank != late:
                    machine.step = 0.05 * BATCH / runner.train_dataloader.num_workers

        runner = Runner(machine, clock, [ThroughputHook(num_processes=2, auto_workers=True), Wait()], epochs=20)
        runner.train_loop.run()
        return [runner.train_dataloader.num_workers, runner.messages, runner.message_hub.get_info('throughput')]

    first, second = in_two_processes(tmp_path, train)
    assert first == second
    workers, messages, throughput = first
    assert workers == 8
    assert (
        ' 92 % of the time waiting for data: the model alone would take 1000.0, one loader worker prepares 20.0'
        in (messages[0])
    )
    assert throughput['waiting_share'] > 0.5


class Together(torch.nn.Module):
    """Exchanges a number with the other process, as norms that share statistics do.

    Args:
        inner: what it stands behind.
    """

    def __init__(self, inner):
        super().__init__()
        self.inner, self.calls = inner, 0

    def forward(self, inputs):
        outputs = self.inner(inputs)
        self._exchange()
        return outputs

    @torch.compiler.disable
    def _exchange(self):
        self.calls += 1
        distributed.all_reduce(torch.ones(1))


def test_no_process_begins_a_compiled_step_that_another_one_cannot_take(tmp_path):
    def train(rank):
        runner = make_runner()
        runner.model.backbone = Together(runner.model.backbone)
        messages = []
        runner.logger.warning = lambda text, *values: messages.append(text % values)
        CompileHook(refuse if rank else 'eager').before_train_iter(runner, 0, make_batch())
        return [runner.model.backbone.calls, messages]

    (first_calls, (first,)), (second_calls, (second,)) = in_two_processes(tmp_path, train)
    assert first_calls == second_calls == 0
    assert first.endswith('the training goes on without (it failed in another process).')
    assert 'no compiler found' in second
