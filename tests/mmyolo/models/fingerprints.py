"""Weights drawn by the names of tensors, for which means and deviations of the maps of whole detectors are known."""

import zlib
from math import prod
from pathlib import Path

import torch
from mmengine.config import Config

from mmyolo.registry import MODELS
from mmyolo.utils import register_all_modules

CONFIGS = Path(__file__).parents[3] / 'configs'


def draw_weights(model):
    """Fills a detector in place."""
    for key, value in model.state_dict().items():
        if not value.is_floating_point():
            continue
        noise = torch.randn(value.shape, generator=torch.Generator().manual_seed(zlib.crc32(key.encode())))
        if key.endswith('running_var'):
            noise = 1 + 0.1 * noise.abs()
        elif key.endswith(('running_mean', 'bias')):
            noise = 0.1 * noise
        elif value.ndim == 4 and not key.endswith('implicit'):
            noise = noise * (2 / prod(value.shape[1:])) ** 0.5
        else:
            noise = 1 + (0.02 if key.endswith('implicit') else 0.1) * noise
        if 'rbr_' in key and key.endswith('weight'):
            noise = 0.6 * noise
        value.copy_(noise)


def fingerprint(config):
    """Mean and deviation of each map that the detector of a config predicts for an image of noise."""
    register_all_modules()
    cfg = Config.fromfile(CONFIGS / config)
    cfg.model.backbone.pop('init_cfg', None)
    model = MODELS.build(cfg.model).eval()
    draw_weights(model)
    with torch.no_grad():
        maps = model(torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)), mode='tensor')
    return [(level.mean().item(), level.std().item()) for part in maps for level in part]
