"""Groups of the optimizer, and the learning rate over the epochs."""

import pytest
import torch
from mmengine.optim import CosineAnnealingLR, LinearLR, MultiStepLR
from torch import nn

from tests.vidt.recipe import recipe
from vidt.optim import ViDTOptimWrapperConstructor


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(2, 3)
        self.backbone = nn.Module()
        self.backbone.det_token = nn.Parameter(torch.ones(1, 2, 4))
        self.backbone.det_pos_embed = nn.Parameter(torch.ones(1, 2, 4))
        self.backbone.norm = nn.LayerNorm(4)
        self.backbone.qkv = nn.Linear(4, 12)
        self.backbone.relative_position_bias_table = nn.Parameter(torch.ones(169, 3))


def test_three_groups():
    model = Model()
    cfg = {'optimizer': {'type': 'AdamW', 'lr': 1e-4, 'weight_decay': 0.02}, 'clip_grad': {'max_norm': 0.1}}
    wrapper = ViDTOptimWrapperConstructor(cfg)(model)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = [
        ([names[id(p)] for p in group['params']], group['weight_decay'], group['lr'])
        for group in wrapper.optimizer.param_groups
    ]
    assert groups == [
        (['head.weight', 'head.bias'], 0.02, 1e-4),
        (
            [
                'backbone.det_token',
                'backbone.det_pos_embed',
                'backbone.norm.weight',
                'backbone.norm.bias',
                'backbone.qkv.bias',
            ],
            0.0,
            1e-4,
        ),
        (['backbone.relative_position_bias_table', 'backbone.qkv.weight'], 0.02, 1e-4),
    ]
    assert wrapper.clip_grad_kwargs == {'max_norm': 0.1}
    assert cfg['optimizer']['type'] == 'AdamW'  # the config stays as it is


@pytest.mark.parametrize('factor', [1.0, 0.1])
def test_the_queries_may_have_a_rate_of_their_own(factor):
    model = Model()
    model.query_pos_proj = nn.Sequential(nn.Linear(4, 2))
    model.transformer = nn.Module()
    model.transformer.reference_points = nn.Linear(2, 2)
    cfg = {'optimizer': {'type': 'AdamW', 'lr': 1e-3, 'weight_decay': 0.02}}
    groups = ViDTOptimWrapperConstructor(cfg, {'query_lr_mult': factor})(model).optimizer.param_groups
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    slow = [
        (names[id(p)], group['weight_decay'])
        for group in groups
        if group['lr'] == pytest.approx(1e-4)
        for p in group['params']
    ]
    queries = [
        ('query_pos_proj.0.weight', 0.02),
        ('query_pos_proj.0.bias', 0.02),
        ('transformer.reference_points.weight', 0.02),
        ('transformer.reference_points.bias', 0.02),
        ('backbone.det_pos_embed', 0),
    ]
    assert slow == (queries if factor < 1 else [])
    assert sorted(names) == sorted(id(p) for group in groups for p in group['params'])  # each once


RUNS = recipe('lr')['runs']


def rates(epochs, lr, *schedulers):
    """The learning rate of each epoch, with schedulers given as (class, options)."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr)
    steps = [scheduler(optimizer, **options) for scheduler, options in schedulers]
    used = []
    for _ in range(epochs):
        used.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for step in steps:
            step.step()
    return used


@pytest.mark.parametrize('run', RUNS, ids=lambda run: ' '.join(f'{key}={v}' for key, v in run['arguments'].items()))
def test_published_learning_rates(run):
    """Ours are the published ones without their lag: there the rate of an epoch is used in the next one."""
    options = {'lr': 1e-4, 'sched': 'warmupcos', 'warmup_epochs': 0, **run['arguments']}
    epochs, published = options['epochs'], run['used_in_epoch']
    if options['sched'] == 'step':
        schedulers = [(MultiStepLR, dict(milestones=range(options['lr_drop'], epochs, options['lr_drop']), gamma=0.1))]
    else:
        schedulers = [(CosineAnnealingLR, dict(T_max=epochs, eta_min=1e-7))]
    warm_up = options['warmup_epochs']
    if warm_up:  # rises beside the cosine, which does not wait for its end
        schedulers.append((LinearLR, dict(start_factor=0.01, begin=0, end=warm_up + 1)))
    ours = rates(epochs, options['lr'], *schedulers)
    # beside a warm-up the lowest rate takes part in it too
    assert ours[warm_up:-1] == pytest.approx(published[warm_up + 1 :], rel=1e-6, abs=3e-7 if warm_up else 0)
    assert ours[0] == pytest.approx(published[0])
