"""The optimizer of ViDT: AdamW with three groups of parameters at one learning rate, or another one for the queries."""

from typing import Any

from mmdet.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn

FREE_OF_DECAY = ('det_token', 'det_pos_embed')
# What says where each query begins. The projected positions are normalised, and each of two outputs sums up hundreds of
# numbers: a step at a high rate moves all places at once by a large part of the image.
QUERIES = ('backbone.det_pos_embed', 'query_pos_proj.', 'transformer.reference_points.')


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class ViDTOptimWrapperConstructor:
    """Builds the optimizer with the groups as published.

    Biases, norms, detection tokens and their positions in the backbone have no weight decay; everything else has it,
    biases and norms outside the backbone too.

    Args:
        optim_wrapper_cfg: Config of the wrapper with `optimizer`.
        paramwise_cfg: `query_lr_mult`, the learning rate of `QUERIES` as a part of that of the others; without it, or
            with 1, the groups are the published ones.
    """

    def __init__(self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: dict[str, Any] | None = None) -> None:
        self.optim_wrapper_cfg = dict(optim_wrapper_cfg)
        self.optimizer_cfg = self.optim_wrapper_cfg.pop('optimizer')
        self.query_lr_mult = (paramwise_cfg or {}).get('query_lr_mult', 1.0)

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Return the wrapper of an optimizer of all parameters of a model."""
        model = getattr(model, 'module', model)
        groups = parameter_groups(model.named_parameters())
        if self.query_lr_mult != 1:
            queries = {id(value) for name, value in model.named_parameters() if name.startswith(QUERIES)}
            groups = split_groups(groups, queries, self.optimizer_cfg['lr'] * self.query_lr_mult)
        optimizer = OPTIMIZERS.build({**self.optimizer_cfg, 'params': groups})
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


def split_groups(groups: list[dict[str, Any]], chosen: set[int], lr: float) -> list[dict[str, Any]]:
    """Return groups of parameters, and after them groups of the chosen ones with a learning rate of their own.

    Args:
        groups: As `parameter_groups` gives them.
        chosen: The `id` of each chosen parameter.
        lr: Learning rate of those.
    """
    rest = [{**group, 'params': [value for value in group['params'] if id(value) not in chosen]} for group in groups]
    own = [
        {**group, 'params': [value for value in group['params'] if id(value) in chosen], 'lr': lr} for group in groups
    ]
    return [*rest, *(group for group in own if group['params'])]
