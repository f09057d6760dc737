"""Stops the building of a model that becomes far larger than the weights that it is built for.

A few characters of a config, such as a factor or a number of classes, decide how many layers and numbers a model has.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.modules import module as torch_module

from .literal_config import ConfigContentError

MORE_NUMBERS = 1 << 24  # that a model may have beyond twice those of its weights
MORE_LAYERS = 5000  # that it may have beyond ten for each tensor of its weights


@contextmanager
def limited_size(weights: Iterable[Tensor]) -> Iterator[None]:
    """Within this, no model is built that has far more numbers or layers than its weights.

    Args:
        weights: The weights that it is going to have.

    Raises:
        ConfigContentError: As soon as it has.
    """
    sizes = [value.numel() for value in weights]
    numbers, layers = 2 * sum(sizes) + MORE_NUMBERS, 10 * len(sizes) + MORE_LAYERS

    def count_numbers(_: nn.Module, __: str, tensor: Any) -> None:
        nonlocal numbers
        numbers -= tensor.numel() if isinstance(tensor, Tensor) else 0
        if numbers < 0:
            raise ConfigContentError(
                f'The config describes a model that is far larger than its weights, which hold {sum(sizes):,} '
                'numbers: sizes such as widen_factor or num_classes in it are wrong.'
            )

    def count_layers(_: nn.Module, __: str, layer: Any) -> None:
        nonlocal layers
        layers -= 1
        if layers < 0:
            raise ConfigContentError(
                f'The config describes a model of far more layers than its weights, which are {len(sizes):,} '
                'tensors: sizes such as deepen_factor in it are wrong.'
            )

    handles = [
        torch_module.register_module_parameter_registration_hook(count_numbers),
        torch_module.register_module_buffer_registration_hook(count_numbers),
        torch_module.register_module_module_registration_hook(count_layers),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
