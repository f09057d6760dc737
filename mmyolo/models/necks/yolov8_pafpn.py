"""Neck of YOLOv8."""

from torch import nn

from mmyolo.registry import MODELS

from ..layers import CSPLayerWithTwoConv
from ..utils.defaults import ACT_CFG, NORM_CFG
from .yolov5_pafpn import YOLOv5PAFPN


@MODELS.register_module()
class YOLOv8PAFPN(YOLOv5PAFPN):
    """YOLOv5's path without its 1x1 convolutions, with the CSP layer of YOLOv8.

    Args:
        in_channels, deepen_factor, widen_factor, num_csp_blocks, freeze_all, norm_cfg, act_cfg, init_cfg: see
            `YOLOv5PAFPN`.
        out_channels: unscaled channels of the outputs, finest first.
    """

    csp_layer = CSPLayerWithTwoConv

    def __init__(
        self,
        in_channels: list[int],
        out_channels: list[int],
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        num_csp_blocks: int = 3,
        freeze_all: bool = False,
        norm_cfg: dict | None = NORM_CFG,
        act_cfg: dict | None = ACT_CFG,
        init_cfg: dict | list | None = None,
    ) -> None:
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

    def build_reduce_layer(self, idx: int) -> nn.Module:
        """Nothing."""
        return nn.Identity()

    def build_top_down_layer(self, idx: int) -> nn.Module:
        """Return a CSP layer."""
        coarse = self._in(idx) if idx == len(self.in_channels) - 1 else self._out(idx)
        return self._stage(self._in(idx - 1) + coarse, self._out(idx - 1))

    def build_bottom_up_layer(self, idx: int) -> nn.Module:
        """Return a CSP layer."""
        coarse = self._in(idx + 1) if idx == len(self.in_channels) - 2 else self._out(idx + 1)
        return self._stage(self._out(idx) + coarse, self._out(idx + 1))

    def _out(self, idx: int) -> int:
        return self._scaled(self.out_channels[idx])
