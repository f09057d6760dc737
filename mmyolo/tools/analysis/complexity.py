"""Parameters and multiply-adds of the detector of a config, in the form in which it is deployed."""

import torch
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mmyolo.registry import MODELS
from mmyolo.utils import switch_to_deploy


def deployed_model(cfg: Config) -> nn.Module:
    """Build the detector as it runs after training: one process, evaluation mode, branches merged.

    Args:
        cfg: The config; its pre-trained weights are not loaded.
    """
    model_cfg = cfg.model.copy()
    model_cfg.pop('init_cfg', None)
    model = revert_sync_batchnorm(MODELS.build(model_cfg)).eval()
    switch_to_deploy(model)
    _forget_absent_modules(model)
    return model


def _forget_absent_modules(model: nn.Module) -> None:
    """Make modules that are None plain attributes: mmengine would look into them to print the layers."""
    for module in model.modules():
        for name in [name for name, child in module._modules.items() if child is None]:
            del module._modules[name]
            module.__dict__[name] = None


def complexity(model: nn.Module, shape: tuple[int, int], show_arch: bool = True) -> dict:
    """Count for one image.

    Args:
        model: Of `deployed_model`.
        shape: Height and width of the input.
        show_arch: Whether to describe the layers.

    Returns:
        flops and params as numbers, flops_str and params_str for people, out_table and out_arch as text. One flop is
        one multiplication with its addition.
    """
    device = next(model.parameters()).device
    with torch.no_grad():
        inputs = (torch.zeros(1, 3, *shape, device=device),)
        return get_model_complexity_info(model, inputs=inputs, show_arch=show_arch)


def count_products(model: nn.Module, shape: tuple[int, int]) -> int:
    """Count the multiply-adds of matrix products and convolutions for one image, those within attention too.

    `complexity` traces the model, and neither sees products of functions that PyTorch fuses nor ends soon for a
    transformer. Here a model without content (on the device `meta`) does.

    Args:
        model: Of `deployed_model`.
        shape: Height and width of the input.
    """
    device = next(model.requires_grad_(False).parameters()).device
    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH):
        model(torch.zeros(1, 3, *shape, device=device))
    return counter.get_total_flops() // 2
