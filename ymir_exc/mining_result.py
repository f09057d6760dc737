"""result.tsv of mining: the best candidates first (contract section d.5).

The platform takes the first lines and never looks at the scores, so the order is the result.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import sys
import tempfile
from array import array
from pathlib import Path
from typing import IO, Any

from . import env
from .atomic import atomic_file
from .errors import ResultError
from .scalars import to_float

logger = logging.getLogger(__name__)


class MiningResultWriter:
    """Writes result.tsv, sorted by descending score, when the ``with`` block ends without an error.

    Paths wait in a temporary file; memory holds 16 bytes per image until the sort at the end. Images of equal score
    keep their order. NaN goes last, with a warning; so that every line holds a finite number, NaN and minus infinity
    are written as the lowest float and infinity as the highest.

    Args:
        path: the file to write; None takes it from env.yaml.
    """

    def __init__(self, path: str | None = None) -> None:
        self._path = path or env.get_current_env().output.mining_result_file
        self._scores = array('d')
        self._offsets = array('Q', [0])
        self._num_nan = 0
        self._context = contextlib.ExitStack()
        self._paths: IO[bytes] | None = None

    def __enter__(self) -> MiningResultWriter:
        folder = os.path.dirname(os.path.abspath(self._path))
        os.makedirs(folder, exist_ok=True)
        self._paths = self._context.enter_context(tempfile.TemporaryFile(dir=folder))
        return self

    def __exit__(self, *exception: Any) -> bool | None:
        with self._context:
            if exception[0] is None:
                self._write_sorted()
        return None

    def write(self, image: str | Path, score: Any) -> None:
        """Add one image.

        Args:
            image: its path exactly as in the index file.
            score: the higher, the earlier it is labelled.

        Raises:
            ResultError: the score is not a number, or the path holds a TAB or a newline.
        """
        if self._paths is None:
            raise RuntimeError('MiningResultWriter is to be used in a with statement')
        name = str(image)
        if '\t' in name or '\n' in name or not name.strip():
            raise ResultError(f'{name!r} cannot stand in a line of result.tsv: it is empty or has a TAB or a newline')
        number = to_float(score, f'the score of {name}')
        if math.isnan(number):
            self._num_nan += 1
            number = -math.inf
            if self._num_nan == 1:
                logger.warning('the mining score of %s is NaN; such images go last', name)
        data = name.encode('utf-8', 'surrogateescape')
        self._paths.write(data)
        self._scores.append(number)
        self._offsets.append(self._offsets[-1] + len(data))

    def _write_sorted(self) -> None:
        if self._num_nan:
            logger.warning('%d of %d mining scores are NaN', self._num_nan, len(self._scores))
        order = sorted(range(len(self._scores)), key=self._scores.__getitem__, reverse=True)
        with atomic_file(self._path, 'wb') as stream:
            for index in order:
                self._paths.seek(self._offsets[index])
                path = self._paths.read(self._offsets[index + 1] - self._offsets[index])
                score = min(max(self._scores[index], -sys.float_info.max), sys.float_info.max)
                stream.write(path + f'\t{_format(score)}\n'.encode())


def _format(score: float) -> str:
    # Nine digits keep any two float32 apart, and the ranks of 10^8 images; the largest float would become infinity.
    return repr(score) if abs(score) == sys.float_info.max else f'{score:.9g}'
