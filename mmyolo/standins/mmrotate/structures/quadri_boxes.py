"""Quadrilaterals: eight numbers, the corners x1, y1, ..., x4, y4 in order, as DOTA gives its objects.

Where mmrotate is installed, its class of the same name is registered and this one is not.
"""

from importlib.util import find_spec

import cv2
import numpy as np
import torch
from mmdet.structures.bbox import register_box
from torch import BoolTensor, Tensor

from .point_boxes import PointBoxes, points_in_quadrilaterals, transform_points


class QuadriBoxes(PointBoxes):
    """(..., 8) quadrilaterals.

    Args:
        data: the boxes.
        dtype: type of the tensor.
        device: device of the tensor.
        clone: copy the data.
    """

    box_dim: int = 8

    def corners(self) -> Tensor:
        """(..., 4, 2) corners."""
        return self.tensor.unflatten(-1, (4, 2))

    @property
    def centers(self) -> Tensor:
        """(..., 2) means of the corners."""
        return self.corners().mean(-2)

    @property
    def areas(self) -> Tensor:
        """(...) areas."""
        x, y = self.corners().unbind(-1)
        return (x * y.roll(-1, -1) - y * x.roll(-1, -1)).sum(-1).abs() / 2

    @property
    def widths(self) -> Tensor:
        """(...) widths: roots of the areas, since a quadrilateral has no width."""
        return self.areas.sqrt()

    @property
    def heights(self) -> Tensor:
        """(...) heights: as `widths`."""
        return self.areas.sqrt()

    def flip_(self, img_shape: tuple[int, int], direction: str = 'horizontal') -> None:
        """Flip the boxes with their image.

        Args:
            img_shape: height and width of the image.
            direction: 'horizontal', 'vertical' or 'diagonal', which is both.
        """
        if direction not in ('horizontal', 'vertical', 'diagonal'):
            raise ValueError(f"direction is {direction!r}, allowed are 'horizontal', 'vertical' and 'diagonal'")
        x, y = self.corners().unbind(-1)
        x = x if direction == 'vertical' else img_shape[1] - x
        y = y if direction == 'horizontal' else img_shape[0] - y
        self.tensor = torch.stack((x, y), dim=-1).flatten(-2)

    def translate_(self, distances: tuple[float, float]) -> None:
        """Move the boxes.

        Args:
            distances: pixels along x and y.
        """
        self.tensor = self.tensor + self.tensor.new_tensor(distances).repeat(4)

    def rotate_(self, center: tuple[float, float], angle: float) -> None:
        """Turn the boxes.

        Args:
            center: point to turn around.
            angle: degrees, positive clockwise.
        """
        self._transform(self.tensor.new_tensor(cv2.getRotationMatrix2D(center, -angle, 1)))

    def project_(self, homography_matrix: Tensor | np.ndarray) -> None:
        """Map the corners.

        Args:
            homography_matrix: (3, 3).
        """
        self._transform(torch.as_tensor(homography_matrix).to(self.tensor))

    def rescale_(self, scale_factor: tuple[float, float]) -> None:
        """Scale the boxes with their image.

        Args:
            scale_factor: factors along x and y.
        """
        self.tensor = self.tensor * self.tensor.new_tensor(scale_factor).repeat(4)

    def resize_(self, scale_factor: tuple[float, float]) -> None:
        """Scale the shapes and leave the centres where they are.

        Args:
            scale_factor: factors along x and y.
        """
        centre = self.centers[..., None, :]
        scaled = (self.corners() - centre) * self.tensor.new_tensor(scale_factor) + centre
        self.tensor = scaled.flatten(-2)

    def find_inside_points(self, points: Tensor, is_aligned: bool = False) -> BoolTensor:
        """Return which points lie in the boxes, which have to be convex.

        Args:
            points: (P, 2).
            is_aligned: compare row by row, with P = N.

        Returns:
            (P, N) bool, or (N,) if `is_aligned`.
        """
        return points_in_quadrilaterals(points if is_aligned else points[:, None], self.corners())

    def _transform(self, matrix: Tensor) -> None:
        self.tensor = transform_points(self.corners(), matrix).flatten(-2)


if find_spec('mmrotate') is None:
    register_box('qbox', QuadriBoxes)
else:
    from mmrotate.structures.bbox import QuadriBoxes  # noqa: F811
