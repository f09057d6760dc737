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
