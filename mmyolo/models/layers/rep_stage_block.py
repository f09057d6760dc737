"""The stages of YOLOv6 (2209.02976, section 2.1; 2301.05586): chains of blocks that a config chooses.

Unlike the public release, `RepStageBlock` does not build plain blocks that it then replaces by `BottleRep`s.
"""

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from mmyolo.registry import MODELS

from ..utils.defaults import NORM_CFG
from .rep_vgg_block import RepVGGBlock


class BottleRep(nn.Module):
    """Two blocks, and the weighted input added where the numbers of channels agree.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        block_cfg: config of the blocks.
        adaptive_weight: whether the weight of the input is learnt; else it is 1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        block_cfg: dict = {'type': 'RepVGGBlock'},
        adaptive_weight: bool = False,
    ) -> None:
        super().__init__()
        self.conv1 = MODELS.build(dict(block_cfg, in_channels=in_channels, out_channels=out_channels))
        self.conv2 = MODELS.build(dict(block_cfg, in_channels=out_channels, out_channels=out_channels))
        self.shortcut = in_channels == out_channels
        self.alpha = nn.Parameter(torch.ones(1)) if adaptive_weight else 1.0

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        out = self.conv2(self.conv1(x))
        return out + self.alpha * x if self.shortcut else out


@MODELS.register_module()
class RepStageBlock(nn.Module):
    """A chain of blocks of which the first may change the number of channels.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        num_blocks: blocks in the chain; a `BottleRep` counts as two.
        bottle_block: `BottleRep` for a chain of those with learnt shortcuts; anything else for one of plain blocks.
        block_cfg: config of the blocks.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_blocks: int = 1,
        bottle_block: type[nn.Module] = RepVGGBlock,
        block_cfg: dict = {'type': 'RepVGGBlock'},
    ) -> None:
        super().__init__()
        in_pairs = bottle_block is BottleRep
        if in_pairs:
            num_blocks //= 2

        def build(channels: int) -> nn.Module:
            if in_pairs:
                return BottleRep(channels, out_channels, block_cfg, adaptive_weight=True)
            return MODELS.build(dict(block_cfg, in_channels=channels, out_channels=out_channels))

        self.conv1 = build(in_channels)
        self.block = nn.Sequential(*(build(out_channels) for _ in range(num_blocks - 1))) if num_blocks > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        x = self.conv1(x)
        return x if self.block is None else self.block(x)


@MODELS.register_module()
class BepC3StageBlock(nn.Module):
    """A cross-stage partial layer over a chain of `BottleRep`s.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        num_blocks: blocks in the chain, two per `BottleRep`.
        hidden_ratio: channels of the chain are int(out_channels * hidden_ratio).
        concat_all_layer: whether the second branch joins the chain's output.
        block_cfg: config of the blocks.
        norm_cfg: norm after each 1x1 convolution.
        act_cfg: activation after each norm.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_blocks: int = 1,
        hidden_ratio: float = 0.5,
        concat_all_layer: bool = True,
        block_cfg: dict = {'type': 'RepVGGBlock'},
        norm_cfg: dict | None = NORM_CFG,
        act_cfg: dict | None = {'type': 'ReLU', 'inplace': True},
    ) -> None:
        super().__init__()
        hidden = int(out_channels * hidden_ratio)
        common = {'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        self.concat_all_layer = concat_all_layer
        self.conv1 = ConvModule(in_channels, hidden, 1, **common)
        self.conv2 = ConvModule(in_channels, hidden, 1, **common)
        self.conv3 = ConvModule((2 if concat_all_layer else 1) * hidden, out_channels, 1, **common)
        self.block = RepStageBlock(hidden, hidden, num_blocks, BottleRep, block_cfg)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        out = self.block(self.conv1(x))
        if self.concat_all_layer:
            out = torch.cat((out, self.conv2(x)), dim=1)
        return self.conv3(out)
