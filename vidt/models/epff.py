"""Pyramid feature fusion of ViDT+ (arXiv 2204.07962): the maps are fused from the coarse one to the fine one."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from .heads import project_map, projection

REDUCTION = 4


class ResidualConvUnit(nn.Module):
    """A bottleneck of three convolutions beside its input.

    Args:
        channels: Channels of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // REDUCTION
        self.conv1 = nn.Conv2d(channels, inner, 1)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1)
        self.conv3 = nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        return x + self.conv3(F.relu(self.conv2(F.relu(self.conv1(F.relu(x))))))


class RefineNet(nn.Module):
    """Fuse a map with what came from the coarser ones.

    Args:
        channels: Channels of the maps.
        coarsest: Whether there is no coarser one; half of the layers is then unused, the published files hold them.
    """

    def __init__(self, channels: int, coarsest: bool) -> None:
        super().__init__()
        self.smoothing = nn.Conv2d(channels, channels, 1)
        self.resConfUnit1 = ResidualConvUnit(channels)
        self.resConfUnit2 = ResidualConvUnit(channels)
        if coarsest:
            self.smoothing.requires_grad_(False)
            self.resConfUnit1.requires_grad_(False)

    def forward(self, x: Tensor, coarser: Tensor | None = None) -> Tensor:
        """Fuse a map of shape (B, C, H, W) with a coarser one, or refine it alone."""
        if coarser is not None:
            # A 1x1 convolution and this resize can change places: both are linear, and the resize's weights add to 1.
            coarser = self.smoothing(coarser)
            x = F.interpolate(coarser, x.shape[2:], mode='bilinear', align_corners=True) + self.resConfUnit1(x)
        return self.resConfUnit2(x)


class MultiScaler(nn.Module):
    """The layers of the fusion."""

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        for level, width in enumerate(in_channels):
            conv, norm = projection(width, channels)
            self.add_module(f'layer_{level}_rn', conv)
            self.add_module(f'p_norm_{level}', norm)
            self.add_module(f'refinenet_{level}', RefineNet(channels, level + 1 == len(in_channels)))


class EPFF(nn.Module):
    """Fuse the maps of the backbone.

    Args:
        in_channels: Channels of each map, fine to coarse.
        channels: Channels of the fused maps.
    """

    def __init__(self, in_channels: Sequence[int], channels: int = 256) -> None:
        super().__init__()
        self.multi_scaler = MultiScaler(in_channels, channels)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Fuse maps of shape (B, C, H, W), fine to coarse; the result is coarse to fine."""
        fused: list[Tensor] = []
        for level in reversed(range(len(maps))):
            conv, norm, refine = (
                getattr(self.multi_scaler, name)
                for name in (f'layer_{level}_rn', f'p_norm_{level}', f'refinenet_{level}')
            )
            fused.append(refine(project_map(conv, norm, maps[level]), fused[-1] if fused else None))
        return fused
