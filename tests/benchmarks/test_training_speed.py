"""`benchmarks/training_speed.py --compile`: which epochs use what was compiled, and what is measured after each."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from benchmarks import training_speed
from benchmarks.training_speed import COMPILED, MeasureHook
from tmi.training.compile_hook import CompileHook


@pytest.fixture
def hooks(monkeypatch):
    """A hook that has compiled one part, as after its first batch, and one that measures."""
    compiler, measure = CompileHook(), MeasureHook(batch_size=2)
    compiler.part = nn.Linear(1, 1)
    compiler.shape, compiler.calls = torch.Size((2, 3)), {compiler.part: lambda number: -number}
    measure.compare_losses = lambda *_: None
    monkeypatch.setattr(measure, 'results', {})
    monkeypatch.setattr(training_speed, 'BareStep', lambda *_, plain: plain)
    monkeypatch.setattr(training_speed, 'seconds_per_step', lambda _: (1.0, 1.0))
    return compiler, measure


def test_every_other_epoch_is_compiled(hooks):
    compiler, measure = hooks
    runner = SimpleNamespace(hooks=[compiler, measure], train_dataloader=[None] * 3)
    used = []
    for runner.epoch in range(5):
        measure.before_train_epoch(runner)
        compiler._use(True)  # as before each batch
        used.append(compiler.part(torch.ones(1)).item() == -1)
        measure.after_train_epoch(runner)
    assert used == [True, False, True, False, True]
    assert {side: len(rounds) for side, rounds in measure.results.items()} == {
        'training': 2,
        COMPILED: 2,
        'bare step': 2,
        'bare eager': 2,
    }


def test_a_network_that_cannot_be_compiled_ends_it(hooks):
    compiler, measure = hooks
    compiler.calls = {}
    with pytest.raises(SystemExit, match='cannot be compiled'):
        measure.before_train_epoch(SimpleNamespace(hooks=[compiler, measure], epoch=1))
