"""Sizes of all detectors, and what their outputs may and may not depend on."""

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS

from vidt.checkpoint import describe, to_public
from vidt.models import ViDT

TINY = dict(embed_dims=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8))


def detector(seed=0, num_classes=5, tokens=12, arch=TINY, **options):
    """A small detector with random weights whose every part counts."""
    options = dict({'num_decoder_layers': 2}, **options)
    backbone = dict(type='mmdet.SwinWithRAM', arch=arch, num_det_tokens=tokens)
    torch.manual_seed(seed)
    model = ViDT(backbone, num_classes, **options)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=1 if 'det_' in name else parameter[0].numel() ** -0.5)
    return model.eval()


PLUS = dict(tokens=300, epff=True, iou_aware=True, token_label=True, token_classes=91, mask_vectors=True)
SIZES = [  # parameters, keys of the public file; arXiv 2110.03921 rounds the first
    ('nano', {}, 15_728_677, 485),
    ('tiny', {}, 37_962_901, 485),
    ('small', {}, 60_465_061, 677),
    ('base', {}, 99_959_635, 677),
    ('large', {}, 211_647_151, 677),
    ('nano', PLUS, 17_822_727, 631),
    ('tiny', PLUS, 40_066_551, 631),
    ('small', PLUS, 62_568_711, 823),
    ('base', PLUS, 102_069_685, 823),
    ('nano', dict(tokens=300, epff=True), 16_612_773, None),
    ('base', dict(tokens=300, epff=True), 100_859_731, None),
    ('nano', dict(iou_aware=True), 15_728_677 + 922_887, None),
    ('nano', dict(box_refine=False), 15_728_677 - 935_994, None),
    ('nano', dict(num_decoder_layers=4), 15_728_677 - 2 * 1_176_543, None),
    ('nano', None, 7_997_418, 238),
    ('tiny', None, 29_564_250, 238),
    ('small', None, 52_066_410, 430),
    ('base', None, 91_116_056, 430),
    ('large', None, 201_913_716, 430),
]


@pytest.mark.parametrize('arch, options, parameters, keys', SIZES)
def test_sizes(arch, options, parameters, keys):
    neck = options is not None
    options = dict(options or {})
    tokens = options.pop('tokens', 100)
    backbone = dict(type='SwinWithRAM', arch=arch, num_det_tokens=tokens, position_channels=256, last_merge=neck)
    config = dict(type='ViDT' if neck else 'ViDTWithoutNeck', backbone=backbone, num_classes=91, **options)
    with torch.device('meta'):
        model = MODELS.build(dict(config, _scope_='mmdet'))
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    public = to_public(model.state_dict())
    assert keys in (None, len(public))
    if options.get('box_refine', True):  # which the names tell
        assert config.items() <= describe(public).items()


def formula(shape, phase, scale):
    """Numbers from a formula: the fraction of a fast sine."""
    index = np.arange(int(np.prod(shape)), dtype=np.float64)
    values = np.modf(np.sin(12.9898 * index + phase) * 43758.5453)[0]
    values = np.where(values < 0, values + 1, values) * scale
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


@pytest.mark.parametrize(
    'options, logits, box, last_box, sums',
    [
        (
            {},
            [0.07751, 1.52744, 0.49115, 1.15844],
            [0.350043, 0.848200, 0.187530, 0.097060],
            [0.483587, 0.868657, 0.314373, 0.130383],
            (-212.176, 307.7538),
        ),
        (
            dict(epff=True, iou_aware=True),
            [-0.64935, -0.42241, -0.77701, -0.21374],
            [0.643550, 0.731643, 0.644360, 0.219815],
            [0.946876, 0.621473, 0.456713, 0.249291],
            (394.113, 434.6304),
        ),
    ],
)
def test_weights_by_a_formula(options, logits, box, last_box, sums):
    model = detector(num_classes=91, tokens=100, arch='nano', num_decoder_layers=6, **options)
    state = model.state_dict()
    names = sorted(name for name, value in state.items() if value.is_floating_point())
    for number, name in enumerate(names):
        norm = name.endswith('.weight') and state[name].ndim == 1
        state[name] = (formula(state[name].shape, 0.01 * number, 1) - 0.5) * 0.2 + float(norm)
    model.load_state_dict(state)
    images, mask = torch.zeros(2, 3, 96, 128), torch.zeros(2, 96, 128, dtype=torch.bool)
    images[0] = formula((3, 96, 128), 0.3, 2) - 1
    images[1, :, :80, :112] = formula((3, 80, 112), 0.6, 2) - 1
    mask[1, 80:], mask[1, :, 112:] = True, True
    with torch.no_grad():
        outputs = model.forward_levels(images, mask, 'last')
    assert outputs['pred_logits'][0, 0, :4].tolist() == pytest.approx(logits, abs=2e-4)
    assert outputs['pred_boxes'][0, 0].tolist() == pytest.approx(box, abs=1e-5)
    assert outputs['pred_boxes'][1, 99].tolist() == pytest.approx(last_box, abs=1e-5)
    found = [outputs[name].double().sum().item() for name in ('pred_logits', 'pred_boxes')]
    assert found == pytest.approx(sums, rel=1e-4)
