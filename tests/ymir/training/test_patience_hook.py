"""When a training that does not get better ends."""

import logging
import math
import uuid
from types import SimpleNamespace

import pytest
from mmengine.logging import MessageHub

from tmi.training.patience_hook import PatienceHook

NAN = float('nan')


def make_runner(found=None):
    hub = MessageHub.get_instance(f'patience-{uuid.uuid4()}')
    if found:
        hub.load_state_dict(found)
    loop = SimpleNamespace(stop_training=False)
    return SimpleNamespace(epoch=0, iter=0, train_loop=loop, message_hub=hub, logger=logging.getLogger('test'))


def validations_until_the_end(patience, values):
    """How many validations are run; None if the training goes on after all of them."""
    hook = PatienceHook(patience)
    runner = make_runner()
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


@pytest.mark.parametrize('values, waited', [([0.3, 0.2], 1), ([0.3, 0.2, 0.1], 2)])
def test_a_resumed_training_goes_on_waiting(values, waited):
    """One that had waited long enough, and was ended before it said so, ends at once."""
    hook, runner = PatienceHook(2), make_runner()
    for value in values:
        hook.after_val_epoch(runner, {'coco/bbox_mAP': value})
    again, resumed = PatienceHook(2), make_runner(runner.message_hub.state_dict())
    again.before_train(resumed)
    assert (again.best, again.waited) == (-math.inf, 0)  # a new training
    resumed.iter = 7
    again.before_train(resumed)
    assert (again.best, again.waited) == (0.3, waited)
    assert resumed.train_loop.stop_training == (waited == 2)


@pytest.mark.parametrize('prefix, name', [('coco/bbox_', 'mAP'), ('coco/segm_', 'maskAP')])
def test_the_log_says_which_metric_is_no_better(caplog, prefix, name):
    hook, runner = PatienceHook(1, prefix), make_runner()
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            hook.after_val_epoch(runner, {'coco/bbox_mAP': 0.75, 'coco/segm_mAP': 0.75})
    assert f'no better {name} than 0.7500' in caplog.text
