"""Activations that configs name without a prefix."""

from torch import nn

from mmyolo.registry import MODELS

MODELS.register_module(module=nn.SiLU, name='SiLU')
