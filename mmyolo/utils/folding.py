"""Folds layers that are linear at inference into the convolutions beside them; outputs stay equal up to rounding.

Not imported by `mmyolo.utils`, because it needs the models.
"""

import copy

from mmcv.cnn import ConvModule
from mmengine.model import revert_sync_batchnorm
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mmyolo.models.layers import ImplicitA, ImplicitM

from .deploy import switch_to_deploy


def folded(model: nn.Module) -> nn.Module:
    """Give a copy of a detector in the form in which it is exported.

    Args:
        model: a detector; stays as it is.

    Returns:
        The copy in evaluation mode: branches merged, batch norms and implicit knowledge inside of convolutions.
    """
    return fold(revert_sync_batchnorm(copy.deepcopy(model)))


def fold(model: nn.Module) -> nn.Module:
    """Bring a detector into the form in which it runs fastest, in place.

    Args:
        model: a detector without synchronised batch norms.

    Returns:
        It, in evaluation mode: branches merged, batch norms and implicit knowledge inside of convolutions.
    """
    model.eval().requires_grad_(False)
    switch_to_deploy(model)
    fold_batch_norms(model)
    fold_implicit_knowledge(model)
    return model


def fold_batch_norms(model: nn.Module) -> None:
    """Fold, in place, each batch norm that directly follows a convolution in a `ConvModule`.

    Convolutions that several modules share, as in the head of RTMDet, become one of each module.
    """
    for module in model.modules():
        if not (isinstance(module, ConvModule) and module.with_norm and module.order[:2] == ('conv', 'norm')):
            continue
        if isinstance(module.norm, _BatchNorm) and isinstance(module.conv, nn.Conv2d):
            module.conv = fuse_conv_bn_eval(module.conv, module.norm)  # copies the convolution
            setattr(module, module.norm_name, nn.Identity())


def fold_implicit_knowledge(model: nn.Module) -> None:
    """Fold, in place, YOLOv7's `ImplicitA`, 1x1 convolution, `ImplicitM` to the convolution."""
    for sequence in [module for module in model.modules() if isinstance(module, nn.Sequential)]:
        layers = list(sequence)
        while True:
            places = [
                place
                for place in range(len(layers) - 2)
                if isinstance(layers[place], ImplicitA)
                and _is_pointwise(layers[place + 1])
                and isinstance(layers[place + 2], ImplicitM)
            ]
            if not places:
                break
            place = places[0]
            layers[place : place + 3] = [_fold(*layers[place : place + 3])]
        if len(layers) != len(sequence):
            sequence._modules.clear()
            sequence.extend(layers)


def _is_pointwise(layer: nn.Module) -> bool:
    return (
        isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and layer.groups == 1 and layer.padding == (0, 0)
    )


def _fold(add: ImplicitA, conv: nn.Conv2d, multiply: ImplicitM) -> nn.Conv2d:
    """M * (W (x + a) + b) = (m W) x + m (W a + b)."""
    conv = copy.deepcopy(conv)
    weight, scale = conv.weight.data, multiply.implicit.data.flatten()
    shift = weight.flatten(1) @ add.implicit.data.flatten()
    bias = shift if conv.bias is None else conv.bias.data + shift
    conv.bias = nn.Parameter(bias * scale, requires_grad=False)
    conv.weight = nn.Parameter(weight * scale[:, None, None, None], requires_grad=False)
    return conv
