"""CSPRepResNet, the backbone of PPYOLOE (2203.16250, section 2.2).

Unlike the public release, plugins get the channels of their stage; there these are scaled by `widen_factor` twice.
"""

from collections.abc import Sequence

from mmcv.cnn import ConvModule
from torch import nn

from mmyolo.registry import MODELS

from ..layers.ppyoloe_blocks import CSPResLayer
from ..utils.defaults import ACT_CFG, PPYOLOE_NORM_CFG
from .base_backbone import BaseBackbone


@MODELS.register_module()
class PPYOLOECSPResNet(BaseBackbone):
    """A stem of stride 2 and one `CSPResLayer` of stride 2 per stage.

    Args:
        arch: 'P5', outputs up to stride 32.
        deepen_factor, widen_factor, input_channels, out_indices, frozen_stages, plugins: see `BaseBackbone`.
        arch_ovewrite: rows of input channels, output channels and blocks to take instead of those of `arch`.
        block_cfg: config of the blocks.
        norm_cfg, act_cfg: see `BaseBackbone`.
        attention_cfg: config of the attention of each stage, None for none.
        norm_eval, init_cfg: see `BaseBackbone`.
        use_large_stem: three convolutions in the stem instead of two.
    """

    # in_channels, out_channels, num_blocks
    arch_settings = {'P5': [[64, 128, 3], [128, 256, 6], [256, 512, 6], [512, 1024, 3]]}

    def __init__(
        self,
        arch: str = 'P5',
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        input_channels: int = 3,
        out_indices: Sequence[int] = (2, 3, 4),
        frozen_stages: int = -1,
        plugins: dict | list[dict] | None = None,
        arch_ovewrite: Sequence[Sequence[int]] | None = None,
        block_cfg: dict = {'type': 'PPYOLOEBasicBlock', 'shortcut': True, 'use_alpha': True},
        norm_cfg: dict = PPYOLOE_NORM_CFG,
        act_cfg: dict = ACT_CFG,
        attention_cfg: dict | None = {'type': 'EffectiveSELayer', 'act_cfg': {'type': 'HSigmoid'}},
        norm_eval: bool = False,
        init_cfg: dict | list | None = None,
        use_large_stem: bool = False,
    ) -> None:
        self.block_cfg = block_cfg
        self.attention_cfg = attention_cfg
        self.use_large_stem = use_large_stem
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
        """Convolutions of which the first has stride 2 and all but the last half of the channels."""
        channels = int(self.arch_setting[0][0] * self.widen_factor)
        widths = [self.input_channels, channels // 2, *([channels // 2] if self.use_large_stem else []), channels]
        return nn.Sequential(
            *(
                ConvModule(
                    width,
                    next_width,
                    3,
                    stride=2 if index == 0 else 1,
                    padding=1,
                    norm_cfg=self.norm_cfg,
                    act_cfg=self.act_cfg,
                )
                for index, (width, next_width) in enumerate(zip(widths, widths[1:]))
            )
        )

    def build_stage_layer(self, stage_idx: int, setting: Sequence) -> list[nn.Module]:
        """One layer.

        Args:
            stage_idx: from 0.
            setting: input channels, output channels, blocks.
        """
        in_channels, out_channels, num_blocks = setting
        return [
            CSPResLayer(
                int(in_channels * self.widen_factor),
                int(out_channels * self.widen_factor),
                round(num_blocks * self.deepen_factor),
                block_cfg=self.block_cfg,
                stride=2,
                norm_cfg=self.norm_cfg,
                act_cfg=self.act_cfg,
                attention_cfg=self.attention_cfg,
            )
        ]
