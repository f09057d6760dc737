"""Weights that the option load_from names are initial weights like those of a pre-trained model, whoever wrote them."""

import logging

import pytest
import torch
from mmengine.config import Config

from tests.vidt.test_checkpoint import swin_of_imagenet
from tests.ymir.training.platform import in_this_process, tiny_task
from tests.ymir.vidt_models import random_model, small_config, write_public
from tmi.checkpoint_io import load_checkpoint
from tmi.errors import ModelError, NotFiniteError
from tmi.zoo.weights import choose_training_weights
from vidt.checkpoint import from_public
from vidt.models import SwinWithRAM
from ymir import ymir_training
from ymir.errors import code_of

SMALL = 'model.backbone.num_det_tokens=20'


class TrainingStarted(NotFiniteError):
    """The training has been prepared; of another kind of error the options would be blamed."""


@pytest.fixture
def prepare(tmp_path, monkeypatch):
    """Prepare the training of a ViDT with these settings; returns its config."""

    def start(*_):
        raise TrainingStarted('stop')

    def prepare_training(model_name='vidt_nano', **settings):
        settings = {'model_name': model_name, 'img_size': '96,64', 'cfg_options': SMALL, **settings}
        task = tiny_task(tmp_path, 2, 1, **settings)
        in_this_process(task, monkeypatch)
        monkeypatch.setattr(ymir_training, 'train', start)
        with pytest.raises(TrainingStarted):
            ymir_training.main()
        return Config.fromfile(task.out_dir / 'ymir_training' / 'run_config.py')

    return prepare_training


@pytest.mark.parametrize('way', ['args_options', pytest.param('cfg_options', marks=pytest.mark.slow)])
def test_a_public_file_is_read_and_fitted(way, prepare, tmp_path, caplog):
    """By itself, mmengine would look for weights under another key, and load nothing."""
    caplog.set_level(logging.INFO)
    model = random_model(small_config(num_classes=91, layers=2, arch='nano'))
    file = write_public(tmp_path / 'vidt.pth', model)
    if way == 'args_options':
        run = prepare(args_options=f'--load_from {file}')
    else:
        run = prepare(cfg_options=f'{SMALL} load_from={file}')
    state = load_checkpoint(run.load_from)['state_dict']
    assert run.load_from != str(file) and not run.resume and run.model.num_decoder_layers == 2
    for name in ('backbone.layers.2.blocks.1.attn.qkv.weight', 'bbox_embed.2.layers.2.bias', 'backbone.det_token'):
        assert torch.equal(state[name], model.state_dict()[name])
    assert state['class_embed.2.weight'].shape == (2, 256)
    assert run.optim_wrapper.optimizer.lr == 1e-4  # of trained detectors
    assert f'Initial weights: {file}, which load_from names.' in caplog.text
    assert 'mapped class by class (no class shared)' in caplog.text


@pytest.mark.slow  # it builds two models of YOLOv8
def test_a_file_of_other_names_is_refused(prepare, tmp_path):
    file = tmp_path / 'foreign.pth'
    torch.save({'model': {'model.0.conv.weight': torch.zeros(16, 3, 3, 3)}}, file)
    with pytest.raises(ModelError, match=r'do not belong to yolov8_n: 0 of \d+ tensors fit') as caught:
        prepare('yolov8_n', cfg_options=f'load_from={file}')
    assert code_of(caught.value) == 300004


def test_it_counts_before_a_pre_trained_model(tmp_path):
    other = tmp_path / 'b.pth'
    other.touch()
    choice = choose_training_weights([str(other)], 'yolov8_n', load_from='/in/a.pth')
    assert (str(choice.checkpoint), choice.is_detector) == ('/in/a.pth', True)


def test_none_is_no_file(prepare):
    assert prepare(cfg_options=f'{SMALL} load_from=None').load_from is None


@pytest.mark.slow
def test_a_backbone_is_no_trained_detector(prepare, tmp_path, caplog):
    """The rate of random weights counts for the rest of the model, and the log says what is taken."""
    caplog.set_level(logging.INFO)
    torch.manual_seed(0)
    state = swin_of_imagenet(SwinWithRAM('nano', 5))
    torch.save({'model': state, 'epoch': 299}, tmp_path / 'swin.pth')
    run = prepare(cfg_options=f'{SMALL} load_from={tmp_path / "swin.pth"}')
    started = load_checkpoint(run.load_from)['state_dict']
    name = 'layers.2.blocks.1.attn.qkv.weight'
    assert torch.equal(started[f'backbone.{name}'], state[name])
    assert run.optim_wrapper.optimizer.lr == 1e-3
    assert f'the file holds a backbone alone, of which {len(from_public(state))} tensors are taken' in caplog.text
