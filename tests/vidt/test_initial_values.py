"""Values at the start of a training against those of the published implementation."""

import math
from functools import lru_cache

import pytest
import torch

from tests.goldens import vidt_adapter
from tests.vidt.recipe import recipe
from vidt.models.swin_ram import ARCHS, SwinWithRAM

SPEC = dict(
    method='vidt',
    backbone='swin_nano',
    num_classes=91,
    det_token_num=100,
    dec_layers=6,
    aux_loss=True,
    with_box_refine=True,
    epff=False,
    iou_aware=False,
    token_label=False,
    with_vector=False,
)
PLUS = dict(SPEC, det_token_num=300, epff=True, iou_aware=True, token_label=True, with_vector=True)
SPECS = {
    'vidt_nano': SPEC,
    'vidt_plus_nano': PLUS,
    'vidt_wo_neck_nano': dict(SPEC, method='vidt_wo_neck', aux_loss=False, with_box_refine=False),
}


def differences(value, mean, std, largest):
    """What of a tensor is not as drawn from the same distribution: five standard errors, of 1000 values 8 %."""
    numbers = value.detach().double()
    count = numbers.numel()
    if count == 1:  # a draw of its own, but not 0
        return '' if 0 < abs(float(numbers)) <= 0.0625 else f'{float(numbers):.5f}'
    if std == 0:
        same = abs(numbers.mean() - mean) < 1e-4 and abs(numbers.abs().max() - largest) < 1e-4
        return '' if same and (numbers == numbers.flatten()[0]).all() else 'is not that constant'
    room = 0.03 + 5 / math.sqrt(2 * count)
    if count > 8 and abs(numbers.std(correction=0) / std - 1) > room:
        return f'spread {numbers.std(correction=0):.5f}, expected {std:.5f}'
    if abs(numbers.mean() - mean) > 7.1 * std / math.sqrt(count) + 1e-6:  # both means are drawn
        return f'mean {numbers.mean():.5f}, expected {mean:.5f}'
    if not 0.6 < numbers.abs().max() / largest < 1.7 and count > 8:
        return f'largest {numbers.abs().max():.5f}, expected {largest:.5f}'
    return ''


@lru_cache
def initial_values(name):
    """The parameters of a new detector by their names."""
    torch.manual_seed(0)
    return vidt_adapter.names(vidt_adapter.build(SPECS[name]))


@pytest.mark.parametrize('name', SPECS)
def test_published_initial_values(name):
    values = initial_values(name)
    rows = recipe('init')[name]
    assert rows.keys() <= values.keys()
    found = {key: differences(values[key], *row) for key, row in rows.items()}
    assert {key: text for key, text in found.items() if text} == {}


def test_heads_of_all_levels_start_equal():
    values = initial_values('vidt_nano')
    for level in range(1, 7):
        for key in ('class_embed.{}.weight', 'bbox_embed.{}.layers.0.weight'):
            assert torch.equal(values[key.format(0)], values[key.format(level)])


def test_published_sampling_offsets():
    values = initial_values('vidt_nano')
    for layer in range(6):
        offsets = values[f'transformer.decoder.layers.{layer}.cross_attn.sampling_offsets.bias']
        assert offsets.tolist() == pytest.approx(recipe('sampling_offsets_bias'), abs=1e-5)


@pytest.mark.parametrize('arch', ['nano', 'tiny', 'small', 'base'])
def test_published_rates_of_stochastic_depth(arch):
    _, depths, _, rate = ARCHS[arch]
    narrow = {'embed_dims': 8, 'depths': depths, 'num_heads': (1, 1, 1, 1), 'drop_path_rate': rate}
    backbone = SwinWithRAM(narrow)
    rates = [[block.drop_path for block in layer.blocks] for layer in backbone.layers]
    assert rates == [pytest.approx(stage, abs=1e-6) for stage in recipe('droppath')[arch]]
