"""The loop of a training that is resumed with another number of steps an epoch."""

import pytest

from .simulated import Clock, Machine, Runner


@pytest.mark.parametrize('iter_before', [16, 30, 10], ids=['as before', 'a larger batch now', 'a smaller batch now'])
def test_a_resumed_training_makes_all_steps_of_its_last_epochs(iter_before):
    runner = Runner(Machine(), Clock(), [], steps=8, epochs=4)
    runner.train_loop._epoch, runner.train_loop._iter = 2, iter_before  # as mmengine takes them from the checkpoint
    runner.train_loop.run()
    assert runner.train_loop.times.steps == 16
    assert runner.iter == runner.max_iters == 32 and runner.validated == [3, 4]
