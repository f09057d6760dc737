"""From the form in which a model trains to the form in which it runs."""

from mmengine.logging import print_log
from torch import nn


def switch_to_deploy(model: nn.Module) -> None:
    """Replace, in place, the branches of every `RepVGGBlock` by the equivalent convolution.

    Args:
        model: in evaluation mode; switching it again changes nothing.
    """
    from ..models.layers import RepVGGBlock  # here, for it takes seconds and converters need it not

    for module in model.modules():
        if isinstance(module, RepVGGBlock):
            module.switch_to_deploy()
    print_log('Switched the model to its deployed form', 'current')
