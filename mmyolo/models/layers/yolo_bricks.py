"""The import path under which the public release keeps its blocks."""
from .csp_layer_with_two_conv import CSPLayerWithTwoConv
from .darknet_bottleneck import DarknetBottleneck
from .rep_vgg_block import RepVGGBlock
from .sppf_bottleneck import SPPFBottleneck

__all__ = ['CSPLayerWithTwoConv', 'DarknetBottleneck', 'RepVGGBlock', 'SPPFBottleneck']
