"""Small ViDT models with random weights, as packages of this image and in the layout of public files."""

import argparse
from pathlib import Path

import torch
from mmengine.config import Config
from torch import nn

from mmyolo.registry import MODELS
from mmyolo.utils import register_all_modules
from tmi.families import family_of
from tmi.zoo.models import find_model
from vidt.checkpoint import to_public

ARCH = {'embed_dims': 16, 'depths': (1, 1, 2, 1), 'num_heads': (1, 2, 4, 8)}


def small_config(
    name: str = 'vidt_nano', num_classes: int = 3, layers: int = 1, tokens: int = 20, arch: object = ARCH
) -> Config:
    """A config with a narrow backbone, a short decoder, few tokens and images of at most 96 x 64 pixels."""
    register_all_modules()
    config = Config.fromfile(find_model(name).config)
    family_of(config.model).set_classes(config.model, num_classes)
    config.model.backbone.update(num_det_tokens=tokens, arch=arch)
    if 'num_decoder_layers' in config.model:
        config.model.num_decoder_layers = layers
    for step in config.test_dataloader.dataset.pipeline:
        if 'sizes' in step:
            step.update(sizes=64, max_size=96)
    return config


def random_model(config: Config, seed: int = 0) -> nn.Module:
    """A model whose boxes and scores differ from token to token and image to image."""
    torch.manual_seed(seed)
    model = MODELS.build(config.model)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.startswith(('class_embed', 'bbox_embed')):
                value.copy_(torch.randn(value.shape) * 0.1)
            elif name.endswith('det_token'):
                value.copy_(torch.randn(value.shape))
    return model.eval()


def write_package(folder: Path, config: Config, class_names: list[str] | None = None) -> list[Path]:
    """Weights and config as a training leaves them."""
    folder.mkdir(parents=True, exist_ok=True)
    meta = {'class_names': class_names} if class_names else {}
    torch.save({'state_dict': random_model(config).state_dict(), 'meta': meta}, folder / 'epoch_3.pth')
    config.dump(folder / 'model.py')
    return [folder / 'epoch_3.pth', folder / 'model.py']


def write_public(path: Path, model: nn.Module, zipped: bool = True, **more: object) -> Path:
    """A file as the public code writes it: weights under `model`, and parsed arguments, which are a class."""
    content = {
        'model': to_public(model.state_dict()),
        'optimizer': {'state': {}, 'param_groups': [{'lr': 1e-4}]},
        'lr_scheduler': {'base_values': [1e-4]},
        'epoch': 49,
        'args': argparse.Namespace(dataset_file='coco', backbone_name='swin_nano', device='cuda'),
        **more,
    }
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path
