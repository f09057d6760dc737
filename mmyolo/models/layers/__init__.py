"""Blocks that backbones, necks and heads are made of, and the moving average of a model."""
from . import activation  # noqa: F401  registers SiLU
from .csp_layer_with_two_conv import CSPLayerWithTwoConv
from .darknet_bottleneck import DarknetBottleneck
from .ema import ExpMomentumEMA
from .rep_vgg_block import RepVGGBlock
from .sppf_bottleneck import SPPFBottleneck

__all__ = ['CSPLayerWithTwoConv', 'DarknetBottleneck', 'ExpMomentumEMA', 'RepVGGBlock', 'SPPFBottleneck']
