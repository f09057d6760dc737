"""An image whose pixels are drawn only when everything that moves them is known, each of them once."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from .draw_tiles import Pixel, draw_tiles, flip_matrix, paint_outside, stretch_matrix
from .flip import FLIP_CODES
from .resize_mosaic import resize_mosaic, warp_mosaic
from .tiles import Layout

_DIRECTIONS = {(False, False): None, (True, False): 'horizontal', (False, True): 'vertical', (True, True): 'diagonal'}


class Drawing(NamedTuple):
    """Images on a canvas, and an affine warp of it.

    Args:
        images: (h, w, 3) uint8 each, of any size: each is stretched over its place in the layout.
        layout: Where they lie on the canvas. A single one lies within it as a whole.
        matrix: (3, 3), affine, from pixels of the canvas to those of the result.
        shape: (h, w) of the result.
        pad: BGR of the canvas where there is no image.
        border: BGR of the result beyond the canvas.
    """

    images: Sequence[np.ndarray]
    layout: Layout
    matrix: np.ndarray
    shape: tuple[int, int]
    pad: Pixel
    border: Pixel

    def draw(self, direction: str | None = None) -> np.ndarray:
        """Draw the result in the cheapest way.

        Args:
            direction: 'horizontal', 'vertical' or 'diagonal' flips it; None leaves it as it is.

        Returns:
            (h, w, 3) uint8.
        """
        matrix = flip_matrix(direction, self.shape) @ self.matrix
        image = self._draw(matrix)
        if self.border != self.pad:
            paint_outside(image, self.layout.shape, matrix, self.border)
        return image

    def _draw(self, matrix: np.ndarray) -> np.ndarray:
        """Draw, as if the canvas had no end."""
        layout = self.layout
        if len(self.images) == 1:  # then the image itself may be the canvas, which needs no resizing of its own
            shape = self.images[0].shape[:2]
            matrix = matrix @ stretch_matrix(shape, layout.sizes[0], layout.corners[0])
            layout = Layout(shape, [1], [shape], [(0, 0)])
        # cv2.resize does not flip, but flipping afterwards is cheap.
        direction = _DIRECTIONS[bool(matrix[0, 0] < 0), bool(matrix[1, 1] < 0)]
        unflipped = flip_matrix(direction, self.shape) @ matrix
        image = resize_mosaic(self.images, layout, unflipped, self.shape, self.pad)
        if image is not None:
            return image if direction is None else cv2.flip(image, FLIP_CODES[direction])
        image = warp_mosaic(self.images, layout, matrix, self.shape, self.pad)
        return draw_tiles(self.images, layout, matrix, self.shape, self.pad) if image is None else image
