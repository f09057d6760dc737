"""CSPNeXt (RTMDet, arXiv 2212.07784, section 3.2): CSP layers of blocks with a 5x5 depthwise convolution.

Unlike the public release, the stem takes `input_channels` channels instead of always three.
"""

from collections.abc import Sequence

from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from mmdet.models.layers import CSPLayer
from torch import nn

from mmyolo.registry import MODELS

from ..layers import SPPFBottleneck
from ..utils.defaults import CSPNEXT_ACT_CFG, CSPNEXT_INIT_CFG, CSPNEXT_NORM_CFG
from .base_backbone import BaseBackbone


@MODELS.register_module()
class CSPNeXt(BaseBackbone):
    """Backbone of RTMDet.

    Args:
        arch: 'P5', outputs up to stride 32, or 'P6', up to 64.
        deepen_factor, widen_factor, input_channels, out_indices, frozen_stages, plugins: see `BaseBackbone`.
        use_depthwise: whether 3x3 convolutions, but those of the stem, are depthwise separable.
        expand_ratio: channels within a CSP layer, as a part of those of its stage.
        arch_ovewrite: a table in place of that of `arch`; public configs spell it so.
        channel_attention: whether CSP layers weigh their channels.
        conv_cfg: kind of convolution, None for Conv2d; the stem has Conv2d always.
        norm_cfg, act_cfg, norm_eval, init_cfg: see `BaseBackbone`.
    """

    # in_channels, out_channels, num_blocks, add_identity, use_spp
    arch_settings = {
        'P5': [
            [64, 128, 3, True, False],
            [128, 256, 6, True, False],
            [256, 512, 6, True, False],
            [512, 1024, 3, False, True],
        ],
        'P6': [
            [64, 128, 3, True, False],
            [128, 256, 6, True, False],
            [256, 512, 6, True, False],
            [512, 768, 3, True, False],
            [768, 1024, 3, False, True],
        ],
    }

    def __init__(
        self,
        arch: str = 'P5',
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        input_channels: int = 3,
        out_indices: Sequence[int] = (2, 3, 4),
        frozen_stages: int = -1,
        plugins: dict | list[dict] | None = None,
        use_depthwise: bool = False,
        expand_ratio: float = 0.5,
        arch_ovewrite: Sequence[Sequence] | None = None,
        channel_attention: bool = True,
        conv_cfg: dict | None = None,
        norm_cfg: dict = CSPNEXT_NORM_CFG,
        act_cfg: dict = CSPNEXT_ACT_CFG,
        norm_eval: bool = False,
        init_cfg: dict | list | None = CSPNEXT_INIT_CFG,
    ) -> None:
        self.conv = DepthwiseSeparableConvModule if use_depthwise else ConvModule
        self.use_depthwise = use_depthwise
        self.expand_ratio = expand_ratio
        self.channel_attention = channel_attention
        self.conv_cfg = conv_cfg
        super().__init__(
            arch_ovewrite or self.arch_settings[arch],
            deepen_factor,
            widen_factor,
            input_channels,
            out_indices,
            frozen_stages,
            plugins,
            norm_cfg,
            act_cfg,
            norm_eval,
            init_cfg,
        )

    def build_stem_layer(self) -> nn.Module:
        """Three 3x3 convolutions, the first of stride 2."""
        channels = self.arch_setting[0][0] * self.widen_factor
        half, full = int(channels // 2), int(channels)
        cfg = {'padding': 1, 'norm_cfg': self.norm_cfg, 'act_cfg': self.act_cfg}
        return nn.Sequential(
            ConvModule(self.input_channels, half, 3, stride=2, **cfg),
            ConvModule(half, half, 3, **cfg),
            ConvModule(half, full, 3, **cfg),
        )

    def build_stage_layer(self, stage_idx: int, setting: Sequence) -> list[nn.Module]:
        """Return a convolution of stride 2, pooling in the last stage, and a CSP layer.

        Args:
            stage_idx: from 0.
            setting: input channels, output channels, blocks, whether blocks add their input, whether to pool.
        """
        in_channels, out_channels, num_blocks, add_identity, use_spp = setting
        in_channels, out_channels = int(in_channels * self.widen_factor), int(out_channels * self.widen_factor)
        cfg = {'conv_cfg': self.conv_cfg, 'norm_cfg': self.norm_cfg, 'act_cfg': self.act_cfg}
        stage = [self.conv(in_channels, out_channels, 3, stride=2, padding=1, **cfg)]
        if use_spp:
            stage.append(SPPFBottleneck(out_channels, out_channels, kernel_sizes=5, **cfg))
        stage.append(
            CSPLayer(
                out_channels,
                out_channels,
                expand_ratio=self.expand_ratio,
                num_blocks=max(round(num_blocks * self.deepen_factor), 1),
                add_identity=add_identity,
                use_depthwise=self.use_depthwise,
                use_cspnext_block=True,
                channel_attention=self.channel_attention,
                **cfg,
            )
        )
        return stage
