"""Rejects a model that gives no finite numbers for most images; imports no torch."""

from pathlib import Path

from tmi.errors import ModelError

EARLY = 64  # images after which a model is rejected that gave no finite numbers for most of them
LEAST = 8  # images by which it is judged where there are fewer; the first ones alone may be of a kind


class FiniteCheck:
    """Counts images for which a model gave numbers that are not finite.

    Args:
        source: The weight file, for messages.
        half_precision: Whether the model computes in it.
    """

    def __init__(self, source: str | Path, half_precision: bool) -> None:
        self.images = self.unusable = 0
        self._source, self.half_precision = source, half_precision
        self._judged = False

    def add(self, images: int, unusable: int) -> None:
        """Count images, and judge once there are enough.

        Args:
            images: That could be read.
            unusable: Of them, those without finite numbers.

        Raises:
            TaskError: ModelError if most have none.
        """
        self.images += images
        self.unusable += unusable
        if self.images >= EARLY and not self._judged:
            self._judge()

    def end(self) -> None:
        """Judge after the last image, if it was not done before.

        Raises:
            TaskError: ModelError if most have none.
        """
        if self.images >= LEAST and not self._judged:
            self._judge()

    def _judge(self) -> None:
        self._judged = True
        reject_unusable(self.images, self.unusable, self.half_precision, self._source)


def reject_unusable(images: int, unusable: int, half_precision: bool, source: str | Path) -> None:
    """Reject a model that gives no finite numbers for most of some images.

    Args:
        images: How many.
        unusable: Of them, those without finite numbers.
        half_precision: Whether the model computes in it.
        source: The weight file, for messages.

    Raises:
        TaskError: ModelError if most have none.
    """
    if 2 * unusable > images:
        hint = ' Half precision may be too coarse for it: try precision fp32.' if half_precision else ''
        raise ModelError(
            f'The model {source} gives no finite numbers (NaN or inf) for {unusable} of {images} pictures, so '
            f'there are no boxes; its weights are damaged or far too large. Choose another model.{hint}'
        )
