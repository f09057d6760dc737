"""Efficient layer aggregation of YOLOv7 (2207.02696, section 3.1): every convolution block reaches the last one."""

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmyolo.registry import MODELS

from ..utils.defaults import ACT_CFG, NORM_CFG


@MODELS.register_module()
class ELANBlock(BaseModule):
    """Two 1x1 convolutions, a chain of blocks after one of them, and a convolution over all their outputs.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        middle_ratio: channels of the 1x1 convolutions are int(in_channels * middle_ratio).
        block_ratio: channels of the blocks are int(in_channels * block_ratio).
        num_blocks: blocks in the chain.
        num_convs_in_block: 3x3 convolutions in a block.
        conv_cfg: kind of convolution, None for Conv2d.
        norm_cfg: norm after each convolution.
        act_cfg: activation after each norm.
        init_cfg: initialisation of mmengine.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        middle_ratio: float,
        block_ratio: float,
        num_blocks: int = 2,
        num_convs_in_block: int = 1,
        conv_cfg: dict | None = None,
        norm_cfg: dict | None = NORM_CFG,
        act_cfg: dict | None = ACT_CFG,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if num_blocks < 1 or num_convs_in_block < 1:
            raise AssertionError(
                'num_blocks and num_convs_in_block of ELANBlock must be at least 1, '
                f'got {num_blocks} and {num_convs_in_block}'
            )
        common = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        middle, channels = int(in_channels * middle_ratio), int(in_channels * block_ratio)
        self.main_conv = ConvModule(in_channels, middle, 1, **common)
        self.short_conv = ConvModule(in_channels, middle, 1, **common)
        self.blocks = nn.ModuleList()
        for first in [middle] + [channels] * (num_blocks - 1):
            convs = [
                ConvModule(inputs, channels, 3, padding=1, **common)
                for inputs in [first] + [channels] * (num_convs_in_block - 1)
            ]
            self.blocks.append(nn.Sequential(*convs) if num_convs_in_block > 1 else convs[0])
        self.final_conv = ConvModule(num_blocks * channels + 2 * middle, out_channels, 1, **common)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        maps = [self.short_conv(x), self.main_conv(x)]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return self.final_conv(torch.cat(maps[::-1], dim=1))


@MODELS.register_module()
class EELANBlock(BaseModule):
    """Extended ELAN: the sum of blocks side by side.

    Args:
        num_elan_block: number of blocks.
        kwargs: arguments of `ELANBlock`.
    """

    def __init__(self, num_elan_block: int, **kwargs) -> None:
        super().__init__()
        if num_elan_block < 1:
            raise AssertionError(f'num_elan_block of EELANBlock must be at least 1, got {num_elan_block}')
        self.e_elan_blocks = nn.ModuleList(ELANBlock(**kwargs) for _ in range(num_elan_block))

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        return sum(block(x) for block in self.e_elan_blocks)


@MODELS.register_module()
class TinyDownSampleBlock(BaseModule):
    """The block of YOLOv7-tiny, ELAN with one convolution per block; despite its name it keeps the size.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        middle_ratio: channels inside are int(in_channels * middle_ratio).
        kernel_sizes: kernel of the convolutions in the chain.
        conv_cfg: kind of convolution, None for Conv2d.
        norm_cfg: norm after each convolution.
        act_cfg: activation after each norm.
        init_cfg: initialisation of mmengine.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        middle_ratio: float = 1.0,
        kernel_sizes: int = 3,
        conv_cfg: dict | None = None,
        norm_cfg: dict | None = NORM_CFG,
        act_cfg: dict | None = {'type': 'LeakyReLU', 'negative_slope': 0.1},
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        common = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        middle = int(in_channels * middle_ratio)
        chained = dict(kernel_size=kernel_sizes, padding=kernel_sizes // 2, **common)
        self.short_conv = ConvModule(in_channels, middle, 1, **common)
        self.main_convs = nn.ModuleList(
            [
                ConvModule(in_channels, middle, 1, **common),
                ConvModule(middle, middle, **chained),
                ConvModule(middle, middle, **chained),
            ]
        )
        self.final_conv = ConvModule(4 * middle, out_channels, 1, **common)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        maps = [self.short_conv(x)]
        for conv in self.main_convs:
            x = conv(x)
            maps.append(x)
        return self.final_conv(torch.cat(maps[::-1], dim=1))
