"""Neck of PPYOLOE (2203.16250, section 2.2)."""

from torch import nn

from mmyolo.registry import MODELS

from ..layers.ppyoloe_blocks import CSPResLayer
from ..utils.defaults import ACT_CFG, PPYOLOE_NORM_CFG
from .base_yolo_neck import BaseYOLONeck


@MODELS.register_module()
class PPYOLOECSPPAFPN(BaseYOLONeck):
    """`CSPResLayer`s along the path; only the coarsest level is reduced, and of it the outputs' channels are taken.

    Args:
        in_channels: unscaled channels of the inputs, finest first.
        out_channels: unscaled channels of the outputs, finest first.
        deepen_factor: scale of the number of blocks.
        widen_factor: scale of the number of channels.
        freeze_all: whether nothing here is trained.
        num_csplayer: `CSPResLayer`s in a row.
        num_blocks_per_layer: unscaled blocks of each.
        block_cfg: config of the blocks.
        norm_cfg: norm after each convolution.
        act_cfg: activation after each norm.
        drop_block_cfg: config of what follows the reduction of the coarsest level, such as mmdet.DropBlock; None for
            nothing.
        init_cfg: initialisation of mmengine.
        use_spp: whether the reduction of the coarsest level pools.
    """

    def __init__(
        self,
        in_channels: list[int] = [256, 512, 1024],
        out_channels: list[int] = [256, 512, 1024],
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        freeze_all: bool = False,
        num_csplayer: int = 1,
        num_blocks_per_layer: int = 3,
        block_cfg: dict = {'type': 'PPYOLOEBasicBlock', 'shortcut': False, 'use_alpha': False},
        norm_cfg: dict = PPYOLOE_NORM_CFG,
        act_cfg: dict = ACT_CFG,
        drop_block_cfg: dict | None = None,
        init_cfg: dict | list | None = None,
        use_spp: bool = False,
    ) -> None:
        self.num_csplayer = num_csplayer
        self.num_blocks_per_layer = round(num_blocks_per_layer * deepen_factor)
        self.block_cfg = block_cfg
        self.drop_block_cfg = drop_block_cfg
        self.use_spp = use_spp
        super().__init__(
            in_channels=[int(channels * widen_factor) for channels in in_channels],
            out_channels=[int(channels * widen_factor) for channels in out_channels],
            deepen_factor=deepen_factor,
            widen_factor=widen_factor,
            freeze_all=freeze_all,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
            init_cfg=init_cfg,
        )

    def build_reduce_layer(self, idx: int) -> nn.Module:
        """Nothing, and `CSPResLayer`s at the coarsest level."""
        if idx < len(self.in_channels) - 1:
            return nn.Identity()
        layers = self._csp_layers(self.in_channels[idx], self.out_channels[idx], use_spp=self.use_spp)
        if self.drop_block_cfg is not None:
            layers.append(MODELS.build(self.drop_block_cfg))
        return layers

    def build_upsample_layer(self, idx: int) -> nn.Module:
        """Return a 1x1 convolution that halves the channels, and the nearest neighbour."""
        channels = self.out_channels[idx]
        return nn.Sequential(self._conv(channels, channels // 2, 1), nn.Upsample(scale_factor=2, mode='nearest'))

    def build_top_down_layer(self, idx: int) -> nn.Module:
        """`CSPResLayer`s."""
        return self._csp_layers(self.in_channels[idx - 1] + self.out_channels[idx] // 2, self.out_channels[idx - 1])

    def build_downsample_layer(self, idx: int) -> nn.Module:
        """Return a 3x3 convolution of stride 2."""
        channels = self.out_channels[idx]
        return self._conv(channels, channels, 3, stride=2, padding=1)

    def build_bottom_up_layer(self, idx: int) -> nn.Module:
        """`CSPResLayer`s."""
        return self._csp_layers(self.out_channels[idx] + self.out_channels[idx + 1], self.out_channels[idx + 1])

    def build_out_layer(self, idx: int) -> nn.Module:
        """Nothing."""
        return nn.Identity()

    def _csp_layers(self, in_channels: int, out_channels: int, use_spp: bool = False) -> nn.Sequential:
        return nn.Sequential(
            *(
                CSPResLayer(
                    out_channels if index else in_channels,
                    out_channels,
                    self.num_blocks_per_layer,
                    block_cfg=self.block_cfg,
                    norm_cfg=self.norm_cfg,
                    act_cfg=self.act_cfg,
                    attention_cfg=None,
                    use_spp=use_spp,
                )
                for index in range(self.num_csplayer)
            )
        )
