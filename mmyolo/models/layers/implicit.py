"""Implicit knowledge of YOLOR (2105.04206), as the heads of YOLOv7 use it: a learnt number per channel."""

import torch
from torch import Tensor, nn


class _Implicit(nn.Module):
    """A learnt number per channel.

    Args:
        in_channels: channels of the input.
        mean, std: of the normal distribution that the numbers are drawn from.
    """

    def __init__(self, in_channels: int, mean: float, std: float) -> None:
        super().__init__()
        self.implicit = nn.Parameter(torch.empty(1, in_channels, 1, 1))
        nn.init.normal_(self.implicit, mean, std)


class ImplicitA(_Implicit):
    """Adds a learnt number to each channel.

    Args:
        in_channels: channels of the input.
        mean, std: of the normal distribution that the numbers are drawn from.
    """

    def __init__(self, in_channels: int, mean: float = 0.0, std: float = 0.02) -> None:
        super().__init__(in_channels, mean, std)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> the same shape."""
        return self.implicit + x


class ImplicitM(_Implicit):
    """Multiplies each channel with a learnt number.

    Args:
        in_channels: channels of the input.
        mean, std: of the normal distribution that the numbers are drawn from.
    """

    def __init__(self, in_channels: int, mean: float = 1.0, std: float = 0.02) -> None:
        super().__init__(in_channels, mean, std)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> the same shape."""
        return self.implicit * x
