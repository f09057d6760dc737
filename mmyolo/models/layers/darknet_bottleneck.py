"""Residual block of CSP layers with free kernel sizes."""

from collections.abc import Sequence

from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from mmdet.models.layers.csp_layer import DarknetBottleneck as _DarknetBottleneck

from ..utils.defaults import ACT_CFG, NORM_CFG


class DarknetBottleneck(_DarknetBottleneck):
    """Two convolutions, and the input added to their output where the numbers of channels agree.

    The parent's convolutions are built and replaced, so a seed draws the same weights as it does in the public release.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        expansion: channels between the convolutions are int(out_channels * expansion).
        kernel_size: kernels of the two convolutions.
        padding: paddings of the two convolutions.
        add_identity: whether to add the input.
        use_depthwise: whether the second convolution is depthwise separable.
        conv_cfg: kind of convolution, None for Conv2d.
        norm_cfg: norm after each convolution.
        act_cfg: activation after each norm.
        init_cfg: initialisation of mmengine.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expansion: float = 0.5,
        kernel_size: Sequence[int] = (1, 3),
        padding: Sequence[int] = (0, 1),
        add_identity: bool = True,
        use_depthwise: bool = False,
        conv_cfg: dict | None = None,
        norm_cfg: dict | None = NORM_CFG,
        act_cfg: dict | None = ACT_CFG,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            expansion,
            add_identity,
            use_depthwise,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
            init_cfg=init_cfg,
        )
        hidden_channels = int(out_channels * expansion)
        common = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        self.conv1 = ConvModule(in_channels, hidden_channels, kernel_size[0], padding=padding[0], **common)
        second = DepthwiseSeparableConvModule if use_depthwise else ConvModule
        self.conv2 = second(hidden_channels, out_channels, kernel_size[1], padding=padding[1], **common)
