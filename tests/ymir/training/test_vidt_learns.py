"""What a training of ViDT is set to by its length, and that it learns what it is shown."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS

from tests.ymir.training.test_training_config import make
from tests.ymir.vidt_models import random_model, small_config, write_public
from tmi.training.initial_weights import read_structure
from tmi.zoo.models import find_model


def numbers(recipe):
    return recipe.model.get('denoising_groups', 0), recipe.optim_wrapper.optimizer.lr


def test_short_trainings_get_a_higher_rate_and_queries_at_noised_boxes():
    short = {'samples_per_gpu': 4, 'max_epochs': 10}
    config = make('vidt_nano', **short)
    assert numbers(config.run) == (5, 0.001) == numbers(Config(config.run.to_dict()))
    assert config.package.model.denoising_groups == 5  # a training goes on with them
    assert numbers(make('vidt_nano', schedule='public', **short).run) == (0, 0.0001)
    assert numbers(make('vidt_nano', learning_rate=0.0003, **short).run) == (5, 0.0003)
    assert numbers(make('vidt_nano', cfg_options='model.denoising_groups=0', **short).run) == (0, 0.001)
    assert numbers(make('vidt_wo_neck_nano', **short).run) == (0, 0.001)
    published = Config.fromfile(find_model('vidt_nano').config)
    assert numbers(published) == (0, 0.0001)


def test_a_teacher_is_there_in_training_alone():
    config = make('vidt_nano', args_options='--distil_model_path /in/models/vidt_base_50.pth')
    assert config.run.model.teacher == '/in/models/vidt_base_50.pth'
    assert 'teacher' not in config.package.model
    assert make('vidt_nano').run.model.teacher is None


def test_queries_begin_at_places_that_move_slowly():
    def start(model='vidt_nano', **edits):
        run = make(model, samples_per_gpu=4, max_epochs=10, **edits).run
        spread = MODELS.build(run.model.backbone).det_pos_embed.std().item()
        return run.optim_wrapper.get('paramwise_cfg'), spread

    assert start() == ({'query_lr_mult': pytest.approx(0.1)}, pytest.approx(0.88, abs=0.02))  # 1, cut off at 2
    for edits in ({'schedule': 'public'}, {'learning_rate': 0.0003}, {'model': 'vidt_wo_neck_nano'}):
        assert start(**edits) == (None, pytest.approx(0.02, rel=0.05))
    row = dict(make('vidt_nano', samples_per_gpu=4, max_epochs=10).recipe.rows())['learning rate']
    assert row.startswith('0.001, falling to 1e-06, of queries 0.0001 (')


def crops_and_dropout(**edits):
    run = make('vidt_nano', samples_per_gpu=4, **edits).run
    ways = next(step for step in run.train_dataloader.dataset.pipeline if step['type'] == 'RandomChoice')
    share = ways.get('prob') or [0.5, 0.5]
    assert ['ViDTRandomSizeCrop' in way[0]['type'] for way in ways['transforms']] == [False, True]
    return share[1], MODELS.build(run.model).transformer.decoder.layers[0].dropout1.p


def test_short_trainings_do_without_crops_and_dropout(tmp_path):
    assert crops_and_dropout(max_epochs=10) == (0, 0)
    assert crops_and_dropout(max_epochs=10, learning_rate=0.0003) == (0, 0)
    assert crops_and_dropout(max_epochs=10, cfg_options='model.dropout=0.2') == (0, 0.2)
    assert crops_and_dropout(max_epochs=1000) == (0.5, 0.1)
    assert crops_and_dropout(max_epochs=10, schedule='public') == (0.5, 0.1)
    row = dict(make('vidt_wo_neck_nano', max_epochs=10).recipe.rows())['left out']
    assert row.startswith('crops (') and row.endswith('steps from random weights are few)')


def test_the_warm_up_lasts_longer_than_an_epoch_of_few_images():
    config = make('vidt_nano', samples_per_gpu=200, max_epochs=100)  # 200 steps, 2 in an epoch
    assert config.run.param_scheduler[0]['end'] == config.recipe.warmup_iters == 20
    config = make('vidt_nano', samples_per_gpu=1, max_epochs=100)
    assert config.recipe.warmup_iters == 400  # the epoch of the config


@pytest.mark.parametrize('model', ['vidt_nano', 'rtmdet_tiny'])
def test_a_run_of_a_few_steps_reaches_its_rate(model):
    config = make(model, samples_per_gpu=200, max_epochs=4)  # 8 steps, of which a tenth is one
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=config.recipe.lr)
    schedulers = [
        PARAM_SCHEDULERS.build(dict(item), default_args={'optimizer': optimizer}) for item in config.run.param_scheduler
    ]
    rates = []
    for _ in range(config.recipe.total_iters):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    assert max(rates) == pytest.approx(config.recipe.lr) and rates[-1] < rates[1]


@pytest.mark.parametrize('edits', [{'max_epochs': 4}, {'max_epochs': 40}, {'max_epochs': 1}])
def test_the_rate_at_the_end_is_the_one_that_is_asked_for(edits):
    """In a run without warm-up, too, whose list of schedulers holds one."""
    config = make('vidt_nano', samples_per_gpu=200, args_options='--min-lr 1e-7 --lr 0.002', **edits)
    schedulers = config.run.param_scheduler
    assert [item['eta_min'] for item in schedulers if 'eta_min' in item] == pytest.approx([1e-7])
    assert len(schedulers) == (2 if edits['max_epochs'] == 40 else 1)


def test_the_weights_tell_the_structure_of_the_model(tmp_path, caplog):
    """A file with two layers and fused maps is trained as such, unless the user says otherwise."""
    file = small_config('vidt_plus_nano', layers=2, tokens=30)
    path = write_public(tmp_path / 'vidt_plus_swin_nano_optimized.pth', random_model(file))
    config = Config.fromfile(find_model('vidt_nano').config)
    caplog.set_level('INFO')
    structure = read_structure(path, config, {})
    assert structure == {'model.num_decoder_layers': 2, 'model.epff': True}
    assert sum('num_decoder_layers=2' in record.message for record in caplog.records) == 1
    assert read_structure(path, config, {'model.num_decoder_layers': 6}) == {'model.epff': True}
    model = make('vidt_nano', structure=structure).run.model
    assert (model.num_decoder_layers, model.epff, model.box_refine) == (2, True, True)
    assert make('vidt_nano', structure=structure, args_options='--dec_layers 5').run.model.num_decoder_layers == 5
    assert read_structure(path, Config.fromfile(find_model('vidt_wo_neck_nano').config), {}) == {}
    assert read_structure(None, config, {}) == {} == read_structure(tmp_path / 'absent.pth', config, {})


def test_weights_without_refinement_are_trained_without(tmp_path):
    file = small_config(layers=6)
    file.model.box_refine = False
    path = write_public(tmp_path / 'x.pth', random_model(file))
    structure = read_structure(path, Config.fromfile(find_model('vidt_nano').config), {})
    assert structure == {'model.box_refine': False}
    training = make('vidt_nano', structure=structure)
    assert not training.run.model.box_refine and not training.recipe.denoising_groups
