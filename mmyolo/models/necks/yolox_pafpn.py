"""Neck of YOLOX."""

from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from mmengine.model import BaseModule
from torch import nn

from mmyolo.registry import MODELS

from ..utils.defaults import ACT_CFG, NORM_CFG
from .yolov5_pafpn import YOLOv5PAFPN


@MODELS.register_module()
class YOLOXPAFPN(YOLOv5PAFPN):
    """YOLOv5's path, then a 1x1 convolution that gives all levels the same channels.

    Channels are scaled without rounding to a multiple of 8, and a shallow model may have CSP layers without a block.

    Args:
        in_channels, deepen_factor, widen_factor, num_csp_blocks, freeze_all, norm_cfg, act_cfg, init_cfg: see
            `YOLOv5PAFPN`.
        out_channels: unscaled channels of every output.
        use_depthwise: whether the convolutions of stride 2 are depthwise separable.
    """

    def __init__(
        self,
        in_channels: list[int],
        out_channels: int,
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        num_csp_blocks: int = 3,
        use_depthwise: bool = False,
        freeze_all: bool = False,
        norm_cfg: dict | None = NORM_CFG,
        act_cfg: dict | None = ACT_CFG,
        init_cfg: dict | list | None = None,
    ) -> None:
        self.use_depthwise = use_depthwise
        self.conv = DepthwiseSeparableConvModule if use_depthwise else ConvModule
        super().__init__(
            in_channels,
            out_channels,
            deepen_factor,
            widen_factor,
            num_csp_blocks,
            freeze_all,
            norm_cfg,
            act_cfg,
            init_cfg,
        )

    def init_weights(self) -> None:
        """As mmengine does: the configs initialise the whole detector by its `init_cfg`."""
        BaseModule.init_weights(self)

    def build_downsample_layer(self, idx: int) -> nn.Module:
        """Return a 3x3 convolution of stride 2."""
        return self._spatial(self._in(idx), self._in(idx), stride=2)

    def build_out_layer(self, idx: int) -> nn.Module:
        """Return a 1x1 convolution."""
        return self._conv(self._in(idx), self._scaled(self.out_channels), 1)

    def _spatial(self, in_channels: int, out_channels: int, stride: int = 1) -> nn.Module:
        return self.conv(in_channels, out_channels, 3, stride, padding=1, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)

    def _scaled(self, channels: int) -> int:
        return int(channels * self.widen_factor)

    def _num_blocks(self) -> int:
        return round(self.num_csp_blocks * self.deepen_factor)
