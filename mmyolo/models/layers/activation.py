"""Activations that configs name without a prefix."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmyolo.registry import MODELS


@MODELS.register_module()
class SiLU(nn.SiLU):
    """PyTorch's SiLU, which writes over its input only where no gradient needs it.

    PyTorch copies the input of an in-place SiLU for the gradient before it writes over it, so that in training the
    in-place form takes as much memory as the other, and the time of a copy on top.

    Args:
        inplace: whether the input may be written over.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply `x * sigmoid(x)`, element by element."""
        return F.silu(x, inplace=self.inplace and not (torch.is_grad_enabled() and x.requires_grad))
