"""Layers that predict, per cell, classes and the distances to the four sides of a box.

A distance is a number, or the mean of a distribution over whole strides (2006.04388). Setting `reg_max` of built layers
to 0 has them return the distributions' logits in place of distances: networks are exported so.
"""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from mmdet.models.utils import multi_apply
from mmengine.model import BaseModule, bias_init_with_prob
from torch import Tensor, nn

from ..utils.defaults import ACT_CFG, NORM_CFG


class DistanceHeadModule(BaseModule):
    """What such layers share; a family adds its towers and `forward_single`.

    Args:
        num_classes: classes of the detector.
        in_channels: channels of each level, scaled.
        num_base_priors: points per cell.
        featmap_strides: stride of each level.
        reg_max: what distances are learnt as, see the family; 0 regresses them directly.
        norm_cfg: config of the norm layers.
        act_cfg: config of the activations.
        init_cfg: initialisation, see mmengine's `BaseModule`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: Sequence[int],
        num_base_priors: int = 1,
        featmap_strides: Sequence[int] = (8, 16, 32),
        reg_max: int = 0,
        norm_cfg: dict = NORM_CFG,
        act_cfg: dict = ACT_CFG,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.num_classes = num_classes
        self.in_channels = list(in_channels)
        self.num_base_priors = num_base_priors
        self.featmap_strides = featmap_strides
        self.num_levels = len(featmap_strides)
        self.reg_max = reg_max
        if self.num_bins > 1:
            self.register_buffer('proj', torch.arange(self.num_bins, dtype=torch.float), persistent=False)
        self.norm_cfg = norm_cfg
        self.act_cfg = act_cfg
        self._init_layers()

    @property
    def num_bins(self) -> int:
        """Bins of the distribution of a distance; 1 if distances are regressed directly."""
        return self.reg_max + 1

    @abstractmethod
    def _init_layers(self) -> None:
        """Build the towers."""

    @property
    @abstractmethod
    def level_layers(self) -> tuple[Sequence[nn.Module], ...]:
        """Lists of the layers of each level, as `forward_single` takes them."""

    @abstractmethod
    def raw_single(self, x: Tensor, *layers: nn.Module) -> tuple[Tensor, Tensor]:
        """Return the maps of one level, as `forward_raw` returns them."""

    def forward_raw(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """Predict class logits (B, num_classes, H, W) and distributions (B, 4 * num_bins, H, W) per level."""
        return multi_apply(self.raw_single, x, *self.level_layers)

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """Predict maps.

        Args:
            x: feature map of each level.

        Returns:
            Per level class logits (B, num_classes, H, W) and distances left, top, right, bottom (B, 4, H, W) in
            strides; in training also logits of the distances' distributions (B, H * W, 4, num_bins).
        """
        return multi_apply(self.forward_single, x, *self.level_layers)

    def forward_single(self, x: Tensor, *layers: nn.Module) -> tuple[Tensor, ...]:
        """Return the maps of one level, as `forward` returns them.

        Args:
            x: feature map of the level.
            *layers: the level's of each list of `level_layers`.
        """
        cls_score, reg_map = self.raw_single(x, *layers)
        if self.num_bins <= 1:
            bbox_pred = reg_map
        else:
            distances = self.integrate(self.split_sides(reg_map))
            bbox_pred = distances.transpose(1, 2).unflatten(2, reg_map.shape[-2:])
        return (cls_score, bbox_pred, self.split_sides(reg_map)) if self.training else (cls_score, bbox_pred)

    @staticmethod
    def split_sides(level: Tensor) -> Tensor:
        """(B, 4 * R, H, W) -> (B, H * W, 4, R), R bins per side."""
        return level.flatten(2).transpose(1, 2).unflatten(2, (4, -1))

    def integrate(self, dist: Tensor) -> Tensor:
        """Return the mean distances of distributions.

        Args:
            dist: (..., 4, R) logits of R bins, or distances if R is 1.

        Returns:
            (..., 4) distances in strides, in single precision unless R is 1.
        """
        if dist.shape[-1] == 1:
            return dist.squeeze(-1)
        # Half precision would cost up to a pixel per stride of 32, so the product is kept from autocast.
        with torch.autocast(dist.device.type, enabled=False):
            return dist.float().softmax(-1) @ self.proj


def truncated_channels(in_channels: int | Sequence[int], widen_factor: float, num_levels: int) -> list[int]:
    """Scale the channels of every level, or of each, without rounding them to a multiple."""
    if isinstance(in_channels, int):
        in_channels = [in_channels] * num_levels
    return [int(channels * widen_factor) for channels in in_channels]


def start_evenly(cls_preds: Sequence[nn.Conv2d], reg_preds: Sequence[nn.Conv2d], prior_prob: float) -> None:
    """Set predicting convolutions to a score of `prior_prob` and to distances of 1 stride, or equally likely ones."""
    for preds, bias in ((cls_preds, bias_init_with_prob(prior_prob)), (reg_preds, 1.0)):
        for conv in preds:
            nn.init.zeros_(conv.weight)
            nn.init.constant_(conv.bias, bias)
