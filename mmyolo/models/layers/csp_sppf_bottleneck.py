"""Pyramid pooling in a cross-stage partial layer: of YOLOv6 v3 (2301.05586) and of YOLOv7 (2207.02696)."""

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmyolo.registry import MODELS

from ..utils.defaults import ACT_CFG, NORM_CFG
from .pyramid_pooling import PyramidPooling


class CSPSPPFBottleneck(BaseModule):
    """Pooling between convolutions on one branch, a 1x1 convolution on the other.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_sizes: see `PyramidPooling`.
        use_conv_first: whether convolutions come before pooling.
        mid_channels_scale: channels of the branches are int(in_channels * mid_channels_scale), if `use_conv_first`.
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
        mid = int(in_channels * mid_channels_scale) if use_conv_first else in_channels
        self.conv1 = self.conv3 = self.conv4 = nn.Identity()
        if use_conv_first:
            self.conv1 = ConvModule(in_channels, mid, 1, **common)
            self.conv3 = ConvModule(mid, mid, 3, padding=1, **common)
            self.conv4 = ConvModule(mid, mid, 1, **common)
        self.poolings = PyramidPooling(kernel_sizes)
        self.conv2 = ConvModule(in_channels, mid, 1, **common)
        self.conv5 = ConvModule(self.poolings.num_maps * mid, mid, 1, **common)
        self.conv6 = ConvModule(mid, mid, 3, padding=1, **common)
        self.conv7 = ConvModule(2 * mid, out_channels, 1, **common)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        pooled = self.poolings(self.conv4(self.conv3(self.conv1(x))))
        pooled = self.conv6(self.conv5(pooled))
        return self.conv7(torch.cat((self.conv2(x), pooled), dim=1))


@MODELS.register_module()
class SPPFCSPBlock(BaseModule):
    """As `CSPSPPFBottleneck`, with the pooled branch first, channels that follow the output's, and a tiny version.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        expand_ratio: channels of the branches are int(2 * out_channels * expand_ratio).
        kernel_sizes: see `PyramidPooling`.
        is_tiny_version: a single convolution before and after pooling, and the coarsest map first.
        conv_cfg: kind of convolution, None for Conv2d.
        norm_cfg: norm after each convolution.
        act_cfg: activation after each norm.
        init_cfg: initialisation of mmengine.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expand_ratio: float = 0.5,
        kernel_sizes: int | Sequence[int] = 5,
        is_tiny_version: bool = False,
        conv_cfg: dict | None = None,
        norm_cfg: dict | None = NORM_CFG,
        act_cfg: dict | None = ACT_CFG,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.is_tiny_version = is_tiny_version
        common = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        mid = int(2 * out_channels * expand_ratio)
        self.poolings = PyramidPooling(kernel_sizes, coarsest_first=is_tiny_version)
        pooled = self.poolings.num_maps * mid
        if is_tiny_version:
            self.main_layers = ConvModule(in_channels, mid, 1, **common)
            self.fuse_layers = ConvModule(pooled, mid, 1, **common)
        else:
            self.main_layers = nn.Sequential(
                ConvModule(in_channels, mid, 1, **common),
                ConvModule(mid, mid, 3, padding=1, **common),
                ConvModule(mid, mid, 1, **common),
            )
            self.fuse_layers = nn.Sequential(
                ConvModule(pooled, mid, 1, **common), ConvModule(mid, mid, 3, padding=1, **common)
            )
        self.short_layer = ConvModule(in_channels, mid, 1, **common)
        self.final_conv = ConvModule(2 * mid, out_channels, 1, **common)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        fused = self.fuse_layers(self.poolings(self.main_layers(x)))
        return self.final_conv(torch.cat((fused, self.short_layer(x)), dim=1))
