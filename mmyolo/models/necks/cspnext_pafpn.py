"""Neck of RTMDet (arXiv 2212.07784, section 3.2): the path of all necks with the blocks of the backbone.

As in public checkpoints, CSP layers have dense blocks without channel attention whatever `use_depthwise` says, and a
shallow model may have CSP layers without a block.
"""
from typing import List, Optional, Union

from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from mmdet.models.layers import CSPLayer
from torch import nn

from mmyolo.registry import MODELS

from ..utils.defaults import CSPNEXT_ACT_CFG, CSPNEXT_INIT_CFG, CSPNEXT_NORM_CFG
from .base_yolo_neck import BaseYOLONeck


@MODELS.register_module()
class CSPNeXtPAFPN(BaseYOLONeck):
    """Mixes feature maps and gives all levels the same channels.

    Args:
        in_channels: unscaled channels of the inputs, finest first.
        out_channels: unscaled channels of every output.
        deepen_factor: scale of the number of blocks.
        widen_factor: scale of the number of channels.
        num_csp_blocks: unscaled blocks of each CSP layer.
        freeze_all: whether nothing here is trained.
        use_depthwise: whether the 3x3 convolutions between CSP layers are depthwise separable.
        expand_ratio: channels within a CSP layer, as a part of its output's.
        upsample_cfg: arguments of `nn.Upsample`.
        conv_cfg: kind of convolution, None for Conv2d.
        norm_cfg: norm after each convolution.
        act_cfg: activation after each norm.
        init_cfg: initialisation of mmengine.
    """

    def __init__(self,
                 in_channels: List[int],
                 out_channels: int,
                 deepen_factor: float = 1.0,
                 widen_factor: float = 1.0,
                 num_csp_blocks: int = 3,
                 freeze_all: bool = False,
                 use_depthwise: bool = False,
                 expand_ratio: float = 0.5,
                 upsample_cfg: dict = dict(scale_factor=2, mode='nearest'),
                 conv_cfg: Optional[dict] = None,
                 norm_cfg: dict = CSPNEXT_NORM_CFG,
                 act_cfg: dict = CSPNEXT_ACT_CFG,
                 init_cfg: Union[dict, list, None] = CSPNEXT_INIT_CFG) -> None:
        self.conv = DepthwiseSeparableConvModule if use_depthwise else ConvModule
        self.num_csp_blocks = round(num_csp_blocks * deepen_factor)
        self.expand_ratio = expand_ratio
        self.upsample_cfg = upsample_cfg
        self.conv_cfg = conv_cfg
        super().__init__(
            in_channels=[int(channels * widen_factor) for channels in in_channels],
            out_channels=int(out_channels * widen_factor),
            deepen_factor=deepen_factor,
            widen_factor=widen_factor,
            freeze_all=freeze_all,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
            init_cfg=init_cfg)

    def build_reduce_layer(self, idx: int) -> nn.Module:
        """A 1x1 convolution for the coarsest level, nothing for the others."""
        if idx < len(self.in_channels) - 1:
            return nn.Identity()
        return self._conv(self.in_channels[idx], self.in_channels[idx - 1], 1)

    def build_upsample_layer(self, idx: int) -> nn.Module:
        """`nn.Upsample`."""
        return nn.Upsample(**self.upsample_cfg)

    def build_top_down_layer(self, idx: int) -> nn.Module:
        """A CSP layer; but for the finest level, then a 1x1 convolution to the channels of the next."""
        channels = self.in_channels[idx - 1]
        layer = self._csp_layer(2 * channels, channels)
        if idx == 1:
            return layer
        return nn.Sequential(layer, self._conv(channels, self.in_channels[idx - 2], 1))

    def build_downsample_layer(self, idx: int) -> nn.Module:
        """A 3x3 convolution of stride 2."""
        return self._spatial(self.in_channels[idx], self.in_channels[idx], stride=2)

    def build_bottom_up_layer(self, idx: int) -> nn.Module:
        """A CSP layer."""
        return self._csp_layer(2 * self.in_channels[idx], self.in_channels[idx + 1])

    def build_out_layer(self, idx: int) -> nn.Module:
        """A 3x3 convolution."""
        return self._spatial(self.in_channels[idx], self.out_channels)

    def _spatial(self, in_channels: int, out_channels: int, stride: int = 1) -> nn.Module:
        return self.conv(
            in_channels, out_channels, 3, stride=stride, padding=1, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)

    def _csp_layer(self, in_channels: int, out_channels: int) -> nn.Module:
        return CSPLayer(
            in_channels,
            out_channels,
            expand_ratio=self.expand_ratio,
            num_blocks=self.num_csp_blocks,
            add_identity=False,
            use_cspnext_block=True,
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg)
