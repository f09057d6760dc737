"""The cross-stage partial layer of YOLOv8 (C2f): every block's output reaches the last convolution."""

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..utils.defaults import ACT_CFG, NORM_CFG
from .darknet_bottleneck import DarknetBottleneck


class CSPLayerWithTwoConv(BaseModule):
    """Splits its input in halves, runs blocks on the second one after another, and joins all of them.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        expand_ratio: channels of a half are int(out_channels * expand_ratio).
        num_blocks: blocks in the chain.
        add_identity: whether blocks add their input.
        conv_cfg: kind of convolution, None for Conv2d.
        norm_cfg: norm after each convolution.
        act_cfg: activation after each norm.
        init_cfg: initialisation of mmengine.

    Attributes:
        mid_channels: channels of a half and of every block.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expand_ratio: float = 0.5,
        num_blocks: int = 1,
        add_identity: bool = True,
        conv_cfg: dict | None = None,
        norm_cfg: dict | None = NORM_CFG,
        act_cfg: dict | None = ACT_CFG,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.mid_channels = mid_channels = int(out_channels * expand_ratio)
        common = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        self.main_conv = ConvModule(in_channels, 2 * mid_channels, 1, **common)
        self.final_conv = ConvModule((2 + num_blocks) * mid_channels, out_channels, 1, **common)
        self.blocks = nn.ModuleList(
            DarknetBottleneck(
                mid_channels,
                mid_channels,
                expansion=1,
                kernel_size=(3, 3),
                padding=(1, 1),
                add_identity=add_identity,
                **common,
            )
            for _ in range(num_blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        feats = list(self.main_conv(x).chunk(2, dim=1))
        for block in self.blocks:
            feats.append(block(feats[-1]))
        return self.final_conv(torch.cat(feats, dim=1))
