"""Reads checkpoints of other projects without those projects, and without running what the file asks to be run.

Such files pickle whole models: objects of classes that are not installed here, and instructions to call functions.
While such a file is read, every class and function that is not on a short list of harmless ones is replaced by a
stand-in that keeps its data and does nothing. Tensors are then collected from what is left of the model, as
`Module.state_dict` would.
"""

import builtins
import collections
import io
import pickle
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmyolo.utils.checkpoint import check_file
from mmyolo.utils.checkpoint_globals import Array, DType, encode_text, new_array, new_bytearray, new_bytes

_BUILTINS = ('bool', 'complex', 'dict', 'float', 'frozenset', 'int', 'list', 'set', 'str', 'tuple')
_BOUNDED = {'bytearray': new_bytearray, 'bytes': new_bytes}  # of a number they make that many zeros
_REBUILD = ('_rebuild_tensor', '_rebuild_tensor_v2')
_NUMPY = {
    ('numpy', 'dtype'): DType,
    ('numpy', 'ndarray'): Array,
    **{(f'numpy.{core}.multiarray', '_reconstruct'): new_array for core in ('core', '_core')},
}


class StandIn:
    """Stands for an object of a class that is not installed; takes whatever state the file gives it."""

    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)

    def __init__(self, *args, **kwargs) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):
            state = state[1]  # attributes and slots
        if isinstance(state, dict):
            self.__dict__.update(state)

    # What a list, a set or a dict is filled by.
    def append(self, item: Any) -> None:
        pass

    def extend(self, items: Any) -> None:
        pass

    def add(self, item: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


def _rebuild_from_type(function: Any, new_type: Any, args: tuple, state: Any) -> Any:
    return function(*args)  # a tensor with attributes; the attributes are of no use here


def _rebuild_parameter(data: Tensor, requires_grad: bool, hooks: Any, state: Any = None) -> Tensor:
    return data


def _load_tensors(content: bytes) -> Any:
    return torch.load(io.BytesIO(content), map_location='cpu', weights_only=True)


def _harmless(module: str, name: str) -> Any:
    """Return the class or function of that name if it is on the list, else None."""
    if module in ('builtins', '__builtin__') and name in _BUILTINS:
        return getattr(builtins, name)
    if module in ('builtins', '__builtin__') and name in _BOUNDED:
        return _BOUNDED[name]
    if module == 'collections' and name in ('OrderedDict', 'defaultdict'):
        return getattr(collections, name)
    if module == '_codecs' and name == 'encode':
        return encode_text  # how older pickles store bytes
    if module == 'torch._utils' and name in _REBUILD:
        return getattr(torch._utils, name)
    if module == 'torch._utils' and name in ('_rebuild_parameter', '_rebuild_parameter_with_state'):
        return _rebuild_parameter
    if module == 'torch._tensor' and name == '_rebuild_from_type_v2':
        return _rebuild_from_type
    if module == 'torch.storage' and name == '_load_from_bytes':
        return _load_tensors  # how pickle stores what tensors hold
    if module == 'torch' and name in ('Size', 'device'):
        return getattr(torch, name)
    if module == 'torch' and (isinstance(getattr(torch, name, None), torch.dtype) or name.endswith('Storage')):
        return getattr(torch, name, None)
    return _NUMPY.get((module, name))


class RestrictedUnpickler(pickle._Unpickler):  # the one in C makes room for as many objects as a file says that it has
    """Unpickles data and stand-ins."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the class or function of that name if it is harmless, else a class of stand-ins."""
        found = _harmless(module, name)
        return type(name, (StandIn,), {'__module__': module}) if found is None else found


_PICKLE = types.ModuleType('restricted_pickle')
_PICKLE.Unpickler = RestrictedUnpickler
_PICKLE.load = lambda file, **kwargs: RestrictedUnpickler(file, **kwargs).load()


def read_torch(path: str | Path) -> Any:
    """Read what `torch.save` wrote.

    Args:
        path: The file.

    Returns:
        Its content; objects are `StandIn`s.

    Raises:
        ValueError: If it is not such a file.
    """
    check_file(path)  # torch would unpack tar archives, and run TorchScript
    try:
        return torch.load(path, map_location='cpu', pickle_module=_PICKLE, weights_only=False)
    except OSError:
        raise
    except Exception as error:  # what a damaged file makes the reader stumble over is open
        raise ValueError(f'{path} cannot be read as a file of torch.save: {error}') from error


def read_predictions(path: str | Path) -> Any:
    """Read the predictions that tools/test.py --out wrote.

    Args:
        path: The file, a pickle of tensors, numbers and text.

    Returns:
        Its content; other objects are `StandIn`s.

    Raises:
        ValueError: If it is not such a file.
    """
    try:
        with open(path, 'rb') as file:
            content = RestrictedUnpickler(file).load()
    except OSError:
        raise
    except Exception as error:  # as above
        raise ValueError(f'{path} cannot be read as predictions of tools/test.py --out: {error}') from error
    if not isinstance(content, list) or not all(isinstance(sample, dict) for sample in content):
        raise ValueError(f'{path} holds no predictions: a list of dicts is needed, as tools/test.py --out writes it')
    return content


def read_pdparams(path: str | Path) -> dict[str, Tensor]:
    """Read a .pdparams file of PaddlePaddle, a pickle of arrays by name.

    Args:
        path: The file.

    Returns:
        Tensors by name.

    Raises:
        ValueError: If it is not such a file.
    """
    try:
        with open(path, 'rb') as file:
            content = RestrictedUnpickler(file, encoding='latin1').load()
    except OSError:
        raise
    except Exception as error:  # as above
        raise ValueError(f'{path} cannot be read as a .pdparams file: {error}') from error
    arrays = {}
    if isinstance(content, Mapping):
        arrays = {name: array for name, array in content.items() if isinstance(array, np.ndarray)}
    if not arrays:
        raise ValueError(f'{path} holds no arrays; is it a .pdparams file of weights?')
    return {name: torch.from_numpy(np.ascontiguousarray(array)).reshape(array.shape) for name, array in arrays.items()}


def find_weights(content: Any, path: str | Path) -> dict[str, Tensor]:
    """Collect the weights of a checkpoint, in single precision: of the moving average, if it has one.

    Args:
        content: What `read_torch` gives.
        path: The file, for messages.

    Raises:
        ValueError: If there are none.
    """
    for part in _candidates(content):
        weights = _state_dict(part)
        if weights:
            return {
                key: (value.detach().float() if value.is_floating_point() else value.detach()).contiguous()
                for key, value in weights.items()
            }
    has = sorted(content) if isinstance(content, Mapping) else type(content).__name__
    raise ValueError(f'{path} holds no weights: neither a model nor a state_dict was found in it, but {has}')


def find_classes(content: Any) -> list[str] | None:
    """Return the names of the classes that a pickled model brings along, None if it has none."""
    for part in _candidates(content):
        names = getattr(part, 'names', None)
        if isinstance(names, Mapping):
            names = [names[index] for index in sorted(names)]
        if isinstance(names, (list, tuple)) and names and all(isinstance(name, str) for name in names):
            return list(names)
    return None


def plain(value: Any) -> Any:
    """Leave stand-ins out of nested lists and dicts, and make lists of arrays."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items() if not isinstance(item, StandIn)}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(item) for item in value if not isinstance(item, StandIn))
    return value


def _candidates(content: Any) -> list[Any]:
    parts = (
        [content[key] for key in ('ema', 'model', 'state_dict') if key in content]
        if isinstance(content, Mapping)
        else []
    )
    return [part for part in (*parts, content) if part is not None]


def _state_dict(part: Any) -> dict[str, Tensor]:
    """Return the tensors of a state_dict, or of what is left of a module."""
    if isinstance(part, Mapping):
        if isinstance(part.get('state_dict'), Mapping):  # of a checkpoint in a checkpoint
            return _state_dict(part['state_dict'])
        return {key: value for key, value in part.items() if isinstance(value, Tensor)}
    found = {}
    _collect(part, '', found)
    return found


def _collect(module: Any, prefix: str, found: dict[str, Tensor]) -> None:
    state = getattr(module, '__dict__', {})
    fleeting = state.get('_non_persistent_buffers_set') or ()
    for group in ('_parameters', '_buffers'):
        for name, tensor in (state.get(group) or {}).items():
            if isinstance(tensor, Tensor) and name not in fleeting:
                found[prefix + name] = tensor
    for name, child in (state.get('_modules') or {}).items():
        _collect(child, f'{prefix}{name}.', found)
