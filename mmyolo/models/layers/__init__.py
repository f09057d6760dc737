"""Blocks that backbones, necks and heads are made of, and the moving average of a model."""

from . import activation  # noqa: F401  registers SiLU
from .bi_fusion import BiFusion
from .conv_wrapper import ConvWrapper  # noqa: F401  registers it
from .csp_layer_with_two_conv import CSPLayerWithTwoConv
from .csp_sppf_bottleneck import SPPFCSPBlock
from .darknet_bottleneck import DarknetBottleneck
from .elan_block import EELANBlock, ELANBlock, TinyDownSampleBlock
from .ema import ExpMomentumEMA
from .implicit import ImplicitA, ImplicitM
from .max_pool_and_stride_conv_block import MaxPoolAndStrideConvBlock
from .ppyoloe_blocks import EffectiveSELayer, PPYOLOEBasicBlock
from .rep_stage_block import BepC3StageBlock, RepStageBlock
from .rep_vgg_block import RepVGGBlock
from .sppf_bottleneck import SPPFBottleneck

__all__ = [
    'BepC3StageBlock',
    'BiFusion',
    'CSPLayerWithTwoConv',
    'DarknetBottleneck',
    'EELANBlock',
    'ELANBlock',
    'EffectiveSELayer',
    'ExpMomentumEMA',
    'ImplicitA',
    'ImplicitM',
    'MaxPoolAndStrideConvBlock',
    'PPYOLOEBasicBlock',
    'RepStageBlock',
    'RepVGGBlock',
    'SPPFBottleneck',
    'SPPFCSPBlock',
    'TinyDownSampleBlock',
]
