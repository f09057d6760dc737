"""Down-sampling of YOLOv7: half of the channels by pooling, half by a strided convolution."""

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..utils.defaults import ACT_CFG, NORM_CFG


class MaxPoolAndStrideConvBlock(BaseModule):
    """Halves the size on two branches and joins them, the convolution's first.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output, half from each branch.
        maxpool_kernel_sizes: kernel and stride of the pooling.
        use_in_channels_of_middle: whether the strided convolution has as many inputs as the block; else half of the
            output's channels.
        conv_cfg: kind of convolution, None for Conv2d.
        norm_cfg: norm after each convolution.
        act_cfg: activation after each norm.
        init_cfg: initialisation of mmengine.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        maxpool_kernel_sizes: int = 2,
        use_in_channels_of_middle: bool = False,
        conv_cfg: dict | None = None,
        norm_cfg: dict | None = NORM_CFG,
        act_cfg: dict | None = ACT_CFG,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        common = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        half = out_channels // 2
        middle = in_channels if use_in_channels_of_middle else half
        self.maxpool_branches = nn.Sequential(
            nn.MaxPool2d(maxpool_kernel_sizes, maxpool_kernel_sizes), ConvModule(in_channels, half, 1, **common)
        )
        self.stride_conv_branches = nn.Sequential(
            ConvModule(in_channels, middle, 1, **common), ConvModule(middle, half, 3, stride=2, padding=1, **common)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / 2, W / 2)."""
        return torch.cat((self.stride_conv_branches(x), self.maxpool_branches(x)), dim=1)
