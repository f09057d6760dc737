"""Sinusoidal positions of the tokens of a map, as in DETR (arXiv 2005.12872), one vector per row and one per column."""

import math

import torch
from torch import Tensor

TEMPERATURE = 10000.0
EPSILON = 1e-6


def sinusoid(flags: Tensor, channels: int) -> Tensor:
    """Return the positions along one axis, each relative to the image's own extent.

    The position of a token is the vector of its row followed by that of its column, each of half the width.

    Args:
        flags: Shape (B, n), bool: which rows, or columns, belong to the image.
        channels: Length of a vector.

    Returns:
        Shape (B, n, channels), float32: sine at even, cosine at odd places.
    """
    with torch.autocast(flags.device.type, enabled=False):
        place = flags.float().cumsum(1)
        place = place / (place[:, -1:] + EPSILON) * (2 * math.pi)
        index = torch.arange(channels, dtype=torch.float32, device=flags.device)
        angle = place[:, :, None] / TEMPERATURE ** (2 * (index // 2) / channels)
        return torch.stack([angle[:, :, 0::2].sin(), angle[:, :, 1::2].cos()], 3).flatten(2)
