"""The backbone of YOLOv7 (2207.02696) in all its sizes: a table says what stem, down-sampling and block each has.

Unlike the public release, stems take `input_channels`.
"""

from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmdet.models.backbones.csp_darknet import Focus
from torch import nn

from mmyolo.registry import MODELS

from ..layers import MaxPoolAndStrideConvBlock
from ..utils.defaults import ACT_CFG, NORM_CFG
from .base_backbone import BaseBackbone


def _elan(ratio: float, num_blocks: int = 2, **kwargs) -> dict:
    return dict(
        type='ELANBlock', middle_ratio=ratio, block_ratio=ratio, num_blocks=num_blocks, num_convs_in_block=2, **kwargs
    )


def _tiny(ratio: float) -> dict:
    return {'type': 'TinyDownSampleBlock', 'middle_ratio': ratio}


def _stages(channels: Sequence[int], block: dict) -> list[list]:
    return [[*pair, block] for pair in zip(channels, channels[1:])]


@MODELS.register_module()
class YOLOv7Backbone(BaseBackbone):
    """Backbone of YOLOv7.

    Args:
        arch: 'Tiny', 'L' or 'X' for outputs up to stride 32; 'W', 'E', 'D' or 'E2E' for up to 64.
        deepen_factor: has no effect.
        plugins, widen_factor, input_channels, out_indices, frozen_stages, norm_cfg, act_cfg, norm_eval, init_cfg: see
            `BaseBackbone`.
    """

    # Per stage: in_channels, out_channels, block.
    arch_settings = {
        'Tiny': [[64, 64, _tiny(0.5)], *_stages([64, 128, 256, 512], _tiny(1.0))],
        'L': [*_stages([64, 256, 512, 1024], _elan(0.5)), [1024, 1024, _elan(0.25)]],
        'X': [*_stages([80, 320, 640, 1280], _elan(0.4, 3)), [1280, 1280, _elan(0.2, 3)]],
        'W': _stages([64, 128, 256, 512, 768, 1024], _elan(0.5)),
        'E': _stages([80, 160, 320, 640, 960, 1280], _elan(0.4, 3)),
        'D': _stages([96, 192, 384, 768, 1152, 1536], _elan(1 / 3, 4)),
        'E2E': _stages([80, 160, 320, 640, 960, 1280], dict(_elan(0.4, 3), type='EELANBlock', num_elan_block=2)),
    }

    def __init__(
        self,
        arch: str = 'L',
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        input_channels: int = 3,
        out_indices: Sequence[int] = (2, 3, 4),
        frozen_stages: int = -1,
        plugins: dict | list[dict] | None = None,
        norm_cfg: dict | None = NORM_CFG,
        act_cfg: dict | None = ACT_CFG,
        norm_eval: bool = False,
        init_cfg: dict | list | None = None,
    ) -> None:
        self.arch = arch
        super().__init__(
            self.arch_settings[arch],
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
        """Down to stride 2, in size Tiny to stride 4."""
        channels = int(self.arch_setting[0][0] * self.widen_factor)
        if self.arch == 'Tiny':
            return nn.Sequential(
                self._conv(self.input_channels, channels // 2, stride=2), self._conv(channels // 2, channels, stride=2)
            )
        if self.arch in ('L', 'X'):
            return nn.Sequential(
                self._conv(self.input_channels, channels // 2),
                self._conv(channels // 2, channels, stride=2),
                self._conv(channels, channels),
            )
        return Focus(self.input_channels, channels, kernel_size=3, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)

    def build_stage_layer(self, stage_idx: int, setting: Sequence) -> list[nn.Module]:
        """Down-sampling, but for the first stage of size Tiny, and a block.

        Args:
            stage_idx: from 0.
            setting: input channels, output channels, config of the block.
        """
        in_channels, out_channels, block = setting
        in_channels, out_channels = int(in_channels * self.widen_factor), int(out_channels * self.widen_factor)
        common = {'norm_cfg': self.norm_cfg, 'act_cfg': self.act_cfg}
        if self.arch == 'Tiny':
            block_in, stage = in_channels, [nn.MaxPool2d(2, 2)] if stage_idx > 0 else []
        elif self.arch in ('L', 'X') and stage_idx > 0:
            block_in, stage = in_channels, [MaxPoolAndStrideConvBlock(in_channels, in_channels, **common)]
        elif self.arch in ('L', 'X', 'W'):
            block_in = out_channels if self.arch == 'W' else out_channels // 2
            stage = [self._conv(in_channels, block_in, stride=2)]
        else:
            block_in = out_channels
            stage = [MaxPoolAndStrideConvBlock(in_channels, block_in, use_in_channels_of_middle=True, **common)]
        stage.append(MODELS.build(dict(block, in_channels=block_in, out_channels=out_channels, **common)))
        return stage

    def _conv(self, in_channels: int, out_channels: int, stride: int = 1) -> nn.Module:
        return ConvModule(in_channels, out_channels, 3, stride, padding=1, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)
