"""Heads on the tokens of the decoder, and the numbers they work with."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PRIOR = 0.01  # score of every class at the start of a training
PRIOR_BIAS = -math.log((1 - PRIOR) / PRIOR)


class MLP(nn.Module):
    """Three linear layers with ReLU between them.

    Args:
        channels: Width of the input.
        out_channels: Width of the output.
        hidden: Width between the layers; None for that of the input.
    """

    def __init__(self, channels: int, out_channels: int, hidden: int | None = None) -> None:
        super().__init__()
        widths = [channels, hidden or channels, hidden or channels, out_channels]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in zip(widths, widths[1:]))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the output for the last dimension of the tokens."""
        for layer in self.layers[:-1]:
            tokens = F.relu(layer(tokens))
        return self.layers[-1](tokens)


def class_head(channels: int, num_classes: int) -> nn.Linear:
    """Make a head of one logit per class."""
    head = nn.Linear(channels, num_classes)
    nn.init.constant_(head.bias, PRIOR_BIAS)
    return head


def zero_last_layer(head: MLP, bias_from_third: float) -> MLP:
    """Let a head give nothing at first, but this from its third output on: for boxes, their width and height."""
    nn.init.zeros_(head.layers[-1].weight)
    nn.init.zeros_(head.layers[-1].bias)
    nn.init.constant_(head.layers[-1].bias[2:], bias_from_third)
    return head


def projection(in_channels: int, channels: int) -> nn.Sequential:
    """Make what brings a map or the detection tokens to the width of the decoder."""
    conv = nn.Conv2d(in_channels, channels, 1)
    nn.init.xavier_uniform_(conv.weight)
    nn.init.zeros_(conv.bias)
    return nn.Sequential(conv, nn.GroupNorm(32, channels))


def project_map(conv: nn.Conv2d, norm: nn.GroupNorm, x: Tensor) -> Tensor:
    """Apply a 1x1 convolution and a norm to a map, shape (B, C, H, W), that lies token by token in memory."""
    return norm(F.linear(x.permute(0, 2, 3, 1), conv.weight.flatten(1), conv.bias).permute(0, 3, 1, 2))


def project_tokens(conv: nn.Conv2d, norm: nn.GroupNorm, tokens: Tensor) -> Tensor:
    """Apply them to tokens, shape (B, N, C); the norm's groups reach over all tokens of an image."""
    return project_map(conv, norm, tokens.transpose(1, 2).unsqueeze(2)).squeeze(2).transpose(1, 2)


def inverse_sigmoid(x: Tensor, eps: float = 1e-5) -> Tensor:
    """Return the logit of numbers in 0..1, in float32 at least; eps bounds it."""
    x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    x = x.clamp(0, 1)
    return (x.clamp(min=eps) / (1 - x).clamp(min=eps)).log()
