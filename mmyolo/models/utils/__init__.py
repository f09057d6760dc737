"""Helpers that several parts of a detector share."""

from .misc import gt_instances_preprocess, make_divisible, make_round
from .output_save import OutputSaveFunctionWrapper, OutputSaveObjectWrapper
from .overrides import is_original
from .torch_conv_init import TorchConvInit

__all__ = [
    'make_divisible',
    'make_round',
    'gt_instances_preprocess',
    'OutputSaveObjectWrapper',
    'OutputSaveFunctionWrapper',
    'TorchConvInit',
    'is_original',
]
