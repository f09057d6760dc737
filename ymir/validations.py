"""What each validation found, kept in the folder of the task until the training has ended.

The best epoch is known before its successors are, so its predictions are on the disk when tables and pictures are made
of them, and no image is looked at twice. A disk without room for them costs no more than those.
"""

import logging
import shutil
from collections.abc import Set
from pathlib import Path

from tmi.training.metrics import ValidationResult
from ymir.output_paths import VALIDATIONS
from ymir_exc.atomic import atomic_file

logger = logging.getLogger('ymir')

SUFFIX = '.npz'
LEFT_FREE = 16 << 20  # bytes of the disk, for what a training cannot do without


class Validations:
    """The validations of the weights that there are.

    Args:
        root: The task's output folder.
    """

    def __init__(self, root: Path) -> None:
        self._folder = Path(root) / VALIDATIONS
        self._warned = False

    def keep(self, weights: str, result: ValidationResult | None) -> None:
        """Write a validation; what goes wrong is a warning.

        Args:
            weights: Name of the weights without suffix.
            result: What was found; None if the metric of the training does not tell.
        """
        path = self._folder / f'{weights}{SUFFIX}'
        try:
            if path.exists():  # of weights of that name that an earlier training left
                path.unlink()
            if result is None:
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            needed, free = result.nbytes + LEFT_FREE, shutil.disk_usage(self._folder).free
            if free < needed:
                raise OSError(f'{self._folder} needs {needed / 1e6:.0f} MB, {free / 1e6:.0f} MB are free')
            with atomic_file(path, 'wb') as stream:
                result.write(stream)
        except Exception as error:
            if not self._warned:
                self._warned = True
                logger.warning(
                    'The predictions of a validation cannot be kept, so its table and pictures may be missing: %s',
                    error,
                )

    def keep_only(self, weights: Set[str]) -> None:
        """Delete the validations of other weights.

        Args:
            weights: Names without suffixes.
        """
        for path in self._folder.glob(f'*{SUFFIX}'):
            if path.stem not in weights:
                path.unlink(missing_ok=True)

    def read(self, weights: str) -> ValidationResult:
        """Read a validation.

        Args:
            weights: Name of the weights without suffix.

        Raises:
            OSError: It was not kept.
            ValueError: The file is damaged.
        """
        with open(self._folder / f'{weights}{SUFFIX}', 'rb') as stream:
            return ValidationResult.read(stream)

    def remove(self) -> None:
        """Delete all."""
        shutil.rmtree(self._folder, ignore_errors=True)
