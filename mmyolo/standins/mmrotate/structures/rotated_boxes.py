"""Rotated boxes: centre x, y, width, height in pixels and the angle in radians by which the width is turned clockwise.

Where mmrotate is installed, its class of the same name is registered and this one is not.
"""

import math
from importlib.util import find_spec

import cv2
import numpy as np
import torch
from mmdet.structures.bbox import register_box
from torch import BoolTensor, Tensor

from mmyolo.standins.mmcv.rotated_iou import rotated_corners

from .box_conversions import qbox2rbox
from .point_boxes import PointBoxes, transform_points

START_ANGLES = {'oc': -math.pi / 2, 'le90': -math.pi / 2, 'le135': -math.pi / 4}


class RotatedBoxes(PointBoxes):
    """(..., 5) rotated boxes.

    Args:
        data: the boxes.
        dtype: type of the tensor.
        device: device of the tensor.
        clone: copy the data.
    """

    box_dim: int = 5

    @property
    def centers(self) -> Tensor:
        """(..., 2) centres."""
        return self.tensor[..., :2]

    @property
    def areas(self) -> Tensor:
        """(...) areas."""
        return self.tensor[..., 2] * self.tensor[..., 3]

    @property
    def widths(self) -> Tensor:
        """(...) widths."""
        return self.tensor[..., 2]

    @property
    def heights(self) -> Tensor:
        """(...) heights."""
        return self.tensor[..., 3]

    @property
    def angles(self) -> Tensor:
        """(...) angles in radians."""
        return self.tensor[..., 4]

    def corners(self) -> Tensor:
        """(..., 4, 2) corners, see `rotated_corners`."""
        return rotated_corners(self.tensor)

    def regularize_boxes(self, pattern: str | None = None) -> Tensor:
        """Describe the same boxes by the numbers of a convention; a rotated box has several descriptions.

        Args:
            pattern: 'le90' and 'le135': the longer side is the width, angles from -90 or -45 degrees on, below half a
                turn more; 'oc': angles from -90 to below 0 degrees, sides as they come. None leaves them as they are.

        Returns:
            (..., 5) boxes; those of this object do not change.

        Raises:
            ValueError: the convention is unknown.
        """
        if pattern is None:
            return self.tensor
        if pattern not in START_ANGLES:
            raise ValueError(f'the convention of angles is {pattern!r}, allowed are {list(START_ANGLES)}')
        start = START_ANGLES[pattern]
        x, y, width, height, angle = self.tensor.unbind(-1)
        if pattern == 'oc':
            angle = (angle - start) % math.pi
            swapped = angle >= math.pi / 2
            angle = torch.where(swapped, angle - math.pi / 2, angle) + start
        else:
            swapped = ~(width > height)
            angle = torch.where(swapped, angle + math.pi / 2, angle)
            angle = (angle - start) % math.pi + start
        sides = torch.where(swapped, height, width), torch.where(swapped, width, height)
        return torch.stack((x, y, *sides, angle), dim=-1)

    def flip_(self, img_shape: tuple[int, int], direction: str = 'horizontal') -> None:
        """Flip the boxes with their image.

        Args:
            img_shape: height and width of the image.
            direction: 'horizontal', 'vertical' or 'diagonal', which is both.
        """
        x, y, width, height, angle = self.tensor.unbind(-1)
        if direction in ('horizontal', 'diagonal'):
            x = img_shape[1] - x
        if direction in ('vertical', 'diagonal'):
            y = img_shape[0] - y
        if direction in ('horizontal', 'vertical'):
            angle = -angle
        elif direction != 'diagonal':
            raise ValueError(f"direction is {direction!r}, allowed are 'horizontal', 'vertical' and 'diagonal'")
        self.tensor = torch.stack((x, y, width, height, angle), dim=-1)

    def translate_(self, distances: tuple[float, float]) -> None:
        """Move the boxes.

        Args:
            distances: pixels along x and y.
        """
        self.tensor = self.tensor + self.tensor.new_tensor((*distances, 0, 0, 0))

    def rotate_(self, center: tuple[float, float], angle: float) -> None:
        """Turn the boxes.

        Args:
            center: point to turn around.
            angle: degrees, positive clockwise.
        """
        matrix = self.tensor.new_tensor(cv2.getRotationMatrix2D(center, -angle, 1))
        centre = transform_points(self.tensor[..., :2], matrix)
        self.tensor = torch.cat((centre, self.tensor[..., 2:4], self.tensor[..., 4:] + math.radians(angle)), dim=-1)

    def project_(self, homography_matrix: Tensor | np.ndarray) -> None:
        """Map the corners and take the smallest rotated boxes around them.

        Args:
            homography_matrix: (3, 3).
        """
        matrix = torch.as_tensor(homography_matrix).to(self.tensor)
        self.tensor = qbox2rbox(transform_points(self.corners(), matrix).flatten(-2))

    def rescale_(self, scale_factor: tuple[float, float]) -> None:
        """Scale the boxes with their image; a stretched rotated box is approximated by one with the same side lengths.

        Args:
            scale_factor: factors along x and y.
        """
        self.tensor = rescale_rotated(self.tensor, self.tensor.new_tensor(scale_factor))

    def resize_(self, scale_factor: tuple[float, float]) -> None:
        """Scale the shapes and leave the centres where they are.

        Args:
            scale_factor: factors along x and y.
        """
        resized = rescale_rotated(self.tensor, self.tensor.new_tensor(scale_factor))
        self.tensor = torch.cat((self.tensor[..., :2], resized[..., 2:]), dim=-1)

    def find_inside_points(self, points: Tensor, is_aligned: bool = False, eps: float = 0.01) -> BoolTensor:
        """Return which points lie in the boxes.

        Args:
            points: (P, 2).
            is_aligned: compare row by row, with P = N.
            eps: pixels by which a point has to be inside.

        Returns:
            (P, N) bool, or (N,) if `is_aligned`.
        """
        if not is_aligned:
            points = points[:, None]
        dx, dy = (points - self.tensor[:, :2]).unbind(-1)
        width, height, angle = self.tensor[:, 2:].unbind(-1)
        cos, sin = angle.cos(), angle.sin()
        along, across = dx * cos + dy * sin, dy * cos - dx * sin
        return (along.abs() <= width / 2 - eps) & (across.abs() <= height / 2 - eps)


def rescale_rotated(boxes: Tensor, scale: Tensor) -> Tensor:
    """Scale boxes along x and y.

    Args:
        boxes: (..., 5) rotated boxes.
        scale: (2,) or (..., 2) factors along x and y.

    Returns:
        (..., 5) boxes; the sides are as long as the scaled sides, the angle is that of the scaled height.
    """
    scale_x, scale_y = scale.unbind(-1)
    x, y, width, height, angle = boxes.unbind(-1)
    cos, sin = angle.cos(), angle.sin()
    width = width * ((scale_x * cos).square() + (scale_y * sin).square()).sqrt()
    height = height * ((scale_x * sin).square() + (scale_y * cos).square()).sqrt()
    return torch.stack((x * scale_x, y * scale_y, width, height, torch.atan2(scale_x * sin, scale_y * cos)), dim=-1)


if find_spec('mmrotate') is None:
    register_box('rbox', RotatedBoxes)
else:
    from mmrotate.structures.bbox import RotatedBoxes  # noqa: F811
