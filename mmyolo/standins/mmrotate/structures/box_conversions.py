"""Conversions between horizontal boxes, rotated boxes and quadrilaterals."""

import math
from importlib.util import find_spec

import cv2
import numpy as np
import torch
from mmdet.structures.bbox import HorizontalBoxes, register_box_converter
from torch import Tensor

from mmyolo.standins.mmcv.rotated_iou import rotated_corners


def hbox2rbox(boxes: Tensor) -> Tensor:
    """(..., 4) xyxy -> (..., 5) rotated boxes with angle 0."""
    return torch.cat((HorizontalBoxes.xyxy_to_cxcywh(boxes), torch.zeros_like(boxes[..., :1])), dim=-1)


def hbox2qbox(boxes: Tensor) -> Tensor:
    """(..., 4) xyxy -> (..., 8) corners from the upper left one clockwise."""
    return boxes[..., [0, 1, 2, 1, 2, 3, 0, 3]]


def rbox2hbox(boxes: Tensor) -> Tensor:
    """(..., 5) rotated boxes -> (..., 4) their extents, xyxy."""
    centre, (width, height, angle) = boxes[..., :2], boxes[..., 2:].unbind(-1)
    cos, sin = angle.cos().abs(), angle.sin().abs()
    half = torch.stack((width * cos + height * sin, width * sin + height * cos), dim=-1) / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def rbox2qbox(boxes: Tensor) -> Tensor:
    """(..., 5) rotated boxes -> (..., 8) corners."""
    return rotated_corners(boxes).flatten(-2)


def qbox2hbox(boxes: Tensor) -> Tensor:
    """(..., 8) corners -> (..., 4) their extents, xyxy."""
    corners = boxes.unflatten(-1, (4, 2))
    return torch.cat((corners.amin(-2), corners.amax(-2)), dim=-1)


def qbox2rbox(boxes: Tensor) -> Tensor:
    """(..., 8) corners -> (..., 5) the smallest rotated boxes around them; OpenCV finds them one by one."""
    corners = np.ascontiguousarray(boxes.detach().cpu().numpy().reshape(-1, 4, 2), dtype=np.float32)
    found = [(*centre, *size, math.radians(angle)) for centre, size, angle in map(cv2.minAreaRect, corners)]
    return boxes.new_tensor(found).reshape(*boxes.shape[:-1], 5)


def register_converters() -> None:
    """Make them known to mmdet's box types, which must be registered before; mmrotate does so itself."""
    if find_spec('mmrotate') is None:
        for converter in (hbox2rbox, hbox2qbox, rbox2hbox, rbox2qbox, qbox2hbox, qbox2rbox):
            register_box_converter(*converter.__name__.split('2'), converter)
