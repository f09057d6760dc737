"""EfficientRep and CSPBep, the backbones of YOLOv6 (2209.02976, section 2.1).

Blocks are chosen by config and have their own norm and activation; `norm_cfg` and `act_cfg` reach the layers around
them.
"""

from collections.abc import Sequence

from torch import nn

from mmyolo.registry import MODELS

from ..layers import BepC3StageBlock, RepStageBlock, SPPFBottleneck
from ..layers.csp_sppf_bottleneck import CSPSPPFBottleneck
from ..utils import TorchConvInit, make_round
from ..utils.defaults import ACT_CFG, NORM_CFG
from .base_backbone import BaseBackbone


@MODELS.register_module()
class YOLOv6EfficientRep(TorchConvInit, BaseBackbone):
    """A chain of blocks per stage; of the small sizes of YOLOv6.

    Args:
        arch: 'P5', outputs up to stride 32.
        use_cspsppf: whether pooling is a cross-stage partial layer, as in v3.
        block_cfg: config of the blocks, without channels, kernel and stride.
        plugins, deepen_factor, widen_factor, input_channels, out_indices, frozen_stages, norm_cfg, act_cfg, norm_eval,
            init_cfg: see `BaseBackbone`.
    """

    # in_channels, out_channels, num_blocks, use_spp
    arch_settings = {'P5': [[64, 128, 6, False], [128, 256, 12, False], [256, 512, 18, False], [512, 1024, 6, True]]}

    def __init__(
        self,
        arch: str = 'P5',
        plugins: dict | list[dict] | None = None,
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        input_channels: int = 3,
        out_indices: Sequence[int] = (2, 3, 4),
        frozen_stages: int = -1,
        use_cspsppf: bool = False,
        norm_cfg: dict | None = NORM_CFG,
        act_cfg: dict | None = {'type': 'ReLU', 'inplace': True},
        norm_eval: bool = False,
        block_cfg: dict = {'type': 'RepVGGBlock'},
        init_cfg: dict | list | None = None,
    ) -> None:
        self.block_cfg = block_cfg
        self.use_cspsppf = use_cspsppf
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
        """Return a block of stride 2."""
        return self._strided(self.input_channels, int(self.arch_setting[0][0] * self.widen_factor))

    def build_stage_layer(self, stage_idx: int, setting: Sequence) -> list[nn.Module]:
        """Return a block of stride 2, a chain of blocks and, in the last stage, pooling.

        Args:
            stage_idx: from 0.
            setting: input channels, output channels, blocks, whether to pool.
        """
        in_channels, out_channels, num_blocks, use_spp = setting
        in_channels, out_channels = int(in_channels * self.widen_factor), int(out_channels * self.widen_factor)
        chain = self._chain(out_channels, make_round(num_blocks, self.deepen_factor))
        stage = [nn.Sequential(self._strided(in_channels, out_channels), chain)]
        if use_spp:
            pooling = CSPSPPFBottleneck if self.use_cspsppf else SPPFBottleneck
            stage.append(
                pooling(out_channels, out_channels, kernel_sizes=5, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)
            )
        return stage

    def _strided(self, in_channels: int, out_channels: int) -> nn.Module:
        return MODELS.build(
            dict(self.block_cfg, in_channels=in_channels, out_channels=out_channels, kernel_size=3, stride=2)
        )

    def _chain(self, channels: int, num_blocks: int) -> nn.Module:
        return RepStageBlock(channels, channels, num_blocks, block_cfg=self.block_cfg)


@MODELS.register_module()
class YOLOv6CSPBep(YOLOv6EfficientRep):
    """A cross-stage partial layer over blocks per stage; of the large sizes of YOLOv6.

    As published checkpoints were trained, `use_cspsppf` has no effect here.

    Args:
        arch: 'P5', outputs up to stride 32.
        hidden_ratio: channels of the blocks are int(channels * hidden_ratio).
        use_cspsppf: accepted for the configs of v3, which set it for both backbones.
        block_cfg: config of the blocks, without channels, kernel and stride.
        plugins, deepen_factor, widen_factor, input_channels, out_indices, frozen_stages, norm_cfg, act_cfg, norm_eval,
            init_cfg: see `BaseBackbone`.
    """

    def __init__(
        self,
        arch: str = 'P5',
        plugins: dict | list[dict] | None = None,
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        input_channels: int = 3,
        hidden_ratio: float = 0.5,
        out_indices: Sequence[int] = (2, 3, 4),
        frozen_stages: int = -1,
        use_cspsppf: bool = False,
        norm_cfg: dict | None = NORM_CFG,
        act_cfg: dict | None = ACT_CFG,
        norm_eval: bool = False,
        block_cfg: dict = {'type': 'ConvWrapper'},
        init_cfg: dict | list | None = None,
    ) -> None:
        self.hidden_ratio = hidden_ratio
        super().__init__(
            arch,
            plugins,
            deepen_factor,
            widen_factor,
            input_channels,
            out_indices,
            frozen_stages,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
            norm_eval=norm_eval,
            block_cfg=block_cfg,
            init_cfg=init_cfg,
        )

    def _chain(self, channels: int, num_blocks: int) -> nn.Module:
        return BepC3StageBlock(
            channels,
            channels,
            num_blocks,
            self.hidden_ratio,
            block_cfg=self.block_cfg,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
        )
