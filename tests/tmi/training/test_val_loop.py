"""A validation for whose batches the memory is too small."""

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.runner import ValLoop

from tmi.errors import StepMemoryError
from tmi.training.val_loop import TaskValLoop

REFUSED = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"


class Machine:
    """A model whose memory holds so many images, and what calls it.

    Args:
        room: for images.
        error: what it raises beyond.
    """

    def __init__(self, room, error=RuntimeError(REFUSED)):
        self.room, self.error, self.sizes, self.calls = room, error, [], []
        self.logger, self.said = MMLogger('val-loop-test'), []
        self.logger.handlers[0].emit = lambda record: self.said.append(' '.join(record.getMessage().split()[-7:])[:-1])
        self.model = self

    def val_step(self, batch):
        assert not torch.is_grad_enabled()
        self.sizes.append(len(batch['inputs']))
        if self.sizes[-1] > self.room:
            raise self.error
        return [f'{sample} of {pixels}' for pixels, sample in zip(batch['inputs'], batch['data_samples'], strict=True)]

    def call_hook(self, name, batch_idx, data_batch, outputs=None):
        self.calls.append((name, batch_idx, len(data_batch['inputs']), outputs))

    def process(self, data_samples, data_batch):
        self.calls.append(('process', data_samples, data_batch))


def run(kind, machine, *sizes):
    """Run a loop over batches of these sizes."""
    loop = kind.__new__(kind)
    loop._runner, loop.evaluator, loop.fp16, loop.val_loss = machine, machine, False, {}
    for number, size in enumerate(sizes):
        names = range(10 * number, 10 * number + size)
        loop.run_iter(number, {'inputs': [f'image {name}' for name in names], 'data_samples': list(names)})


@pytest.mark.parametrize('error', [RuntimeError(REFUSED), MemoryError(), torch.cuda.OutOfMemoryError('too small')])
def test_fewer_images_at_once_give_the_same(error):
    whole, small = Machine(8), Machine(2, error)
    run(ValLoop, whole, 8, 8, 3)
    run(TaskValLoop, small, 8, 8, 3)
    assert small.calls == whole.calls
    assert small.said == ['4 images at once instead of 8', '2 images at once instead of 4']
    assert small.sizes == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1]  # not tried again with more


def test_one_image_that_does_not_fit_and_other_errors_are_not_helped():
    with pytest.raises(StepMemoryError, match='main memory'):
        run(TaskValLoop, Machine(0), 2)
    machine = Machine(0, RuntimeError('DataLoader worker (pid 7) is killed by signal: Killed. '))
    with pytest.raises(RuntimeError, match='DataLoader worker'):
        run(TaskValLoop, machine, 2)
    assert machine.sizes == [2]
