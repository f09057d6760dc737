"""A plain convolution under the arguments of `RepVGGBlock`, for models whose blocks are chosen by config (YOLOv6-l)."""

import warnings

from mmcv.cnn import ConvModule
from torch import Tensor, nn

from mmyolo.registry import MODELS


@MODELS.register_module()
class ConvWrapper(nn.Module):
    """Convolution, norm and activation. Unlike elsewhere, the convolution has a bias even before a norm.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: of the convolution, which pads by half of it.
        stride: of the convolution.
        groups: of the convolution.
        bias: whether the convolution has a bias.
        norm_cfg: norm after the convolution, None for none.
        act_cfg: activation after the norm.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        groups: int = 1,
        bias: bool = True,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = {'type': 'SiLU'},
    ) -> None:
        super().__init__()
        with warnings.catch_warnings():  # mmcv finds the bias unnecessary, but published checkpoints have it
            warnings.filterwarnings('ignore', message='Unnecessary conv bias')
            self.block = ConvModule(
                in_channels,
                out_channels,
                kernel_size,
                stride,
                padding=kernel_size // 2,
                groups=groups,
                bias=bias,
                norm_cfg=norm_cfg,
                act_cfg=act_cfg,
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride)."""
        return self.block(x)
