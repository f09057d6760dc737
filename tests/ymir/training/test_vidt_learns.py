"""What a training of ViDT is set to by its length, and that it learns what it is shown."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS

from tests.ymir.training.test_training_config import make
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
