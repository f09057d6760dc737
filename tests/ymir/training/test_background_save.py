"""The state to resume from is written while the training goes on, as it was at the validation."""

import threading
from collections import OrderedDict

import pytest
import torch

from tmi.checkpoint_io import load_checkpoint
from ymir import checkpoint_hook
from ymir.background_save import BackgroundSave, in_main_memory

from .hook_runs import make_hook, make_runner, validate
from .test_checkpoint_hook import task  # noqa: F401  a fixture


def test_a_copy_stays_what_it_was():
    weights = torch.nn.BatchNorm1d(2).state_dict()
    history = [1, [2]]
    before = {'weights': weights, 'both': (weights['weight'], history)}
    after = in_main_memory(before)
    weights['weight'].fill_(7)
    history[1].append(3)
    assert after['weights']['weight'].tolist() == after['both'][0].tolist() == [1, 1] and after['both'][1] == [1, [2]]
    assert type(after['weights']) is OrderedDict and after['weights']._metadata == weights._metadata


def test_failures_reach_who_waits_once():
    saving, written = BackgroundSave(), []
    saving.wait()
    saving.start(lambda: written.append(1) or open('/nonexistent/file', 'w'))
    with pytest.raises(FileNotFoundError):
        saving.start(lambda: written.append(2))
    saving.wait()
    saving.start(lambda: written.append(3))
    saving.wait()
    assert written == [1, 3]


@pytest.fixture
def gate(monkeypatch):
    """Opened to let the state to resume from be written."""
    opened, save = threading.Event(), checkpoint_hook._save

    def save_later(checkpoint, path):
        assert path.name != 'resume.pth' or opened.wait(60)
        save(checkpoint, path)

    monkeypatch.setattr(checkpoint_hook, '_save', save_later)
    return opened


def set_weights(runner, value):
    with torch.no_grad():
        runner.model.weight.fill_(value)


def test_what_is_written_is_the_state_at_the_validation(task, gate):  # noqa: F811
    runner, hook, models = make_runner(task), make_hook(), task.out_dir / 'models'
    runner.epoch = 1
    set_weights(runner, 1)
    hook.after_val_epoch(runner, {'coco/bbox_mAP': 0.1})
    set_weights(runner, 2)  # in the next step
    assert (models / 'result.yaml').exists() and not (models / 'last_checkpoint').exists()
    gate.set()
    hook.after_train(runner)
    resume = load_checkpoint(models / 'resume.pth')
    assert resume['state_dict']['weight'].tolist() == [[1, 1], [1, 1]] and resume['meta']['epoch'] == 1
    assert (models / 'last_checkpoint').read_text() == str(models / 'resume.pth')


def test_no_stage_is_two_epochs_ahead_of_it(task, gate):  # noqa: F811
    runner, hook, models = make_runner(task), make_hook(), task.out_dir / 'models'
    runner.epoch = 1
    hook.after_val_epoch(runner, {'coco/bbox_mAP': 0.1})
    opener = threading.Timer(0.3, gate.set)
    opener.start()
    validate(hook, runner, 0.2)
    assert opener.finished.is_set() and load_checkpoint(models / 'resume.pth')['meta']['epoch'] == 2
