"""Groups of the optimizer, and the learning rate over the epochs."""

import torch
from torch import nn

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
