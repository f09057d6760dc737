"""The classes and functions that a checkpoint may refer to, besides those that torch lets through.

They are what harmless checkpoints hold: numbers and arrays of numpy, dates, paths, parsed arguments and configs, the
states of mmengine. Whatever a file passes to them, they make a value and do nothing else. numpy's own functions believe
what a file says of the layout of memory, so stand-ins take their place.
"""

import argparse
import datetime
import math
import pathlib
import pickle
import types
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
from torch import _weights_only_unpickler
from torch.optim.lr_scheduler import OneCycleLR

PATHS = {
    'Path': pathlib.Path,
    'PosixPath': pathlib.Path,
    'WindowsPath': pathlib.PureWindowsPath,  # paths of another system cannot be made
    'PurePath': pathlib.PurePath,
    'PurePosixPath': pathlib.PurePosixPath,
    'PureWindowsPath': pathlib.PureWindowsPath,
}
DATES = ('date', 'datetime', 'time', 'timedelta', 'timezone')
MOST_EMPTY_ITEMS = 100_000
ENCODINGS = ('latin1', 'latin-1', 'utf-8', 'utf8', 'ascii')
TYPES = (bool, dict, float, int, list, object, str, tuple)  # named as the default of a defaultdict


class ClassName:
    """Stands for a class that a checkpoint only names, so that it cannot be called.

    Args:
        cls: The class.
        methods: Of it, those that a checkpoint may refer to.
    """

    def __init__(self, cls: type, methods: tuple[str, ...] = ()) -> None:
        self.cls = cls
        self.methods = methods


class DType:
    """Stands for a `numpy.dtype` while a file is read.

    Args:
        code: Kind and size, such as 'f8' or 'U3'.
    """

    def __init__(self, code: Any = '', *_: Any) -> None:
        if not isinstance(code, str):
            raise pickle.UnpicklingError(f'GLOBAL numpy.dtype of a {type(code).__name__}')
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        _, order, subarray, names, fields, size = state[:6]
        if subarray is not None:
            self.dtype = np.dtype((_plain(subarray[0]), subarray[1]))
        elif names is not None:
            formats, offsets = zip(*((_plain(fields[name][0]), fields[name][1]) for name in names))
            self.dtype = np.dtype({'names': list(names), 'formats': formats, 'offsets': offsets, 'itemsize': size})
        elif self.dtype.kind in 'mM':
            unit, number = state[8][1][:2]
            unit = unit.decode('ascii') if isinstance(unit, bytes) else unit
            if unit != 'generic':
                self.dtype = np.dtype(f'{self.dtype.kind}8[{number}{unit}]')
        elif self.dtype.kind in 'USV' and size >= 0:
            self.dtype = np.dtype(f'{self.dtype.kind}{size // 4 if self.dtype.kind == "U" else size}')
        if order in ('<', '>'):
            self.dtype = self.dtype.newbyteorder(order)


def _plain(stand_in: Any) -> np.dtype:
    """Return the dtype of a field; objects within a record would be read from addresses that the file names."""
    if not isinstance(stand_in, DType) or stand_in.dtype.hasobject:
        raise pickle.UnpicklingError('GLOBAL numpy.dtype with objects within it')
    return stand_in.dtype


class Array(np.ndarray):
    """An array that a file fills; it is written again as a plain array."""

    def __new__(cls, *_: Any) -> 'Array':
        return super().__new__(cls, (0,))

    def __setstate__(self, state: Any) -> None:
        version, shape, stand_in, by_columns, data = state
        if not isinstance(stand_in, DType):
            raise pickle.UnpicklingError('GLOBAL numpy.ndarray without a dtype')
        if isinstance(data, str):  # Python 2 wrote it so
            data = data.encode('latin1')
        dtype = stand_in.dtype
        if dtype.hasobject != isinstance(data, list) or dtype.hasobject and dtype != np.dtype(object):
            raise pickle.UnpicklingError('GLOBAL numpy.ndarray whose content does not fit its dtype')
        if not dtype.itemsize and math.prod(shape) > MOST_EMPTY_ITEMS:  # any number of them is no bytes
            raise pickle.UnpicklingError(f'an array of more than {MOST_EMPTY_ITEMS:,} items without content')
        super().__setstate__((version, shape, dtype, by_columns, data))

    def __reduce__(self) -> tuple:
        return self.view(np.ndarray).__reduce__()

    def __reduce_ex__(self, protocol: int) -> tuple:
        return self.view(np.ndarray).__reduce_ex__(protocol)


def new_array(*_: Any) -> Array:
    """Stand in for the function of numpy that makes an array whose content follows."""
    return Array()


def _scalar(stand_in: Any, data: Any = b'', *_: Any) -> Any:
    """One number or text of numpy."""
    dtype = _plain(stand_in)
    data = data.encode('latin1') if isinstance(data, str) else data
    if len(data) != dtype.itemsize:
        raise pickle.UnpicklingError('GLOBAL numpy scalar whose content does not fit its dtype')
    if not dtype.itemsize:
        return dtype.type()
    return np.frombuffer(data, dtype=dtype, count=1)[0]


def _method(owner: Any, name: Any) -> Any:
    """Stand in for `getattr`, which pickle uses for methods, and give only those that states of schedules hold."""
    if owner is HistoryBuffer and name in ('min', 'max', 'mean', 'current'):
        return getattr(HistoryBuffer, name)
    if isinstance(owner, ClassName) and name in owner.methods:
        return getattr(owner.cls, name)
    of = owner.cls if isinstance(owner, ClassName) else owner if isinstance(owner, type) else type(owner)
    raise pickle.UnpicklingError(f'GLOBAL builtins.getattr({of.__name__},{str(name)[:60]!r})')


def _default_dict(factory: Any = None, *items: Any) -> dict:
    """Return a plain dict: torch puts items into no other."""
    if factory is not None and factory is not new_bytes and not isinstance(factory, (ClassName, type)):
        raise pickle.UnpicklingError(f'GLOBAL collections.defaultdict of a {type(factory).__name__}')
    return dict(*items)


def new_bytes(*content: Any) -> bytes:
    """Stand in for `bytes`. How empty bytes are written; others are not written so."""
    if content:
        raise pickle.UnpicklingError('GLOBAL builtins.bytes with arguments')
    return b''


def new_bytearray(*content: Any) -> bytearray:
    """Stand in for `bytearray`. Bytes of a file; a number would be that many zeros."""
    if content and not isinstance(content[0], (bytes, str)):
        raise pickle.UnpicklingError(f'a bytearray of a {type(content[0]).__name__}')
    return bytearray(*content)


def encode_text(text: str, encoding: str = 'utf-8', *_: Any) -> bytes:
    """Stand in for `codecs.encode`. How bytes are written in old pickles; other encodings take hours for long texts."""
    if encoding not in ENCODINGS:
        raise pickle.UnpicklingError(f'a text in the encoding {str(encoding)[:60]!r}')
    return text.encode(encoding)


@contextmanager
def bounded_globals() -> Iterator[None]:
    """Within this, what torch lets through cannot ask for more memory or time than a file's size gives reason for."""
    original = _weights_only_unpickler._get_allowed_globals
    bounded = {**original(), 'builtins.bytearray': new_bytearray, '_codecs.encode': encode_text}
    _weights_only_unpickler._get_allowed_globals = lambda: bounded
    try:
        yield
    finally:
        _weights_only_unpickler._get_allowed_globals = original


def _config_dict(*items: Any) -> ConfigDict:
    return ConfigDict(*items)


def _deque(items: Any = (), *_: Any) -> list:
    return list(items)


@cache
def safe_globals() -> list[tuple[Any, str]]:
    """Return what `torch.serialization.safe_globals` takes: objects, and the names by which pickles know them."""
    named: dict[str, Any] = {'numpy.ndarray': Array, 'numpy.dtype': DType}
    for core in ('numpy.core', 'numpy._core'):  # numpy 1 and 2
        named[f'{core}.multiarray._reconstruct'] = new_array
        named[f'{core}.multiarray.scalar'] = _scalar
    for module in ('pathlib', 'pathlib._local'):  # the second is Python 3.13's
        named.update({f'{module}.{name}': path for name, path in PATHS.items()})
    named.update({f'datetime.{name}': getattr(datetime, name) for name in DATES})
    named.update({f'builtins.{cls.__name__}': ClassName(cls) for cls in TYPES})
    for cls in (OneCycleParamScheduler, OneCycleLR):
        named[f'{cls.__module__}.{cls.__name__}'] = ClassName(cls, ('_annealing_cos', '_annealing_linear'))
    named.update(
        {
            'argparse.Namespace': argparse.Namespace,
            'easydict.EasyDict': OrderedDict,
            'yacs.config.CfgNode': OrderedDict,
            'types.SimpleNamespace': types.SimpleNamespace,
            'collections.defaultdict': _default_dict,
            'collections.deque': _deque,
            'builtins.bytes': new_bytes,
            'builtins.frozenset': frozenset,
            'builtins.slice': slice,
            'builtins.getattr': _method,
            'mmengine.logging.history_buffer.HistoryBuffer': HistoryBuffer,
            'mmengine.config.config.ConfigDict': _config_dict,
        }
    )
    return [(value, name) for name, value in named.items()]
