"""The path that all YOLO necks take: from coarse to fine, then back (PAFPN, arXiv 1803.01534).

Unlike the public release, a frozen neck needs no gradient from construction on, and `train()` returns the module.

    reduce_layers      L modules, finest level first
    upsample_layers    L - 1 modules, coarsest level first; likewise top_down_layers
    downsample_layers  L - 1 modules, finest level first; likewise bottom_up_layers
    out_layers         L modules, finest level first
"""

from abc import ABCMeta, abstractmethod
from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmyolo.errors import ArgumentValueError
from mmyolo.registry import MODELS

from ..utils import is_original


@MODELS.register_module()
class BaseYOLONeck(BaseModule, metaclass=ABCMeta):
    """Runs the layers that a subclass builds per level; `idx` 0 is the finest of L levels.

    Args:
        in_channels: channels of the inputs, finest first.
        out_channels: channels of the outputs, finest first, or one number for all.
        deepen_factor: scale of the number of blocks.
        widen_factor: scale of the number of channels.
        upsample_feats_cat_first: whether the upsampled map comes before the finer one where they are joined.
        freeze_all: whether nothing here is trained.
        norm_cfg: norm after each convolution.
        act_cfg: activation after each norm.
        init_cfg: initialisation of mmengine.
    """

    def __init__(
        self,
        in_channels: list[int],
        out_channels: int | list[int],
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        upsample_feats_cat_first: bool = True,
        freeze_all: bool = False,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        init_cfg: dict | list | None = None,
        **kwargs,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.deepen_factor = deepen_factor
        self.widen_factor = widen_factor
        self.upsample_feats_cat_first = upsample_feats_cat_first
        self.freeze_all = freeze_all
        self.norm_cfg = norm_cfg
        self.act_cfg = act_cfg

        levels = range(len(in_channels))
        downwards = list(reversed(levels[1:]))
        self.reduce_layers = nn.ModuleList(self.build_reduce_layer(idx) for idx in levels)
        self.upsample_layers = nn.ModuleList()
        self.top_down_layers = nn.ModuleList()
        for idx in downwards:
            self.upsample_layers.append(self.build_upsample_layer(idx))
            self.top_down_layers.append(self.build_top_down_layer(idx))
        self.downsample_layers = nn.ModuleList()
        self.bottom_up_layers = nn.ModuleList()
        for idx in levels[:-1]:
            self.downsample_layers.append(self.build_downsample_layer(idx))
            self.bottom_up_layers.append(self.build_bottom_up_layer(idx))
        self.out_layers = nn.ModuleList(self.build_out_layer(idx) for idx in levels)
        if is_original(self, '_freeze_all'):  # another one may need what its class sets up after this
            self._freeze_all()

    @abstractmethod
    def build_reduce_layer(self, idx: int) -> nn.Module:
        """Build what input `idx` passes first."""

    @abstractmethod
    def build_upsample_layer(self, idx: int) -> nn.Module:
        """Build what brings level `idx` to the size of level `idx` - 1."""

    @abstractmethod
    def build_top_down_layer(self, idx: int) -> nn.Module:
        """Build what follows the join of upsampled level `idx` and level `idx` - 1."""

    @abstractmethod
    def build_downsample_layer(self, idx: int) -> nn.Module:
        """Build what brings level `idx` to the size of level `idx` + 1."""

    @abstractmethod
    def build_bottom_up_layer(self, idx: int) -> nn.Module:
        """Build what follows the join of downsampled level `idx` and level `idx` + 1."""

    @abstractmethod
    def build_out_layer(self, idx: int) -> nn.Module:
        """Build what output `idx` passes last."""

    def _conv(self, in_channels: int, out_channels: int, kernel_size: int, **kwargs) -> nn.Module:
        return ConvModule(
            in_channels, out_channels, kernel_size, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg, **kwargs
        )

    def _freeze_all(self) -> None:
        if self.freeze_all:
            for module in self.children():
                module.eval()
            self.requires_grad_(False)

    def train(self, mode: bool = True) -> 'BaseYOLONeck':
        """Set training or evaluation; a frozen neck stays in evaluation."""
        super().train(mode)
        self._freeze_all()
        return self

    @property
    def num_inputs(self) -> int:
        """How many feature maps the neck takes."""
        return len(self.in_channels)

    def join_upwards(
        self, upsample: nn.Module, coarse: Tensor, fine: Tensor, inputs: Sequence[Tensor], idx: int
    ) -> Tensor:
        """Join level `idx` with the next finer one.

        Args:
            upsample: layer of the coarser level.
            coarse: map of level `idx`.
            fine: reduced map of level `idx` - 1.
            inputs: what the neck got.
            idx: the coarser level.

        Returns:
            What the top-down layer gets, of the finer level's size.
        """
        pair = [upsample(coarse), fine]
        return torch.cat(pair if self.upsample_feats_cat_first else pair[::-1], dim=1)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Fuse maps of L levels, finest first (B, in_channels[idx], H / 2^idx, W / 2^idx) -> L maps of these sizes."""
        if len(inputs) != self.num_inputs:
            raise ArgumentValueError(f'the neck takes {self.num_inputs} feature maps (in_channels), got {len(inputs)}')
        levels = len(self.in_channels)
        reduced = [layer(x) for layer, x in zip(self.reduce_layers, inputs[self.num_inputs - levels :])]

        inner = [reduced[-1]]
        for upsample, top_down, idx in zip(self.upsample_layers, self.top_down_layers, range(levels - 1, 0, -1)):
            inner.insert(0, top_down(self.join_upwards(upsample, inner[0], reduced[idx - 1], inputs, idx)))

        outs = [inner[0]]
        for downsample, bottom_up, coarse in zip(self.downsample_layers, self.bottom_up_layers, inner[1:]):
            outs.append(bottom_up(torch.cat([downsample(outs[-1]), coarse], dim=1)))

        return tuple(layer(out) for layer, out in zip(self.out_layers, outs))
