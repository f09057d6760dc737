"""What a checkpoint must hold, and what of its description can be used.

Weights that cannot be used are an error. What is odd in `meta`, which only describes them, is left out.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .checkpoint import MAX_UNPACKED, SMALL, CheckpointError

NUMBERS = frozenset(
    {
        torch.bool,
        torch.uint8,
        torch.int8,
        torch.int16,
        torch.int32,
        torch.int64,
        torch.float16,
        torch.bfloat16,
        torch.float32,
        torch.float64,
    }
)
CLASS_KEYS = ('classes', 'CLASSES', 'class_names')


def clean_checkpoint(content: Any, name: Any) -> dict[str, Any]:
    """Check the content of a checkpoint.

    Args:
        content: What `read_as_data` gives.
        name: The file, for messages.

    Returns:
        The content; `state_dict`, if it has one, has tensors only, and `meta` is a dict whose class names are a list of
        text.

    Raises:
        CheckpointError: If it holds no weights.
    """
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f'{name} holds a {type(content).__name__} and no weights; a state_dict, or a dict with one, is needed.'
        )
    if 'state_dict' in content:
        content['state_dict'] = _tensors(content['state_dict'], name)
    elif not any(isinstance(value, (Tensor, Mapping)) for value in content.values()):
        raise CheckpointError(f'{name} holds no weights; a state_dict, or a dict with one, is needed.')
    if 'meta' in content:
        content['meta'] = _clean_meta(content['meta'])
    return content


def _tensors(state: Any, name: Any) -> Mapping[str, Tensor]:
    if not isinstance(state, Mapping):
        raise CheckpointError(
            f'{name} holds no weights: its state_dict is a {type(state).__name__}; names with tensors are needed.'
        )
    for key, value in list(state.items()):
        if not isinstance(key, str):
            raise CheckpointError(
                f'{name} holds no weights: its state_dict has a {type(key).__name__} for a name; text is needed.'
            )
        if isinstance(value, np.ndarray) and value.dtype.kind in 'biuf' and value.dtype.isnative:
            state[key] = torch.from_numpy(np.array(value))
        elif not isinstance(value, Tensor):
            del state[key]  # PyTorch keeps other things of modules beside their weights
        elif _odd_kind(value):
            raise CheckpointError(
                f'{name} holds no weights that can be used: {key} is {_odd_kind(value)}; plain numbers are needed.'
            )
        elif vars(value):  # attributes would hide the methods of the tensor
            state[key] = Tensor.detach(value)
    if not state:
        raise CheckpointError(f'{name} holds no weights: there is no tensor in its state_dict.')
    return state


def _odd_kind(value: Tensor) -> str:
    """Return what kind of tensor no module's weights are copied from; '' for a plain one."""
    if value.is_meta:
        return 'a tensor without content'
    if value.is_quantized:
        return 'a quantized tensor'
    if value.layout is not torch.strided or value.is_nested:
        return 'a sparse tensor'
    if value.is_complex():
        return 'a complex tensor'
    if value.dtype not in NUMBERS:
        return f'a tensor of {value.dtype}'
    size, stored = value.numel() * value.element_size(), value.untyped_storage().nbytes()
    if size > max(MAX_UNPACKED * stored, SMALL):
        return f'a tensor that stands for {size:,} bytes, of which the file holds {stored:,}'
    return ''


def _clean_meta(meta: Any) -> dict[str, Any]:
    if not isinstance(meta, Mapping):
        return {}
    clean = _clean_names(meta)
    if 'dataset_meta' in clean:
        if isinstance(clean['dataset_meta'], Mapping):
            clean['dataset_meta'] = _clean_names(clean['dataset_meta'])
        else:
            del clean['dataset_meta']
    return clean


def _clean_names(values: Mapping[Any, Any]) -> dict[str, Any]:
    clean = {key: value for key, value in values.items() if isinstance(key, str)}
    for key in CLASS_KEYS:
        if key in clean:
            names = _as_names(clean[key])
            if names is None:
                del clean[key]
            elif names != clean[key]:
                clean[key] = names
    return clean


def _as_names(value: Any) -> list[str] | None:
    """Class names in order, None if a value holds none: a text, a sequence, or a dict that numbers them from 0."""
    if isinstance(value, str):
        return [str(value)]
    if isinstance(value, Mapping):
        if not value or set(value) != set(range(len(value))):
            return None
        value = [value[index] for index in range(len(value))]
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, (list, tuple)) or not value:
        return None
    if not all(isinstance(name, str) or type(name) is int for name in value):
        return None
    names = type(value)(str(name) for name in value)
    return names
