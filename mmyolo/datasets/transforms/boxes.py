"""Arithmetic on boxes in NumPy.

The methods of mmdet's boxes make a few small tensors per call, which for the few boxes of an image costs ten times the
arithmetic, and a mosaic of four calls them often. Other kinds than horizontal boxes take mmdet's way.
"""

import numpy as np
import torch
from mmdet.structures.bbox import BaseBoxes, HorizontalBoxes


def rescale_and_translate_(boxes: BaseBoxes, factor: tuple[float, float], shift: tuple[float, float] = (0, 0)) -> None:
    """Scale boxes, then move them, in place.

    Args:
        boxes: (N, box_dim) in pixels.
        factor: Scales of x and y.
        shift: Pixels along x and y.
    """
    if type(boxes) is HorizontalBoxes:
        moved = boxes.numpy() * np.array(factor * 2, dtype=np.float32) + np.array(shift * 2, dtype=np.float32)
        boxes.tensor = torch.from_numpy(moved)
    else:
        boxes.rescale_(factor)
        boxes.translate_(shift)


def warp_(boxes: BaseBoxes, matrix: np.ndarray) -> None:
    """Replace boxes by the extents of their warped corners, in place.

    Args:
        boxes: (N, box_dim) in pixels.
        matrix: (3, 3), affine.
    """
    if type(boxes) is HorizontalBoxes:
        # (N, 4, 2)
        corners = boxes.numpy()[:, [0, 1, 2, 1, 0, 3, 2, 3]].reshape(-1, 4, 2) @ matrix[:2, :2].T + matrix[:2, 2]
        boxes.tensor = torch.from_numpy(np.concatenate((corners.min(axis=1), corners.max(axis=1)), axis=1))
    else:
        boxes.project_(matrix)
