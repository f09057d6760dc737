"""How a rotated head predicts angles: as a number, or as a class per degree (circular smooth label, arXiv 2003.05597).

They stand in for mmrotate's where it is not installed.
"""

import math

import torch
from mmdet.models.task_modules.coders.base_bbox_coder import BaseBBoxCoder
from torch import Tensor

from mmyolo.registry import TASK_UTILS, stand_in

_WINDOWS = ('gaussian', 'triangle', 'rect', 'pulse')
_OFFSETS = {'oc': 0, 'le90': 90, 'le135': 45}


@stand_in(TASK_UTILS, 'mmrotate').register_module()
class PseudoAngleCoder(BaseBBoxCoder):
    """An angle is predicted as it is."""

    encode_size = 1

    def encode(self, angle_targets: Tensor) -> Tensor:
        """(..., 1) angles in radians, returned as they are."""
        return angle_targets

    def decode(self, angle_preds: Tensor, keepdim: bool = False) -> Tensor:
        """(..., 1) predictions to angles in radians, (..., 1) if `keepdim`, else (...)."""
        return angle_preds if keepdim else angle_preds.squeeze(-1)


@stand_in(TASK_UTILS, 'mmrotate').register_module()
class CSLCoder(BaseBBoxCoder):
    """An angle is predicted as a class; classes near the true one count a little too, around the circle.

    A Gaussian window has its peak at 1 / (2 * radius**2), not at 1, as published models were trained.

    Args:
        angle_version: convention of angles: 'oc', 'le90' or 'le135'.
        omega: degrees of a class.
        window: 'gaussian', 'triangle', 'rect' or 'pulse'.
        radius: classes on either side of the true one that count too.
    """

    def __init__(self, angle_version: str, omega: int = 1, window: str = 'gaussian', radius: int = 6) -> None:
        super().__init__()
        assert angle_version in _OFFSETS, f'angle_version is {angle_version!r}, allowed are {list(_OFFSETS)}'
        assert window in _WINDOWS, f'window is {window!r}, allowed are {_WINDOWS}'
        self.angle_version = angle_version
        self.angle_range = 90 if angle_version == 'oc' else 180
        self.angle_offset = _OFFSETS[angle_version]
        self.omega = omega
        self.window = window
        self.radius = radius
        self.encode_size = int(self.angle_range // omega)

    def encode(self, angle_targets: Tensor) -> Tensor:
        """Labels of angles.

        Args:
            angle_targets: (..., 1) radians.

        Returns:
            (..., encode_size) how much each class counts.
        """
        degrees = angle_targets * (180 / math.pi)
        true_class = ((degrees + self.angle_offset) / self.omega).floor().long() % self.encode_size
        classes = torch.arange(self.encode_size, device=angle_targets.device)
        distance = (classes - true_class).abs()
        distance = torch.minimum(distance, self.encode_size - distance).to(angle_targets)
        if self.window == 'pulse':
            return (distance == 0).to(angle_targets)
        near = distance <= self.radius
        if self.window == 'rect':
            value = torch.ones_like(distance)
        elif self.window == 'triangle':
            value = 1 - distance / self.radius
        else:
            value = torch.exp(-distance.square()) / (2 * self.radius**2)
        return torch.where(near, value, torch.zeros_like(value))

    def decode(self, angle_preds: Tensor, keepdim: bool = False) -> Tensor:
        """Angles of predictions.

        Args:
            angle_preds: (..., encode_size) scores of the classes.
            keepdim: keep the last dimension.

        Returns:
            (..., 1) if `keepdim`, else (...), radians; the middle of the best class.
        """
        best = angle_preds.argmax(dim=-1, keepdim=keepdim)
        degrees = (best + 0.5) * self.omega % self.angle_range - self.angle_offset
        return (degrees * (math.pi / 180)).to(torch.promote_types(angle_preds.dtype, torch.float32))
