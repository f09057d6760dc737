"""A convolution that trains as several branches and runs as one (RepVGG, arXiv 2101.03697, section 3).

Unlike the public release, a learned `alpha` of exactly 0 removes the 1x1 branch; there it brings the branch back at
full weight.
"""

import torch
from mmcv.cnn import ConvModule, build_activation_layer, build_norm_layer
from torch import Tensor, nn
from torch.nn import functional as F

from mmyolo.errors import ArgumentValueError
from mmyolo.registry import MODELS

from ..utils.defaults import NORM_CFG


@MODELS.register_module()
class RepVGGBlock(nn.Module):
    """Activation of 3x3 branch + alpha * 1x1 branch + identity branch, each with its norm.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: must be 3.
        stride: of the convolutions.
        padding: must be 1.
        dilation: of the deployed convolution; the training branches have none.
        groups: of the convolutions.
        padding_mode: of the deployed convolution; the training branches pad with zeros.
        norm_cfg: norm of each branch.
        act_cfg: activation of the sum, None for none.
        use_se: squeeze-and-excitation is not supported.
        use_alpha: whether the 1x1 branch has a learned weight.
        use_bn_first: whether there is an identity branch where input and output shapes agree.
        deploy: whether to build the single convolution.

    Raises:
        ValueError: for another kernel size or padding.
        NotImplementedError: for `use_se`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        padding: int = 1,
        dilation: int = 1,
        groups: int = 1,
        padding_mode: str = 'zeros',
        norm_cfg: dict = NORM_CFG,
        act_cfg: dict | None = {'type': 'ReLU', 'inplace': True},
        use_se: bool = False,
        use_alpha: bool = False,
        use_bn_first: bool = True,
        deploy: bool = False,
    ) -> None:
        super().__init__()
        if kernel_size != 3 or padding != 1:
            raise ArgumentValueError(f'RepVGGBlock needs kernel_size 3 and padding 1, got {kernel_size} and {padding}')
        if use_se:
            raise NotImplementedError('RepVGGBlock has no squeeze-and-excitation, set use_se=False')
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.groups = groups
        self.stride = stride
        self.deploy = deploy
        self.se = nn.Identity()
        self.nonlinearity = nn.Identity() if act_cfg is None else build_activation_layer(act_cfg)
        self.alpha = nn.Parameter(torch.ones(1)) if use_alpha else None
        if deploy:
            self.rbr_reparam = nn.Conv2d(
                in_channels, out_channels, 3, stride, padding, dilation, groups, padding_mode=padding_mode
            )
            return
        has_identity = use_bn_first and in_channels == out_channels and stride == 1
        self.rbr_identity = build_norm_layer(norm_cfg, in_channels)[1] if has_identity else None
        common = {'groups': groups, 'bias': False, 'norm_cfg': norm_cfg, 'act_cfg': None}
        self.rbr_dense = ConvModule(in_channels, out_channels, 3, stride=stride, padding=1, **common)
        # The stride is taken before this convolution: the backward pass of a strided one over few channels in
        # channels-last memory writes out of bounds on some CPUs (oneDNN in torch 2.13).
        self.rbr_1x1 = ConvModule(in_channels, out_channels, 1, **common)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride)."""
        if self.deploy:
            return self.nonlinearity(self.se(self.rbr_reparam(inputs)))
        point = self.rbr_1x1(inputs[..., :: self.stride, :: self.stride] if self.stride > 1 else inputs)
        if self.alpha is not None:
            point = self.alpha * point
        out = self.rbr_dense(inputs) + point
        if self.rbr_identity is not None:
            out = out + self.rbr_identity(inputs)
        return self.nonlinearity(self.se(out))

    def get_equivalent_kernel_bias(self) -> tuple[Tensor, Tensor]:
        """Fold norms and branches into one convolution.

        Returns:
            Kernel (out_channels, in_channels / groups, 3, 3) and bias (out_channels,).
        """
        kernel, bias = _fuse_norm(self.rbr_dense.conv.weight, self.rbr_dense.norm)
        point_kernel, point_bias = _fuse_norm(F.pad(self.rbr_1x1.conv.weight, [1, 1, 1, 1]), self.rbr_1x1.norm)
        if self.alpha is not None:
            point_kernel, point_bias = self.alpha * point_kernel, self.alpha * point_bias
        kernel, bias = kernel + point_kernel, bias + point_bias
        if self.rbr_identity is not None:
            identity_kernel, identity_bias = _fuse_norm(self._identity_kernel(), self.rbr_identity)
            kernel, bias = kernel + identity_kernel, bias + identity_bias
        return kernel, bias

    def switch_to_deploy(self) -> None:
        """Replace the branches by the equivalent convolution; calling it again changes nothing."""
        if self.deploy:
            return
        kernel, bias = self.get_equivalent_kernel_bias()
        conv = self.rbr_dense.conv
        self.rbr_reparam = nn.Conv2d(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,
            stride=conv.stride,
            padding=conv.padding,
            dilation=conv.dilation,
            groups=conv.groups,
        )
        self.rbr_reparam.weight.data = kernel.detach()
        self.rbr_reparam.bias.data = bias.detach()
        for parameter in self.parameters():
            parameter.detach_()
        del self.rbr_dense, self.rbr_1x1, self.rbr_identity
        self.deploy = True

    def _identity_kernel(self) -> Tensor:
        weight = self.rbr_dense.conv.weight
        kernel = torch.zeros_like(weight)
        index = torch.arange(self.in_channels, device=weight.device)
        kernel[index, index % (self.in_channels // self.groups), 1, 1] = 1
        return kernel


def _fuse_norm(kernel: Tensor, norm: nn.Module) -> tuple[Tensor, Tensor]:
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return kernel * scale.reshape(-1, 1, 1, 1), norm.bias - norm.running_mean * scale
