"""From pixels to the numbers that a network takes; training, prediction and export go through here."""

import torch
from torch import Tensor, nn


def normalize_pixels(pixels: Tensor, preprocessor: nn.Module) -> Tensor:
    """Normalise pixels as a data preprocessor does.

    Args:
        pixels: (B, C, H, W) bytes or floats, which stay as they are.
        preprocessor: Says whether the channels are turned round, and mean and standard deviation after that.

    Returns:
        (B, C, H, W) float32, in the memory format of the pixels.
    """
    if getattr(preprocessor, '_channel_conversion', False) and pixels.shape[1] == 3:
        pixels = pixels.flip(1)
    images = pixels.to(torch.float32, copy=True)  # one new tensor, whatever the type; the rest works in place
    if getattr(preprocessor, '_enable_normalize', False):
        images.sub_(preprocessor.mean).div_(preprocessor.std)
    return images
