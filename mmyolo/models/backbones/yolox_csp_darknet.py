"""CSPDarknet backbone of YOLOX (arXiv 2107.08430, section 2): a focus stem, and pooling before the last CSP layer.

Two things differ from the paper's nano model and are kept, because public checkpoints have this layout: depthwise
convolutions replace those between the stages only, and the blocks within CSP layers stay dense.
"""

from collections.abc import Sequence

from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from mmdet.models.backbones.csp_darknet import Focus, SPPBottleneck
from mmdet.models.layers import CSPLayer
from torch import nn

from mmyolo.registry import MODELS

from ..utils import make_divisible, make_round
from ..utils.defaults import ACT_CFG, NORM_CFG
from .base_backbone import BaseBackbone


@MODELS.register_module()
class YOLOXCSPDarknet(BaseBackbone):
    """Backbone of YOLOX.

    Args:
        arch: 'P5', outputs up to stride 32.
        plugins, deepen_factor, widen_factor, input_channels, out_indices, frozen_stages: see `BaseBackbone`.
        use_depthwise: whether the convolutions of stride 2 are depthwise separable.
        spp_kernal_sizes: kernels of the pooling; public configs spell it so.
        norm_cfg, act_cfg, norm_eval, init_cfg: see `BaseBackbone`.
    """

    # in_channels, out_channels, num_blocks, add_identity, use_spp
    arch_settings = {
        'P5': [
            [64, 128, 3, True, False],
            [128, 256, 9, True, False],
            [256, 512, 9, True, False],
            [512, 1024, 3, False, True],
        ]
    }

    def __init__(
        self,
        arch: str = 'P5',
        plugins: dict | list[dict] | None = None,
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        input_channels: int = 3,
        out_indices: Sequence[int] = (2, 3, 4),
        frozen_stages: int = -1,
        use_depthwise: bool = False,
        spp_kernal_sizes: tuple[int, ...] = (5, 9, 13),
        norm_cfg: dict | None = NORM_CFG,
        act_cfg: dict | None = ACT_CFG,
        norm_eval: bool = False,
        init_cfg: dict | list | None = None,
    ) -> None:
        self.use_depthwise = use_depthwise
        self.spp_kernal_sizes = spp_kernal_sizes
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
        """Four pixels become one of four times the channels, then a convolution."""
        channels = make_divisible(self.arch_setting[0][0], self.widen_factor)
        return Focus(self.input_channels, channels, kernel_size=3, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)

    def build_stage_layer(self, stage_idx: int, setting: Sequence) -> list[nn.Module]:
        """Return a convolution of stride 2, pooling in the last stage, and a CSP layer.

        Args:
            stage_idx: from 0.
            setting: input channels, output channels, blocks, whether blocks add their input, whether to pool.
        """
        in_channels, out_channels, num_blocks, add_identity, use_spp = setting
        in_channels = make_divisible(in_channels, self.widen_factor)
        out_channels = make_divisible(out_channels, self.widen_factor)
        common = {'norm_cfg': self.norm_cfg, 'act_cfg': self.act_cfg}
        conv = DepthwiseSeparableConvModule if self.use_depthwise else ConvModule
        stage = [conv(in_channels, out_channels, 3, stride=2, padding=1, **common)]
        if use_spp:
            stage.append(SPPBottleneck(out_channels, out_channels, kernel_sizes=self.spp_kernal_sizes, **common))
        stage.append(
            CSPLayer(
                out_channels,
                out_channels,
                num_blocks=make_round(num_blocks, self.deepen_factor),
                add_identity=add_identity,
                **common,
            )
        )
        return stage
