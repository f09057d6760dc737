"""The optimizer of ViDT: AdamW with three groups of parameters at one learning rate."""

from typing import Any

from mmdet.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn

FREE_OF_DECAY = ('det_token', 'det_pos_embed')


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class ViDTOptimWrapperConstructor:
    """Builds the optimizer with the groups as published.

    Biases, norms, detection tokens and their positions in the backbone have no weight decay; everything else has it,
    biases and norms outside the backbone too.

    Args:
        optim_wrapper_cfg: Config of the wrapper with `optimizer`.
        paramwise_cfg: Unused, there is nothing to choose.
    """

    def __init__(self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: dict[str, Any] | None = None) -> None:
        self.optim_wrapper_cfg = dict(optim_wrapper_cfg)
        self.optimizer_cfg = self.optim_wrapper_cfg.pop('optimizer')

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Return the wrapper of an optimizer of all parameters of a model."""
        model = getattr(model, 'module', model)
        optimizer = OPTIMIZERS.build({**self.optimizer_cfg, 'params': parameter_groups(model.named_parameters())})
        return OPTIM_WRAPPERS.build({'type': 'OptimWrapper', **self.optim_wrapper_cfg, 'optimizer': optimizer})


def parameter_groups(parameters: Any) -> list[dict[str, Any]]:
    """Return the three groups: outside the backbone; in it without weight decay; the rest of it.

    Args:
        parameters: Pairs of name and parameter. Those that learn nothing stay in their groups, as in public files.

    Returns:
        Groups for an optimizer.
    """
    outside, free, decayed = [], [], []
    for name, parameter in parameters:
        if 'backbone' not in name:
            outside.append(parameter)
        elif parameter.ndim == 1 or name.endswith('.bias') or name.split('.')[-1] in FREE_OF_DECAY:
            free.append(parameter)
        else:
            decayed.append(parameter)
    return [{'params': outside}, {'params': free, 'weight_decay': 0.0}, {'params': decayed}]
