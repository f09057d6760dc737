"""Distances from a point to the four sides of a rotated box, counted in strides, and its angle.

Needs no mmrotate, and does not change the predictions that it decodes, both unlike the public release.
"""

import math
from collections.abc import Sequence

import torch
from mmdet.models.task_modules.coders.base_bbox_coder import BaseBBoxCoder
from torch import Tensor

from mmyolo.registry import TASK_UTILS

# The first angle of each convention, and the range until it repeats; 'oc' takes angles as they are.
ANGLE_RANGES = {'le90': (-math.pi / 2, math.pi), 'le135': (-math.pi / 4, math.pi), 'r360': (-math.pi, 2 * math.pi)}


def norm_angle(angle: Tensor, angle_version: str) -> Tensor:
    """Bring angles into the range of a convention.

    Args:
        angle: (...) radians.
        angle_version: 'oc', which changes nothing, 'le90', 'le135' or 'r360'.

    Returns:
        (...) radians.

    Raises:
        ValueError: the convention is unknown.
    """
    if angle_version == 'oc':
        return angle
    if angle_version not in ANGLE_RANGES:
        raise ValueError(f'angle_version is {angle_version!r}, allowed are {["oc", *ANGLE_RANGES]}')
    start, period = ANGLE_RANGES[angle_version]
    return (angle - start) % period + start


def distance2obb(points: Tensor, distance: Tensor, angle_version: str = 'oc') -> Tensor:
    """Rotated boxes of distances.

    Args:
        points: (..., 2) x, y.
        distance: (..., 5) left, top, right, bottom along the sides of the box, and its angle.
        angle_version: see `norm_angle`.

    Returns:
        (..., 5) rotated boxes.
    """
    before, after, angle = distance.split((2, 2, 1), dim=-1)
    cos, sin = angle.cos(), angle.sin()
    dx, dy = ((after - before) / 2).split(1, dim=-1)
    offset = torch.cat((dx * cos - dy * sin, dx * sin + dy * cos), dim=-1)
    return torch.cat((points[..., :2] + offset, before + after, norm_angle(angle, angle_version)), dim=-1)


def obb2distance(points: Tensor, boxes: Tensor, max_dis: float | None = None, eps: float = 0.01) -> Tensor:
    """Distances of rotated boxes.

    Args:
        points: (..., 2) x, y.
        boxes: (..., 5) rotated boxes.
        max_dis: upper bound of a distance; None leaves distances as they are.
        eps: how far below that bound a distance stays.

    Returns:
        (..., 5) left, top, right, bottom and angle.
    """
    centre, half, angle = boxes[..., :2], boxes[..., 2:4] / 2, boxes[..., 4:]
    dx, dy = (points[..., :2] - centre).split(1, dim=-1)
    cos, sin = angle.cos(), angle.sin()
    offset = torch.cat((dx * cos + dy * sin, dy * cos - dx * sin), dim=-1)
    sides = torch.cat((half + offset, half - offset), dim=-1)
    if max_dis is not None:
        sides = sides.clamp(0, max_dis - eps)
    return torch.cat((sides, angle), dim=-1)


@TASK_UTILS.register_module()
class DistanceAnglePointCoder(BaseBBoxCoder):
    """Box coder of RTMDet-R.

    Args:
        clip_border: kept for configs; rotated boxes are not clipped.
        angle_version: convention of angles, see `norm_angle`.
    """

    encode_size = 5

    def __init__(self, clip_border: bool = True, angle_version: str = 'oc', **kwargs) -> None:
        super().__init__(**kwargs)
        self.clip_border = clip_border
        self.angle_version = angle_version

    def decode(
        self, points: Tensor, pred_bboxes: Tensor, stride: Tensor, max_shape: Sequence[int] | None = None
    ) -> Tensor:
        """Rotated boxes of predictions.

        Args:
            points: (N, 2) or (B, N, 2) points x, y in input pixels.
            pred_bboxes: (N, 5) or (B, N, 5) left, top, right, bottom in strides, and the angle in radians.
            stride: (N,) strides of the points.
            max_shape: not used; rotated boxes are not clipped.

        Returns:
            (N, 5) or (B, N, 5) rotated boxes in input pixels.
        """
        assert points.shape[-2] == pred_bboxes.shape[-2], (
            f'{points.shape[-2]} points do not fit {pred_bboxes.shape[-2]} predictions'
        )
        assert points.shape[-1] == 2 and pred_bboxes.shape[-1] == 5, (
            f'points have 2 numbers and predictions 5, not {points.shape[-1]} and {pred_bboxes.shape[-1]}'
        )
        stride = stride[:, None] if pred_bboxes.dim() == 2 else stride[None, :, None]
        distance = torch.cat((pred_bboxes[..., :4] * stride, pred_bboxes[..., 4:]), dim=-1)
        return distance2obb(points, distance, self.angle_version)

    def encode(self, points: Tensor, gt_bboxes: Tensor, max_dis: float = 16.0, eps: float = 0.01) -> Tensor:
        """Distances of boxes.

        Args:
            points: (N, 2) or (B, N, 2) points x, y; unlike in `decode`, already in strides, as are the boxes.
            gt_bboxes: (N, 5) or (B, N, 5) rotated boxes.
            max_dis: upper bound of a distance.
            eps: how far below that bound a distance stays.

        Returns:
            Left, top, right, bottom, within [0, max_dis - eps], and angle of the boxes' shape.
        """
        assert points.shape[-2] == gt_bboxes.shape[-2], (
            f'{points.shape[-2]} points do not fit {gt_bboxes.shape[-2]} boxes'
        )
        assert points.shape[-1] == 2 and gt_bboxes.shape[-1] == 5, (
            f'points have 2 numbers and boxes 5, not {points.shape[-1]} and {gt_bboxes.shape[-1]}'
        )
        return obb2distance(points, gt_bboxes, max_dis, eps)
