"""Keeps the weights of convolutions in the order in which the hardware multiplies them.

In channels-last order convolutions of a YOLO are some 15 % faster on CPU, and more in lower precision on both CPU and
GPU. Values stay the same; only strides change, and activations follow the weights.
"""

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmyolo.registry import HOOKS

_FORMATS = {'channels_last': torch.channels_last, 'contiguous': torch.contiguous_format}


@HOOKS.register_module()
class MemoryFormatHook(Hook):
    """Converts the model before a run: custom_hooks=[dict(type='MemoryFormatHook'), ...].

    Args:
        memory_format: 'channels_last' or 'contiguous'.
    """

    # Before EMAHook copies the model: an average in another order would be slow to update.
    priority = 'VERY_HIGH'

    def __init__(self, memory_format: str = 'channels_last') -> None:
        if memory_format not in _FORMATS:
            raise ValueError(f'MemoryFormatHook: memory_format is {memory_format!r}, allowed are {sorted(_FORMATS)}')
        self.memory_format = _FORMATS[memory_format]

    def before_run(self, runner: Runner) -> None:
        """Convert every weight of four dimensions in place; the optimizer keeps its parameters."""
        runner.model.to(memory_format=self.memory_format)

    def before_train(self, runner: Runner) -> None:
        """Bring the state of a resumed optimizer into the order of its weights.

        Fused optimizers go through weights, gradients and momenta as they lie in memory. The order of gradients is
        that of the weights, but that of a loaded state is of the training which saved it.
        """
        for wrapper in getattr(runner.optim_wrapper, 'optim_wrappers', {'': runner.optim_wrapper}).values():
            for parameter, state in wrapper.optimizer.state.items():
                for name, value in state.items():
                    if torch.is_tensor(value) and value.shape == parameter.shape:
                        state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
