"""What the networks of pixels are given: pictures at the size of the input, normalised."""

import cv2
import numpy as np
import torch
from torch import Tensor

MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # RGB, of ImageNet


def resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a picture of another size.

    Args:
        picture: (h, w, bands) uint8.
        size: (width, height).
    """
    method = cv2.INTER_AREA if picture.shape[1] > size[0] else cv2.INTER_LINEAR
    return cv2.resize(picture, size, interpolation=method)


def normalised(pictures: np.ndarray) -> Tensor:
    """Return (..., 3, h, w) float32.

    Args:
        pictures: (..., h, w, 3) uint8, RGB.
    """
    values = (pictures.astype(np.float32) - np.float32(MEAN)) / np.float32(DEVIATION)
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(values, -1, -3)))
