"""The first step on the device, from pixels to the input of a network."""

import torch
from torch import Tensor, nn

from mmyolo.models.data_preprocessors import normalize_pixels


class Normalize(nn.Module):
    """What a detector's data preprocessor does to one image, for a batch of equal size.

    Args:
        preprocessor: Of the detector (mmdet's or one of ours).
    """

    def __init__(self, preprocessor: nn.Module) -> None:
        super().__init__()
        self.divisor = preprocessor.pad_size_divisor
        self.pad_value = preprocessor.pad_value
        self.preprocessor = preprocessor

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalise.

        Args:
            pixels: (n, H, W, 3) uint8.

        Returns:
            (n, 3, H', W') float32 in channels-last memory; H' and W' are multiples of the divisor.
        """
        images = normalize_pixels(pixels.permute(0, 3, 1, 2), self.preprocessor).float()
        height, width = images.shape[2:]
        padding = (-width % self.divisor, -height % self.divisor)
        if any(padding):
            images = nn.functional.pad(images, (0, padding[0], 0, padding[1]), value=self.pad_value)
        return images.contiguous(memory_format=torch.channels_last)
