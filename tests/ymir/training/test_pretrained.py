"""Pre-trained weights that a training cannot begin with: rejected before it begins, and nothing of them runs."""

import io
import logging
import math

import pytest
import torch
from mmengine.logging import MMLogger

from tests.mmyolo.utils.files_of_all_kinds import hostile_calls, junk, no_weights
from tests.ymir.vidt_models import random_model, small_config, write_public
from tmi.errors import TaskError
from tmi.training.initial_weights import _initial_state, prepare_initial_weights
from tmi.zoo.weights import InitialWeights
from ymir.errors import code_of

from .test_training_config import make


@pytest.fixture(scope='module')
def run():
    """The config of a training of a small model."""
    config = make('yolov8_n').run
    for part in (config.model.backbone, config.model.neck, config.model.bbox_head.head_module):
        part.widen_factor = 0.0625
    return config


@pytest.fixture(scope='module')
def state(run):
    return _initial_state(run)[0]


def prepare(path, run):
    return prepare_initial_weights(InitialWeights(path, 'package', ''), run, 'yolov8_n', path.with_name('initial.pth'))


def rejected(path, run):
    with pytest.raises(TaskError) as caught:
        prepare(path, run)
    assert code_of(caught.value) == 300004 and str(path) in caught.value.sentence
    assert not path.with_name('initial.pth').exists()
    return caught.value.sentence


def test_good_weights_are_taken(tmp_path, run, state):
    torch.save({'state_dict': state, 'meta': [1]}, tmp_path / 'x.pth')
    written = torch.load(prepare(tmp_path / 'x.pth', run), weights_only=True)['state_dict']
    assert all(torch.equal(written[name], value) for name, value in state.items())


@pytest.mark.parametrize('number', [math.nan, math.inf, 1e30])
def test_numbers_that_nothing_is_trained_from(tmp_path, run, state, number):
    name = next(name for name, value in state.items() if value.ndim == 4)
    changed = dict(state, **{name: torch.full_like(state[name], number)})
    torch.save({'state_dict': changed}, tmp_path / 'x.pth')
    sentence = rejected(tmp_path / 'x.pth', run)
    assert name in sentence and 'learning_rate' not in sentence


def test_numbers_that_are_not_used_do_not_matter(tmp_path, run, state):
    torch.save({'state_dict': dict(state, unused=torch.tensor([math.nan]))}, tmp_path / 'x.pth')
    assert prepare(tmp_path / 'x.pth', run).exists()


def test_what_holds_no_weights(tmp_path, run):
    path = tmp_path / 'x.pth'
    for name, (content, message) in junk().items():
        path.write_bytes(content)
        assert message in rejected(path, run), name
    for content, _ in no_weights().values():
        torch.save(content, path)
        rejected(path, run)


def test_nothing_is_run(tmp_path, run, state):
    canary = tmp_path / 'folder' / 'canary'
    canary.parent.mkdir()
    for name, (call, named) in hostile_calls(canary).items():
        if named is not None:
            torch.save({'state_dict': state, 'meta': call}, tmp_path / 'x.pth')
            assert named in rejected(tmp_path / 'x.pth', run)
            assert not canary.exists() and canary.parent.exists(), name


@pytest.mark.parametrize('name', ['vidt_nano', 'vidt_plus_nano', 'vidt_wo_neck_nano'])
def test_public_weights_of_another_family_are_named(tmp_path, run, name):
    path = write_public(tmp_path / 'x.pth', random_model(small_config(name, arch='nano')))
    assert f'it looks like {name}: set model_name: {name}, or' in rejected(path, run)


def test_how_each_parameter_was_initialised_is_not_shown(run, monkeypatch):
    shown = io.StringIO()
    handler = logging.StreamHandler(shown)
    handler.setLevel('INFO')
    mmengine_logger = MMLogger.get_current_instance()
    monkeypatch.setattr(mmengine_logger, 'handlers', [handler])
    monkeypatch.setattr(mmengine_logger, 'filters', [])
    _initial_state(run)
    mmengine_logger.info('\nwhat else is said')
    assert shown.getvalue() == '\nwhat else is said\n'
