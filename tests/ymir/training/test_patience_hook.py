"""When a training that does not get better ends."""

import logging
from types import SimpleNamespace

import pytest

from tmi.training.patience_hook import PatienceHook

NAN = float('nan')


def validations_until_the_end(patience, values):
    """How many validations are run; None if the training goes on after all of them."""
    hook = PatienceHook(patience)
    runner = SimpleNamespace(epoch=0, train_loop=SimpleNamespace(stop_training=False), logger=logging.getLogger('test'))
    for value in values:
        runner.epoch += 1
        hook.after_val_epoch(runner, {} if value is None else {'coco/bbox_mAP': value})
        if runner.train_loop.stop_training:
            return runner.epoch
    return None


@pytest.mark.parametrize(
    'patience, values, end',
    [
        (2, [0.3, 0.3, 0.3, 0.3], 3),
        (2, [0.0] * 5, 3),
        (2, [NAN] * 5, 3),
        (2, [-1.0] * 5, 3),
        (2, [None] * 5, 3),
        (2, [NAN, 0.0, -1.0, None], 3),
        (1, [0.3, 0.3], 2),
        (1, [0.1, 0.2, 0.3], None),
        (2, [0.1, 0.2, 0.2, 0.2 + 1e-6, 0.2, 0.2, 0.9], 6),
        (3, [0.5, 0.4, 0.3, 0.6, 0.1, NAN, 0.6, 0.9], 7),
        (3, [0.5, 0.4, 0.5, 0.51], None),
        (2, [0.5, NAN, 0.4], 3),
    ],
)
def test_it_ends_after_so_many_validations_without_a_higher_map(patience, values, end):
    assert validations_until_the_end(patience, values) == end
