"""Reads checkpoints of mmengine as data.

A checkpoint is a pickle, and a pickle can run any code. So only tensors, plain values and the few classes below are let
through, which are what mmengine writes besides: the smoothed losses of its message hub.
"""
import pickle
from pathlib import Path
from typing import Any, List, Union

import numpy as np
import torch
from mmengine.logging import HistoryBuffer


def read_as_data(path: Union[str, Path]) -> Any:
    """Reads a checkpoint to the CPU without running any code of it.

    Args:
        path: The file.

    Raises:
        pickle.UnpicklingError: If it holds other objects.
    """
    with torch.serialization.safe_globals(_safe_globals()):
        return torch.load(path, map_location='cpu', weights_only=True)


def _history_method(cls: type, name: str) -> Any:
    """Stands in for `getattr`, which pickle uses for the methods that a HistoryBuffer refers to, and nothing else."""
    if cls is not HistoryBuffer or name not in ('min', 'max', 'mean', 'current'):
        raise pickle.UnpicklingError(f'getattr({cls!r}, {name!r}) is not loaded')
    return getattr(HistoryBuffer, name)


def _safe_globals() -> List[Any]:
    """What may stand in a checkpoint besides tensors; numpy 1 wrote its functions under another module's name."""
    multiarray = getattr(np, '_core', np.core).multiarray
    functions = [(function, f'{module}.{function.__name__}')
                 for module in ('numpy.core.multiarray', 'numpy._core.multiarray')
                 for function in (multiarray._reconstruct, multiarray.scalar)]
    dtypes = [type(np.dtype(kind)) for kind in (np.bool_, np.uint8, np.int32, np.int64, np.float32, np.float64)]
    attributes = [(_history_method, 'builtins.getattr'), (_history_method, '__builtin__.getattr')]
    return [*functions, *dtypes, *attributes, np.ndarray, np.dtype, HistoryBuffer]
