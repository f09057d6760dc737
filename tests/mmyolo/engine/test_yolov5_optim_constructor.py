"""Which parameters decay, and by how much."""

import copy

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

import mmyolo.engine.optimizers.yolov5_optim_constructor as module
from mmyolo.engine import YOLOv5OptimizerConstructor, YOLOv7OptimWrapperConstructor
from mmyolo.models import (
    RepVGGBlock,
    YOLOv5CSPDarknet,
    YOLOv5HeadModule,
    YOLOv5PAFPN,
    YOLOv7HeadModule,
    YOLOv8CSPDarknet,
    YOLOv8HeadModule,
    YOLOv8PAFPN,
)
from mmyolo.utils import register_all_modules

CHANNELS = [256, 512, 1024]


class Scaled(nn.Module):
    """Has a parameter that is neither a weight nor a bias."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 1)
        self.norm = nn.BatchNorm2d(2)
        self.scale = nn.Parameter(torch.ones(1))


def config(optimizer: str = 'SGD', **kwargs) -> dict:
    return {'type': 'OptimWrapper', 'optimizer': dict(type=optimizer, lr=0.01, weight_decay=5e-4, **kwargs)}


@pytest.mark.parametrize(
    'parts',
    [(YOLOv5CSPDarknet, YOLOv5PAFPN, YOLOv5HeadModule), (YOLOv8CSPDarknet, YOLOv8PAFPN, YOLOv8HeadModule)],
    ids=['v5-s', 'v8-s'],
)
def test_groups_of_whole_models(parts):
    backbone, neck, head = parts
    scale = {'deepen_factor': 0.33, 'widen_factor': 0.5}
    with torch.device('meta'):
        model = nn.ModuleList(
            [backbone(**scale), neck(CHANNELS, CHANNELS, **scale), head(80, CHANNELS, widen_factor=0.5)]
        )
    sizes = [len(group) for group in YOLOv5OptimizerConstructor(config()).group_parameters(model)]
    assert sizes == ([60, 57, 60] if head is YOLOv5HeadModule else [63, 57, 63])
    assert sum(sizes) == len(list(model.parameters()))


def test_every_parameter_is_in_one_group():
    model = Scaled()
    groups = YOLOv5OptimizerConstructor(config())(model).optimizer.param_groups
    assert [group['params'] for group in groups] == [
        [model.conv.weight],
        [model.norm.weight, model.scale],
        [model.conv.bias, model.norm.bias],
    ]
    assert [group['weight_decay'] for group in groups] == [5e-4, 0, 0]


def test_learned_weight_of_a_branch_is_trained():
    block = RepVGGBlock(4, 4, use_alpha=True)
    groups = YOLOv5OptimizerConstructor(config()).group_parameters(block)
    assert any(parameter is block.alpha for parameter in groups[1])


def test_implicit_knowledge_of_yolov7_does_not_decay():
    layers = YOLOv7HeadModule(4, [8, 16, 24])
    cfg = config(batch_size_per_gpu=128)
    cfg['constructor'] = 'YOLOv7OptimWrapperConstructor'
    register_all_modules()
    groups = build_optim_wrapper(layers, cfg).optimizer.param_groups
    weights, implicit, biases = (group['params'] for group in groups)
    assert {id(one) for one in implicit} == {id(layers.convs_pred[i][j].implicit) for i in range(3) for j in (0, 2)}
    assert {id(one) for one in biases} == {id(layers.convs_pred[i][1].bias) for i in range(3)}
    assert len(weights) == 3
    assert [group['weight_decay'] for group in groups] == [1e-3, 0, 0]
    with pytest.raises(AssertionError, match='base_total_batch_size'):
        YOLOv7OptimWrapperConstructor(config(), {})


def test_shared_parameter_is_in_one_group():
    model = nn.Sequential(nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1))
    model[1].weight = model[0].weight
    sizes = [len(group['params']) for group in YOLOv5OptimizerConstructor(config())(model).optimizer.param_groups]
    assert sizes == [1, 0, 2]


def test_frozen_parameters_keep_their_place():
    model = Scaled()
    model.conv.requires_grad_(False)
    sizes = [len(group['params']) for group in YOLOv5OptimizerConstructor(config())(model).optimizer.param_groups]
    assert sizes == [1, 2, 2]


@pytest.mark.parametrize(
    'world, batch_size, factor', [(1, 16, 1), (8, 16, 2), (8, 32, 4), (1, 12, 0.9375), (1, 64, 1), (1, None, 1)]
)
def test_weight_decay_follows_the_batch(world, batch_size, factor, monkeypatch):
    monkeypatch.setattr(module, 'get_world_size', lambda: world)
    kwargs = {} if batch_size is None else {'batch_size_per_gpu': batch_size}
    groups = YOLOv5OptimizerConstructor(config(**kwargs))(Scaled()).optimizer.param_groups
    assert groups[0]['weight_decay'] == pytest.approx(5e-4 * factor)
    assert [group['lr'] for group in groups] == [0.01] * 3


def test_norms_and_biases_do_not_decay_with_an_optimizer_that_decays_by_default():
    groups = YOLOv5OptimizerConstructor(config('AdamW'))(Scaled()).optimizer.param_groups
    assert [group['weight_decay'] for group in groups] == [5e-4, 0, 0]


def test_from_a_config_which_stays_as_it_was():
    register_all_modules()
    cfg = dict(config(momentum=0.937, nesterov=True, batch_size_per_gpu=16), constructor='YOLOv5OptimizerConstructor')
    before = copy.deepcopy(cfg)
    wrapper = build_optim_wrapper(Scaled(), cfg)
    assert cfg == before
    assert isinstance(wrapper.optimizer, torch.optim.SGD) and wrapper.optimizer.param_groups[2]['nesterov']
    direct = config(batch_size_per_gpu=16)
    constructor = YOLOv5OptimizerConstructor(direct)
    constructor(Scaled()), constructor(Scaled())
    assert direct == config(batch_size_per_gpu=16)


@pytest.mark.parametrize(
    'args, error, message',
    [
        (([],), TypeError, 'got list'),
        (({'type': 'OptimWrapper'},), AssertionError, "needs the key 'optimizer'"),
        ((config(), {}), AssertionError, 'base_total_batch_size'),
    ],
)
def test_wrong_configs_are_named(args, error, message):
    with pytest.raises(error, match=message):
        YOLOv5OptimizerConstructor(*args)
