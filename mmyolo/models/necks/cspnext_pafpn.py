"""Neck of RTMDet (arXiv 2212.07784, section 3.2): the path of YOLOX's with the blocks of the backbone.

As in public checkpoints, CSP layers have dense blocks without channel attention whatever `use_depthwise` says, and a
shallow model may have CSP layers without a block.
"""

from mmdet.models.layers import CSPLayer
from torch import nn

from mmyolo.registry import MODELS

from ..utils.defaults import CSPNEXT_ACT_CFG, CSPNEXT_INIT_CFG, CSPNEXT_NORM_CFG
from .yolox_pafpn import YOLOXPAFPN


@MODELS.register_module()
class CSPNeXtPAFPN(YOLOXPAFPN):
    """YOLOX's path with the CSP layers of CSPNeXt, and a 3x3 convolution that gives all levels the same channels.

    Args:
        in_channels, deepen_factor, widen_factor, num_csp_blocks, freeze_all, norm_cfg, act_cfg, init_cfg: see
            `YOLOv5PAFPN`.
        out_channels: unscaled channels of every output.
        use_depthwise: whether the 3x3 convolutions between CSP layers are depthwise separable.
        expand_ratio: channels within a CSP layer, as a part of its output's.
        upsample_cfg: arguments of `nn.Upsample`.
        conv_cfg: kind of convolution, None for Conv2d.
    """

    def __init__(
        self,
        in_channels: list[int],
        out_channels: int,
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        num_csp_blocks: int = 3,
        freeze_all: bool = False,
        use_depthwise: bool = False,
        expand_ratio: float = 0.5,
        upsample_cfg: dict = {'scale_factor': 2, 'mode': 'nearest'},
        conv_cfg: dict | None = None,
        norm_cfg: dict = CSPNEXT_NORM_CFG,
        act_cfg: dict = CSPNEXT_ACT_CFG,
        init_cfg: dict | list | None = CSPNEXT_INIT_CFG,
    ) -> None:
        self.expand_ratio = expand_ratio
        self.upsample_cfg = upsample_cfg
        self.conv_cfg = conv_cfg
        super().__init__(
            [int(channels * widen_factor) for channels in in_channels],
            int(out_channels * widen_factor),
            deepen_factor,
            widen_factor,
            round(num_csp_blocks * deepen_factor),
            use_depthwise,
            freeze_all,
            norm_cfg,
            act_cfg,
            init_cfg,
        )

    def build_upsample_layer(self, idx: int) -> nn.Module:
        """`nn.Upsample`."""
        return nn.Upsample(**self.upsample_cfg)

    def build_out_layer(self, idx: int) -> nn.Module:
        """Return a 3x3 convolution."""
        return self._spatial(self._in(idx), self.out_channels)

    def _scaled(self, channels: int) -> int:
        return channels  # as `in_channels` holds them

    def _stage(self, in_channels: int, out_channels: int) -> nn.Module:
        return CSPLayer(
            in_channels,
            out_channels,
            expand_ratio=self.expand_ratio,
            num_blocks=self.num_csp_blocks,
            add_identity=False,
            use_cspnext_block=True,
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
        )
