"""Neck of YOLOv5; those of YOLOv6, YOLOv8, YOLOX and RTMDet take its path with stages and channels of their own."""

from mmdet.models.layers import CSPLayer
from torch import nn

from mmyolo.registry import MODELS

from ..utils import TorchConvInit, make_divisible, make_round
from ..utils.defaults import ACT_CFG, NORM_CFG
from .base_yolo_neck import BaseYOLONeck


@MODELS.register_module()
class YOLOv5PAFPN(TorchConvInit, BaseYOLONeck):
    """CSP layers as stages; the outputs have the channels of the inputs.

    Args:
        in_channels: unscaled channels of the inputs, finest first.
        out_channels: unscaled channels of the outputs; read by YOLOv8's neck only.
        deepen_factor: scale of the number of blocks.
        widen_factor: scale of the number of channels.
        num_csp_blocks: unscaled blocks of each CSP layer.
        freeze_all: whether nothing here is trained.
        norm_cfg: norm after each convolution.
        act_cfg: activation after each norm.
        init_cfg: initialisation of mmengine.
    """

    csp_layer = CSPLayer

    def __init__(
        self,
        in_channels: list[int],
        out_channels: int | list[int],
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        num_csp_blocks: int = 1,
        freeze_all: bool = False,
        norm_cfg: dict | None = NORM_CFG,
        act_cfg: dict | None = ACT_CFG,
        init_cfg: dict | list | None = None,
    ) -> None:
        self.num_csp_blocks = num_csp_blocks
        super().__init__(
            in_channels,
            out_channels,
            deepen_factor,
            widen_factor,
            freeze_all=freeze_all,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
            init_cfg=init_cfg,
        )

    def build_reduce_layer(self, idx: int) -> nn.Module:
        """Return a 1x1 convolution to the next finer level's channels for the coarsest level, nothing for others."""
        if idx < len(self.in_channels) - 1:
            return nn.Identity()
        return self._conv(self._in(idx), self._out(idx - 1), 1)

    def build_upsample_layer(self, idx: int) -> nn.Module:
        """Repeat every pixel twice in both directions."""
        return nn.Upsample(scale_factor=2, mode='nearest')

    def build_top_down_layer(self, idx: int) -> nn.Module:
        """Return a stage and, but for the finest level, a 1x1 convolution to the next finer level's channels."""
        channels = self._out(idx - 1)
        stage = self._stage(self._joint(idx), channels)
        return stage if idx == 1 else nn.Sequential(stage, self._conv(channels, self._out(idx - 2), 1))

    def build_downsample_layer(self, idx: int) -> nn.Module:
        """Return a 3x3 convolution of stride 2."""
        return self._conv(self._out(idx), self._out(idx), 3, stride=2, padding=1)

    def build_bottom_up_layer(self, idx: int) -> nn.Module:
        """Return a stage."""
        return self._stage(2 * self._out(idx), self._out(idx + 1))

    def build_out_layer(self, idx: int) -> nn.Module:
        """Nothing."""
        return nn.Identity()

    def _in(self, idx: int) -> int:
        """Scaled channels of an input."""
        return self._scaled(self.in_channels[idx])

    def _out(self, idx: int) -> int:
        """Scaled channels of a level of the path."""
        return self._in(idx)

    def _joint(self, idx: int) -> int:
        """Channels where level `idx` is joined with the next finer one."""
        return self._out(idx - 1) + self._in(idx - 1)

    def _scaled(self, channels: int) -> int:
        return make_divisible(channels, self.widen_factor)

    def _num_blocks(self) -> int:
        return make_round(self.num_csp_blocks, self.deepen_factor)

    def _stage(self, in_channels: int, out_channels: int) -> nn.Module:
        """Return what follows a joint."""
        return self.csp_layer(
            in_channels,
            out_channels,
            num_blocks=self._num_blocks(),
            add_identity=False,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
        )
