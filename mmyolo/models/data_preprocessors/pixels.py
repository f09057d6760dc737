"""From pixels to the numbers that a network takes; training, prediction and export go through here."""

import torch
from torch import Tensor, nn


def normalize_pixels(pixels: Tensor, preprocessor: nn.Module) -> Tensor:
    """Normalise pixels as a data preprocessor does.

    Args:
        pixels: (B, C, H, W) bytes or floats; the tensor is not changed.
        preprocessor: Says whether the channels are turned round, and mean and standard deviation after that.

    Returns:
        (B, C, H, W) in the memory format of the pixels; float32, or of their type for a preprocessor that leaves the
        values alone.
    """
    if getattr(preprocessor, '_channel_conversion', False) and pixels.shape[1] == 3:
        pixels = pixels.flip(1)
    if not getattr(preprocessor, '_enable_normalize', False):
        return pixels
    # One new tensor, whatever the type of the pixels; the rest works in place.
    return pixels.to(torch.float32, copy=True).sub_(preprocessor.mean).div_(preprocessor.std)
