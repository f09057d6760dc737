"""A feature map beside max-poolings of it at several scales."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PyramidPooling(nn.Module):
    """Joins a map with poolings of it that keep its size.

    Args:
        kernel_sizes: an int for three chained poolings of that kernel, several for poolings side by side.
        coarsest_first: whether the map itself comes last instead of first.
    """

    def __init__(self, kernel_sizes: int | Sequence[int] = 5, coarsest_first: bool = False) -> None:
        super().__init__()
        self.chained = isinstance(kernel_sizes, int)
        kernels = [kernel_sizes] * 3 if self.chained else kernel_sizes
        self.poolings = nn.ModuleList(nn.MaxPool2d(k, stride=1, padding=k // 2) for k in kernels)
        self.num_maps = 1 + len(self.poolings)
        self.coarsest_first = coarsest_first

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, num_maps * C, H, W)."""
        maps = [x]
        for pool in self.poolings:
            maps.append(pool(maps[-1] if self.chained else x))
        return torch.cat(maps[::-1] if self.coarsest_first else maps, dim=1)
