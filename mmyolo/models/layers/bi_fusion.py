"""The joint of YOLOv6 v3 (2301.05586, section 2.1): three neighbouring levels instead of two."""

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from ..utils.defaults import NORM_CFG


class BiFusion(nn.Module):
    """Joins a level with the upsampled coarser and the downsampled finer one.

    Args:
        in_channels0: channels of the level.
        in_channels1: channels of the finer level.
        out_channels: channels of the coarser level and of the output.
        norm_cfg: norm after each convolution.
        act_cfg: activation after each norm.
    """

    def __init__(
        self,
        in_channels0: int,
        in_channels1: int,
        out_channels: int,
        norm_cfg: dict | None = NORM_CFG,
        act_cfg: dict | None = {'type': 'ReLU', 'inplace': True},
    ) -> None:
        super().__init__()
        common = {'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        self.conv1 = ConvModule(in_channels0, out_channels, 1, **common)
        self.conv2 = ConvModule(in_channels1, out_channels, 1, **common)
        self.conv3 = ConvModule(3 * out_channels, out_channels, 1, **common)
        self.upsample = nn.ConvTranspose2d(out_channels, out_channels, 2, stride=2)
        self.downsample = ConvModule(out_channels, out_channels, 3, stride=2, padding=1, **common)

    def forward(self, x: Sequence[Tensor]) -> Tensor:
        """Coarser level (B, out_channels, H / 2, W / 2), level (B, in_channels0, H, W), finer level
        (B, in_channels1, 2 * H, 2 * W) -> (B, out_channels, H, W).
        """
        coarser, level, finer = x
        maps = self.upsample(coarser), self.conv1(level), self.downsample(self.conv2(finer))
        return self.conv3(torch.cat(maps, dim=1))
