"""The norm and the activation of every YOLO block whose config names none."""

import math

NORM_CFG = {'type': 'BN', 'momentum': 0.03, 'eps': 0.001}
ACT_CFG = {'type': 'SiLU', 'inplace': True}

PPYOLOE_NORM_CFG = {'type': 'BN', 'momentum': 0.1, 'eps': 1e-5}

# CSPNeXt keeps PyTorch's batch norm, and draws its weights itself, the way PyTorch's convolutions do.
CSPNEXT_NORM_CFG = {'type': 'BN'}
CSPNEXT_ACT_CFG = {'type': 'SiLU', 'inplace': True}
CSPNEXT_INIT_CFG = dict(
    type='Kaiming', layer='Conv2d', a=math.sqrt(5), distribution='uniform', mode='fan_in', nonlinearity='leaky_relu'
)
