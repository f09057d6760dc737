"""The import path under which the public release keeps its blocks."""

from .bi_fusion import BiFusion
from .conv_wrapper import ConvWrapper
from .csp_layer_with_two_conv import CSPLayerWithTwoConv
from .csp_sppf_bottleneck import CSPSPPFBottleneck, SPPFCSPBlock
from .darknet_bottleneck import DarknetBottleneck
from .elan_block import EELANBlock, ELANBlock, TinyDownSampleBlock
from .implicit import ImplicitA, ImplicitM
from .max_pool_and_stride_conv_block import MaxPoolAndStrideConvBlock
from .ppyoloe_blocks import CSPResLayer, EffectiveSELayer, PPYOLOEBasicBlock, PPYOLOESELayer
from .rep_stage_block import BepC3StageBlock, BottleRep, RepStageBlock
from .rep_vgg_block import RepVGGBlock
from .sppf_bottleneck import SPPFBottleneck

__all__ = [
    'BepC3StageBlock',
    'BiFusion',
    'BottleRep',
    'CSPLayerWithTwoConv',
    'CSPResLayer',
    'CSPSPPFBottleneck',
    'ConvWrapper',
    'DarknetBottleneck',
    'EELANBlock',
    'ELANBlock',
    'EffectiveSELayer',
    'ImplicitA',
    'ImplicitM',
    'MaxPoolAndStrideConvBlock',
    'PPYOLOEBasicBlock',
    'PPYOLOESELayer',
    'RepStageBlock',
    'RepVGGBlock',
    'SPPFBottleneck',
    'SPPFCSPBlock',
    'TinyDownSampleBlock',
]
