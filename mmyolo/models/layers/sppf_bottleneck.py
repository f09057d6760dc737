"""Spatial pyramid pooling, in a chain of small poolings (SPPF) or side by side (SPP)."""

from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor

from ..utils.defaults import ACT_CFG, NORM_CFG
from .pyramid_pooling import PyramidPooling


class SPPFBottleneck(BaseModule):
    """Joins a feature map with max-poolings of it at three or more scales.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_sizes: see `PyramidPooling`.
        use_conv_first: whether a 1x1 convolution reduces the channels before pooling.
        mid_channels_scale: pooled channels are int(in_channels * mid_channels_scale), if `use_conv_first`.
        conv_cfg: kind of convolution, None for Conv2d.
        norm_cfg: norm after each convolution.
        act_cfg: activation after each norm.
        init_cfg: initialisation of mmengine.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_sizes: int | Sequence[int] = 5,
        use_conv_first: bool = True,
        mid_channels_scale: float = 0.5,
        conv_cfg: dict | None = None,
        norm_cfg: dict | None = NORM_CFG,
        act_cfg: dict | None = ACT_CFG,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        common = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        mid_channels = int(in_channels * mid_channels_scale) if use_conv_first else in_channels
        self.conv1 = ConvModule(in_channels, mid_channels, 1, **common) if use_conv_first else None
        self.poolings = PyramidPooling(kernel_sizes)
        self.conv2 = ConvModule(self.poolings.num_maps * mid_channels, out_channels, 1, **common)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        if self.conv1 is not None:
            x = self.conv1(x)
        return self.conv2(self.poolings(x))
