"""Blocks of PPYOLOE (2203.16250, section 2.2): re-parameterised residual blocks, attention by channel."""

import warnings

import torch
from mmcv.cnn import ConvModule, build_activation_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmyolo.registry import MODELS

from ..utils.defaults import ACT_CFG, PPYOLOE_NORM_CFG
from .rep_vgg_block import RepVGGBlock
from .sppf_bottleneck import SPPFBottleneck


@MODELS.register_module()
class EffectiveSELayer(nn.Module):
    """Weighs channels by a linear function of their means (effective squeeze-excitation, 1911.06667).

    Args:
        channels: channels of the input.
        act_cfg: activation of the weights.
    """

    def __init__(self, channels: int, act_cfg: dict = {'type': 'HSigmoid'}) -> None:
        super().__init__()
        self.fc = ConvModule(channels, channels, 1, act_cfg=None)
        with warnings.catch_warnings():  # of a default that mmcv changed long ago
            warnings.filterwarnings('ignore', message='In MMCV v1.4.4')
            self.activate = build_activation_layer(act_cfg)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, channels, H, W)."""
        return x * self.activate(self.fc(x.mean((2, 3), keepdim=True)))


class PPYOLOESELayer(nn.Module):
    """Weighs channels by given means and mixes them: the stem of each branch of the head (ESE of section 2.2).

    Args:
        feat_channels: channels of the input.
        norm_cfg: norm after the convolution.
        act_cfg: activation after the norm.
    """

    def __init__(self, feat_channels: int, norm_cfg: dict = PPYOLOE_NORM_CFG, act_cfg: dict = ACT_CFG) -> None:
        super().__init__()
        self.fc = nn.Conv2d(feat_channels, feat_channels, 1)
        self.sig = nn.Sigmoid()
        self.conv = ConvModule(feat_channels, feat_channels, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        nn.init.normal_(self.fc.weight, std=0.001)
        nn.init.zeros_(self.fc.bias)

    def forward(self, feat: Tensor, avg_feat: Tensor) -> Tensor:
        """Weigh and mix.

        Args:
            feat: (B, C, H, W).
            avg_feat: (B, C, 1, 1) means that the weights are computed of.

        Returns:
            (B, C, H, W).
        """
        return self.conv(feat * self.sig(self.fc(avg_feat)))


@MODELS.register_module()
class PPYOLOEBasicBlock(nn.Module):
    """A convolution and a re-parameterised one, plus the input.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        norm_cfg: norm after each convolution.
        act_cfg: activation after each norm.
        shortcut: whether the input is added; the shapes must agree then.
        use_alpha: whether the 1x1 branch has a learned weight.

    Raises:
        ValueError: if the input cannot be added.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm_cfg: dict = PPYOLOE_NORM_CFG,
        act_cfg: dict = ACT_CFG,
        shortcut: bool = True,
        use_alpha: bool = False,
    ) -> None:
        super().__init__()
        if shortcut and in_channels != out_channels:
            raise ValueError(
                f'PPYOLOEBasicBlock cannot add its input of {in_channels} channels to {out_channels}: '
                'set shortcut=False or make them equal'
            )
        self.conv1 = ConvModule(in_channels, out_channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.conv2 = RepVGGBlock(
            out_channels, out_channels, norm_cfg=norm_cfg, act_cfg=act_cfg, use_alpha=use_alpha, use_bn_first=False
        )
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        y = self.conv2(self.conv1(x))
        return x + y if self.shortcut else y


class CSPResLayer(BaseModule):
    """Half of the channels passes a chain of blocks, the other half goes beside it (CSPRepResStage).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        num_block: blocks of the chain.
        block_cfg: config of the blocks.
        stride: 2 to halve the resolution first, else 1.
        norm_cfg: norm after each convolution.
        act_cfg: activation after each norm.
        attention_cfg: config of the attention over the joined halves, None for none.
        use_spp: whether spatial pyramid pooling follows the middle block.
        init_cfg: initialisation of mmengine.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_block: int,
        block_cfg: dict = {'type': 'PPYOLOEBasicBlock', 'shortcut': True, 'use_alpha': True},
        stride: int = 1,
        norm_cfg: dict = PPYOLOE_NORM_CFG,
        act_cfg: dict = ACT_CFG,
        attention_cfg: dict | None = {'type': 'EffectiveSELayer', 'act_cfg': {'type': 'HSigmoid'}},
        use_spp: bool = False,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        common = {'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        # What the last convolution takes: with a stride the mean of both sides' channels, else the output's.
        joined_channels = (in_channels + out_channels) // 2 if stride == 2 else out_channels
        half = joined_channels // 2
        self.conv_down = None
        if stride == 2:
            self.conv_down = ConvModule(in_channels, joined_channels, 3, stride=2, padding=1, **common)
            in_channels = joined_channels
        self.conv1 = ConvModule(in_channels, half, 1, **common)
        self.conv2 = ConvModule(in_channels, half, 1, **common)
        self.blocks = nn.Sequential()
        for index in range(num_block):
            self.blocks.add_module(
                str(index), MODELS.build(dict(block_cfg, in_channels=half, out_channels=half, **common))
            )
            if use_spp and index == (num_block - 1) // 2:
                self.blocks.add_module(
                    'spp', SPPFBottleneck(half, half, kernel_sizes=[5, 9, 13], use_conv_first=False, **common)
                )
        self.conv3 = ConvModule(joined_channels, out_channels, 1, **common)
        self.attn = None
        if attention_cfg is not None:
            self.attn = MODELS.build(dict(attention_cfg, channels=2 * half))

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride)."""
        if self.conv_down is not None:
            x = self.conv_down(x)
        x = torch.cat([self.conv1(x), self.blocks(self.conv2(x))], dim=1)
        if self.attn is not None:
            x = self.attn(x)
        return self.conv3(x)
