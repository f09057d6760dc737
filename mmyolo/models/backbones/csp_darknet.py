"""CSPDarknet backbones of YOLOv5 and YOLOv8: strided convolution and cross-stage partial layer per stage, SPPF last.

YOLOX's can be imported from here too. Unlike the public release, `last_stage_out_channels` of one model does not reach
another.
"""

from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmdet.models.layers import CSPLayer
from torch import nn

from mmyolo.registry import MODELS

from ..layers import CSPLayerWithTwoConv, SPPFBottleneck
from ..utils import TorchConvInit, make_divisible, make_round
from ..utils.defaults import ACT_CFG, NORM_CFG
from .base_backbone import BaseBackbone
from .yolox_csp_darknet import YOLOXCSPDarknet

__all__ = ['CSPDarknet', 'YOLOXCSPDarknet', 'YOLOv5CSPDarknet', 'YOLOv8CSPDarknet']


class CSPDarknet(TorchConvInit, BaseBackbone):
    """What differs between families are three class attributes and the table of stages."""

    stem_kernel: int
    stem_padding: int
    csp_layer: type

    def build_stem_layer(self) -> nn.Module:
        """Return a convolution of stride 2."""
        channels = make_divisible(self.arch_setting[0][0], self.widen_factor)
        return ConvModule(
            self.input_channels,
            channels,
            self.stem_kernel,
            stride=2,
            padding=self.stem_padding,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
        )

    def build_stage_layer(self, stage_idx: int, setting: Sequence) -> list[nn.Module]:
        """Return a convolution of stride 2, a CSP layer and, in the last stage, pooling.

        Args:
            stage_idx: from 0.
            setting: input channels, output channels, blocks, whether blocks add their input, whether to pool.
        """
        in_channels, out_channels, num_blocks, add_identity, use_spp = setting
        in_channels = make_divisible(in_channels, self.widen_factor)
        out_channels = make_divisible(out_channels, self.widen_factor)
        common = {'norm_cfg': self.norm_cfg, 'act_cfg': self.act_cfg}
        stage = [
            ConvModule(in_channels, out_channels, 3, stride=2, padding=1, **common),
            self.csp_layer(
                out_channels,
                out_channels,
                num_blocks=make_round(num_blocks, self.deepen_factor),
                add_identity=add_identity,
                **common,
            ),
        ]
        if use_spp:
            stage.append(SPPFBottleneck(out_channels, out_channels, kernel_sizes=5, **common))
        return stage


@MODELS.register_module()
class YOLOv5CSPDarknet(CSPDarknet):
    """Backbone of YOLOv5.

    Args:
        arch: 'P5' for outputs up to stride 32, 'P6' for up to 64.
        plugins, deepen_factor, widen_factor, input_channels, out_indices, frozen_stages, norm_cfg, act_cfg, norm_eval,
            init_cfg: see `BaseBackbone`.
    """

    # in_channels, out_channels, num_blocks, add_identity, use_spp
    arch_settings = {
        'P5': [
            [64, 128, 3, True, False],
            [128, 256, 6, True, False],
            [256, 512, 9, True, False],
            [512, 1024, 3, True, True],
        ],
        'P6': [
            [64, 128, 3, True, False],
            [128, 256, 6, True, False],
            [256, 512, 9, True, False],
            [512, 768, 3, True, False],
            [768, 1024, 3, True, True],
        ],
    }
    stem_kernel = 6
    stem_padding = 2
    csp_layer = CSPLayer

    def __init__(
        self,
        arch: str = 'P5',
        plugins: dict | list[dict] | None = None,
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        input_channels: int = 3,
        out_indices: Sequence[int] = (2, 3, 4),
        frozen_stages: int = -1,
        norm_cfg: dict | None = NORM_CFG,
        act_cfg: dict | None = ACT_CFG,
        norm_eval: bool = False,
        init_cfg: dict | list | None = None,
    ) -> None:
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


@MODELS.register_module()
class YOLOv8CSPDarknet(CSPDarknet):
    """Backbone of YOLOv8.

    Args:
        arch: 'P5', outputs up to stride 32.
        last_stage_out_channels: unscaled channels of the last stage; smaller for the wider models.
        plugins, deepen_factor, widen_factor, input_channels, out_indices, frozen_stages, norm_cfg, act_cfg, norm_eval,
            init_cfg: see `BaseBackbone`.
    """

    # in_channels, out_channels (None: last_stage_out_channels), num_blocks, add_identity, use_spp
    arch_settings = {
        'P5': [
            [64, 128, 3, True, False],
            [128, 256, 6, True, False],
            [256, 512, 6, True, False],
            [512, None, 3, True, True],
        ]
    }
    stem_kernel = 3
    stem_padding = 1
    csp_layer = CSPLayerWithTwoConv

    def __init__(
        self,
        arch: str = 'P5',
        last_stage_out_channels: int = 1024,
        plugins: dict | list[dict] | None = None,
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        input_channels: int = 3,
        out_indices: Sequence[int] = (2, 3, 4),
        frozen_stages: int = -1,
        norm_cfg: dict | None = NORM_CFG,
        act_cfg: dict | None = ACT_CFG,
        norm_eval: bool = False,
        init_cfg: dict | list | None = None,
    ) -> None:
        arch_setting = [list(setting) for setting in self.arch_settings[arch]]
        arch_setting[-1][1] = last_stage_out_channels
        super().__init__(
            arch_setting,
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
