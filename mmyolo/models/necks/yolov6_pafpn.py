"""Necks of YOLOv6: RepPAN (2209.02976, section 2.1) and its successor with three-level joints (2301.05586)."""

from collections.abc import Sequence

from torch import Tensor, nn

from mmyolo.registry import MODELS

from ..layers import BepC3StageBlock, BiFusion, RepStageBlock
from ..utils.defaults import NORM_CFG
from .yolov5_pafpn import YOLOv5PAFPN

RELU = {'type': 'ReLU', 'inplace': True}
SILU = {'type': 'SiLU', 'inplace': True}


@MODELS.register_module()
class YOLOv6RepPAFPN(YOLOv5PAFPN):
    """YOLOv5's path with chains of blocks as stages, and learnt upsampling.

    Args:
        in_channels, deepen_factor, widen_factor, freeze_all, init_cfg: see `YOLOv5PAFPN`.
        out_channels: unscaled channels of the outputs, finest first.
        num_csp_blocks: unscaled blocks of each chain.
        norm_cfg: norm after each convolution outside the blocks.
        act_cfg: activation after each of these norms.
        block_cfg: config of the blocks.
    """

    num_extra_levels = 0  # finer inputs that are not levels of the neck

    def __init__(
        self,
        in_channels: list[int],
        out_channels: list[int],
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        num_csp_blocks: int = 12,
        freeze_all: bool = False,
        norm_cfg: dict | None = NORM_CFG,
        act_cfg: dict | None = RELU,
        block_cfg: dict = {'type': 'RepVGGBlock'},
        init_cfg: dict | list | None = None,
    ) -> None:
        self.block_cfg = block_cfg
        self.extra_in_channels = in_channels[: self.num_extra_levels]
        super().__init__(
            in_channels[self.num_extra_levels :],
            out_channels,
            deepen_factor,
            widen_factor,
            num_csp_blocks,
            freeze_all,
            norm_cfg,
            act_cfg,
            init_cfg,
        )

    def build_upsample_layer(self, idx: int) -> nn.Module:
        """Return a transposed convolution of stride 2."""
        return nn.ConvTranspose2d(self._out(idx - 1), self._out(idx - 1), 2, stride=2)

    @property
    def num_inputs(self) -> int:
        """How many feature maps the neck takes."""
        return self.num_extra_levels + len(self.in_channels)

    def _out(self, idx: int) -> int:
        return self._scaled(self.out_channels[idx])

    def _scaled(self, channels: int) -> int:
        return int(channels * self.widen_factor)

    def _stage(self, in_channels: int, out_channels: int) -> nn.Module:
        return RepStageBlock(in_channels, out_channels, self._num_blocks(), block_cfg=self.block_cfg)


class CSPChains:
    """A mixin before `YOLOv6RepPAFPN`: cross-stage partial layers instead of chains.

    Args:
        in_channels, out_channels, deepen_factor, widen_factor, num_csp_blocks, freeze_all, norm_cfg, act_cfg,
            block_cfg, init_cfg: see `YOLOv6RepPAFPN`.
        hidden_ratio: channels of the blocks are int(out_channels * hidden_ratio).
        block_act_cfg: activation of the 1x1 convolutions around the blocks.
    """

    def __init__(
        self,
        in_channels: list[int],
        out_channels: list[int],
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        hidden_ratio: float = 0.5,
        num_csp_blocks: int = 12,
        freeze_all: bool = False,
        norm_cfg: dict | None = NORM_CFG,
        act_cfg: dict | None = RELU,
        block_act_cfg: dict | None = SILU,
        block_cfg: dict = {'type': 'RepVGGBlock'},
        init_cfg: dict | list | None = None,
    ) -> None:
        self.hidden_ratio = hidden_ratio
        self.block_act_cfg = block_act_cfg
        super().__init__(
            in_channels,
            out_channels,
            deepen_factor,
            widen_factor,
            num_csp_blocks,
            freeze_all,
            norm_cfg,
            act_cfg,
            block_cfg,
            init_cfg,
        )

    def _stage(self, in_channels: int, out_channels: int) -> nn.Module:
        return BepC3StageBlock(
            in_channels,
            out_channels,
            self._num_blocks(),
            self.hidden_ratio,
            block_cfg=self.block_cfg,
            norm_cfg=self.norm_cfg,
            act_cfg=self.block_act_cfg,
        )


@MODELS.register_module()
class YOLOv6CSPRepPAFPN(CSPChains, YOLOv6RepPAFPN):
    """`YOLOv6RepPAFPN` with cross-stage partial layers, of the large sizes; for the arguments see `CSPChains`."""


@MODELS.register_module()
class YOLOv6RepBiPAFPN(YOLOv6RepPAFPN):
    """The neck of v3: towards finer levels, three levels are joined at a time.

    Args:
        in_channels: unscaled channels of the inputs, finest first: one finer level than there are outputs.
        out_channels, deepen_factor, widen_factor, num_csp_blocks, freeze_all, norm_cfg, act_cfg, block_cfg, init_cfg:
            see `YOLOv6RepPAFPN`.
    """

    num_extra_levels = 1

    def build_upsample_layer(self, idx: int) -> nn.Module:
        """Return a joint of three levels."""
        finer = self._in(idx - 2) if idx > 1 else self._scaled(self.extra_in_channels[0])
        return BiFusion(self._in(idx - 1), finer, self._out(idx - 1), norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)

    def join_upwards(
        self, upsample: nn.Module, coarse: Tensor, fine: Tensor, inputs: Sequence[Tensor], idx: int
    ) -> Tensor:
        """As in the base class; the level below the finer one joins as the backbone gave it."""
        return upsample((coarse, fine, inputs[idx - 1]))  # inputs[0] is the level below level 0

    def _joint(self, idx: int) -> int:
        return self._out(idx - 1)


@MODELS.register_module()
class YOLOv6CSPRepBiPAFPN(CSPChains, YOLOv6RepBiPAFPN):
    """`YOLOv6RepBiPAFPN` with cross-stage partial layers, of the large sizes; for the arguments see `CSPChains`."""
