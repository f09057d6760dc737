"""Neck of YOLOv7 (2207.02696).

Unlike the public release, norm and activation of one neck do not reach the default `block_cfg` of the next.
"""

from torch import nn

from mmyolo.registry import MODELS

from ..layers import MaxPoolAndStrideConvBlock, RepVGGBlock, SPPFCSPBlock
from ..utils.defaults import ACT_CFG, NORM_CFG
from .base_yolo_neck import BaseYOLONeck


@MODELS.register_module()
class YOLOv7PAFPN(BaseYOLONeck):
    """ELAN blocks along the path; three outputs have twice the channels that `out_channels` says, four have these.

    Args:
        in_channels: unscaled channels of the inputs, finest first.
        out_channels: unscaled channels along the path, finest first.
        block_cfg: config of the blocks, without channels; norm and activation are the neck's if it names none.
        deepen_factor: has no effect.
        widen_factor: scale of the number of channels.
        spp_expand_ratio: see `SPPFCSPBlock`.
        is_tiny_version: the pooling of size Tiny, and strided convolutions for down-sampling.
        use_maxpool_in_downsample: `MaxPoolAndStrideConvBlock` for down-sampling, else strided convolutions.
        use_in_channels_in_downsample: see `MaxPoolAndStrideConvBlock`.
        use_repconv_outs: a `RepVGGBlock` at each of three outputs, else a convolution.
        upsample_feats_cat_first: whether the upsampled map comes before the finer one where they are joined.
        freeze_all: whether nothing here is trained.
        norm_cfg: norm after each convolution.
        act_cfg: activation after each norm.
        init_cfg: initialisation of mmengine.
    """

    def __init__(
        self,
        in_channels: list[int],
        out_channels: list[int],
        block_cfg: dict = dict(
            type='ELANBlock', middle_ratio=0.5, block_ratio=0.25, num_blocks=4, num_convs_in_block=1
        ),
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        spp_expand_ratio: float = 0.5,
        is_tiny_version: bool = False,
        use_maxpool_in_downsample: bool = True,
        use_in_channels_in_downsample: bool = False,
        use_repconv_outs: bool = True,
        upsample_feats_cat_first: bool = False,
        freeze_all: bool = False,
        norm_cfg: dict | None = NORM_CFG,
        act_cfg: dict | None = ACT_CFG,
        init_cfg: dict | list | None = None,
    ) -> None:
        self.block_cfg = dict({'norm_cfg': norm_cfg, 'act_cfg': act_cfg}, **block_cfg)
        self.spp_expand_ratio = spp_expand_ratio
        self.is_tiny_version = is_tiny_version
        self.use_maxpool_in_downsample = use_maxpool_in_downsample
        self.use_in_channels_in_downsample = use_in_channels_in_downsample
        self.use_repconv_outs = use_repconv_outs
        super().__init__(
            [int(channels * widen_factor) for channels in in_channels],
            [int(channels * widen_factor) for channels in out_channels],
            deepen_factor,
            widen_factor,
            upsample_feats_cat_first=upsample_feats_cat_first,
            freeze_all=freeze_all,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
            init_cfg=init_cfg,
        )

    def build_reduce_layer(self, idx: int) -> nn.Module:
        """Pooling for the coarsest level, a 1x1 convolution for others."""
        if idx < len(self.in_channels) - 1:
            return self._conv(self.in_channels[idx], self.out_channels[idx], 1)
        return SPPFCSPBlock(
            self.in_channels[idx],
            self.out_channels[idx],
            expand_ratio=self.spp_expand_ratio,
            is_tiny_version=self.is_tiny_version,
            kernel_sizes=5,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
        )

    def build_upsample_layer(self, idx: int) -> nn.Module:
        """Return a 1x1 convolution to the next finer level's channels; repeats every pixel twice in both directions."""
        return nn.Sequential(
            self._conv(self.out_channels[idx], self.out_channels[idx - 1], 1),
            nn.Upsample(scale_factor=2, mode='nearest'),
        )

    def build_top_down_layer(self, idx: int) -> nn.Module:
        """Return a block."""
        return self._block(self.out_channels[idx - 1])

    def build_downsample_layer(self, idx: int) -> nn.Module:
        """Return a strided convolution, beside pooling or alone."""
        if self.is_tiny_version or not self.use_maxpool_in_downsample:
            return self._conv(self.out_channels[idx], self.out_channels[idx + 1], 3, stride=2, padding=1)
        return MaxPoolAndStrideConvBlock(
            self.out_channels[idx],
            self.out_channels[idx + 1],
            use_in_channels_of_middle=self.use_in_channels_in_downsample,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
        )

    def build_bottom_up_layer(self, idx: int) -> nn.Module:
        """Return a block."""
        return self._block(self.out_channels[idx + 1])

    def build_out_layer(self, idx: int) -> nn.Module:
        """Return a 3x3 convolution to twice the channels, nothing if there are four levels."""
        if len(self.in_channels) == 4:
            return nn.Identity()
        channels = self.out_channels[idx]
        if self.use_repconv_outs:
            return RepVGGBlock(channels, 2 * channels, 3, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)
        return self._conv(channels, 2 * channels, 3, padding=1)

    def _block(self, channels: int) -> nn.Module:
        """Return the block after a joint of two maps of these channels."""
        return MODELS.build(dict(self.block_cfg, in_channels=2 * channels, out_channels=channels))
