"""Reads checkpoints as data: the one reader behind every way by which weights come in.

A checkpoint is a pickle, and a pickle can run any code. So only tensors, plain values and what `checkpoint_globals`
lists are let through. `checkpoint_loader` puts this reader under the roads of mmengine and mmdet.
"""

import os
import pickle
import re
import stat
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

from .checkpoint_globals import bounded_globals, safe_globals
from .file_kinds import kind_of_file

MAX_UNPACKED = 20  # times the size of the file; torch.save compresses nothing
SMALL = 1 << 26  # bytes that may be unpacked from any file
REJECTED = re.compile(r'GLOBAL (\S+)')
KNOWN_AS = {'posix': 'os', 'nt': 'os', 'commands': 'subprocess'}  # modules as pickles name them, and as users do
ADVICE = 'Save the state_dict of the model with torch.save, or train the model with this package.'


class CheckpointError(pickle.UnpicklingError, ValueError):
    """A file is not a checkpoint, is damaged, or holds what is not read; the message says which, and what to do."""


def read_as_data(path: str | Path | BinaryIO, map_location: Any = 'cpu') -> Any:
    """Read a checkpoint without running any code of it.

    Args:
        path: The file, or an open one.
        map_location: Where tensors go, as for `torch.load`.

    Returns:
        Its content: tensors and plain values.

    Raises:
        CheckpointError: If it is not a file of torch.save, is damaged, or holds other objects.
        OSError: If it cannot be opened.
    """
    name = path if isinstance(path, (str, Path)) else getattr(path, 'name', 'The checkpoint')
    if isinstance(path, (str, Path)):
        check_file(path)
    try:
        with torch.serialization.safe_globals(safe_globals()), bounded_globals():
            return torch.load(path, map_location=map_location, weights_only=True)
    except MemoryError as error:
        raise _too_large(name) from error
    except OSError:
        raise
    except Exception as error:  # a damaged or hostile file may raise anything
        if 'allocate memory' in str(error):
            raise _too_large(name) from error
        raise CheckpointError(_what_was_wrong(name, error)) from error


def check_file(path: str | Path) -> None:
    """Reject what is not a file of weights by its first bytes, or would become far larger when it is read.

    Args:
        path: The file.

    Raises:
        CheckpointError: If it is something else; the message says what.
        OSError: If it cannot be opened.
    """
    if os.path.isdir(path):
        raise CheckpointError(f'{path} is a folder and no file of weights.')
    if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would never end
        raise CheckpointError(f'{path} is not a regular file, so it is not a file of weights.')
    kind = kind_of_file(path)
    if kind is not None:
        raise CheckpointError(f'{path} holds no weights that torch.save wrote; it is {kind}.')
    size = os.path.getsize(path)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > max(MAX_UNPACKED * size, SMALL):
            raise CheckpointError(
                f'{path} is not read: its {size:,} bytes would become {unpacked:,}, which torch.save '
                f'never writes. {ADVICE}'
            )


def fits_into_memory(size: int) -> bool:
    """Return whether this machine has memory for so many bytes of weights; then a lack of it has another reason."""
    return 4 * size < os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')


def _too_large(name: Any) -> Exception:
    """Distinguish a file that asks for more than it holds from a machine that is too small."""
    size = os.path.getsize(name) if isinstance(name, (str, Path)) else 0
    if not fits_into_memory(size):
        return MemoryError(f'{name} does not fit into the main memory')
    return CheckpointError(f'{name} is damaged: it asks for far more memory than its {size:,} bytes need.')


def _what_was_wrong(name: Any, error: Exception) -> str:
    """One sentence about a failure of torch.load, which itself explains at length how to run the file all the same."""
    text = str(error)
    rejected = REJECTED.search(text)
    if rejected:
        module, _, rest = rejected[1].partition('.')
        found = f'{KNOWN_AS.get(module, module)}.{rest}' if rest else module
        return (
            f'{name} holds {found}, which is not loaded because it could run code; only tensors and plain values '
            f'are. {ADVICE}'
        )
    if isinstance(error, pickle.UnpicklingError):
        detail = text.split('WeightsUnpickler error:')[-1].strip().splitlines() or ['']
        if 'Unsupported operand' in text:
            return (
                f'{name} is not a checkpoint, is damaged or was saved with a pickle protocol above 3 '
                f'({detail[0][:80]}). {ADVICE}'
            )
        return f'{name} is damaged or holds more than weights ({detail[0][:200]}). {ADVICE}'
    first = text.splitlines()[0][:200] if text else 'it ends too early'
    return f'{name} is damaged or is not a checkpoint ({type(error).__name__}: {first}). Copy or download it again.'
