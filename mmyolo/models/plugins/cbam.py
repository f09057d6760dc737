"""Convolutional block attention (CBAM, arXiv 1807.06521): which channels matter, then which places."""

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmyolo.registry import MODELS


class ChannelAttention(BaseModule):
    """A weight in (0, 1) per channel, from its mean and its maximum.

    Args:
        channels: channels of the input.
        reduce_ratio: the hidden layer has int(channels / reduce_ratio) channels.
        act_cfg: activation of the hidden layer.
    """

    def __init__(self, channels: int, reduce_ratio: int = 16, act_cfg: dict = {'type': 'ReLU'}) -> None:
        super().__init__()
        hidden = int(channels / reduce_ratio)
        self.fc = nn.Sequential(
            ConvModule(channels, hidden, 1, act_cfg=act_cfg), ConvModule(hidden, channels, 1, act_cfg=None)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 1, 1)."""
        return torch.sigmoid(self.fc(x.mean((2, 3), keepdim=True)) + self.fc(x.amax((2, 3), keepdim=True)))


class SpatialAttention(BaseModule):
    """A weight in (0, 1) per place, from the mean and the maximum over channels.

    Args:
        kernel_size: of the convolution, odd.
    """

    def __init__(self, kernel_size: int = 7) -> None:
        super().__init__()
        self.conv = ConvModule(2, 1, kernel_size, padding=kernel_size // 2, act_cfg={'type': 'Sigmoid'})

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 1, H, W)."""
        return self.conv(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1))


@MODELS.register_module()
class CBAM(BaseModule):
    """Multiplies a feature map by its channel attention, and the result by its spatial attention.

    Args:
        in_channels: channels of the feature map.
        reduce_ratio: how much smaller the hidden layer of channel attention is.
        kernel_size: kernel of spatial attention.
        act_cfg: activation of the hidden layer.
        init_cfg: initialisation of mmengine.
    """

    def __init__(
        self,
        in_channels: int,
        reduce_ratio: int = 16,
        kernel_size: int = 7,
        act_cfg: dict = {'type': 'ReLU'},
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.channel_attention = ChannelAttention(in_channels, reduce_ratio, act_cfg)
        self.spatial_attention = SpatialAttention(kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        x = self.channel_attention(x) * x
        return self.spatial_attention(x) * x
