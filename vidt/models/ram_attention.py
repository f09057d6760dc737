"""Reconfigured attention of ViDT: patches attend in windows, detection tokens to each other and at last to all."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .windows import TOKENS, WINDOW, Windows, relative_position_index

HIDDEN = -100.0  # added to the score of a padded patch; not -inf, so that it equals the published network


class RAMAttention(nn.Module):
    """Attention of ViDT's backbone (arXiv 2110.03921, section 3.1).

    Patches attend within their window. Detection tokens attend to each other, and in the last stage to all patches as
    well. Both use the same projections.

    Args:
        channels: Width of a token.
        heads: Number of heads.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.channels = channels
        self.heads = heads
        self.scale = (channels // heads) ** -0.5
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * WINDOW - 1) ** 2, heads))
        self.register_buffer('relative_position_index', relative_position_index())
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def patches(self, patch: Tensor, windows: Windows) -> tuple[Tensor, Tensor]:
        """Let the patches attend within their windows.

        Args:
            patch: Shape (B, T, C), normalised patches of a map.
            windows: Where each goes.

        Returns:
            The attended patches before the last projection, shape (B, T, C), and queries, keys and values of the
            windows, shape (B, windows * 49, 3C).
        """
        qkv = self.qkv(F.pad(patch, (0, 0, 0, 1)).index_select(1, windows.tokens))
        query, key, value = self._split(qkv.view(-1, TOKENS, 3 * self.channels))
        bias = self.relative_position_bias_table[self.relative_position_index.flatten()]
        bias = bias.view(1, TOKENS, TOKENS, self.heads).permute(0, 3, 1, 2)
        if windows.mask is not None:
            bias = bias + windows.mask.to(bias.dtype)
        out = self._attend_windows(query, key, value, bias, len(patch))
        return out.reshape(len(patch), -1, self.channels).index_select(1, windows.places), qkv

    def tokens(self, det: Tensor) -> Tensor:
        """Let the detection tokens attend to each other.

        Args:
            det: Shape (B, N, C), normalised tokens with their positions.

        Returns:
            Shape (B, N, C), after the last projection.
        """
        return self.proj(_merge(F.scaled_dot_product_attention(*self._split(self.qkv(det)))))

    def tokens_and_patches(
        self, det: Tensor, patch_qkv: Tensor, sine: tuple[Tensor, Tensor], padding: Tensor | None
    ) -> Tensor:
        """Let the detection tokens attend to the patches and to each other.

        The positions of the patches are added before the projection, which is linear: so the projected positions are
        added to the projected patches, and those of rows and columns are projected apart.

        Args:
            det: Shape (B, N, C), normalised tokens with their positions.
            patch_qkv: Shape (B, T, 3C), projected patches in the order of the map.
            sine: Positions of the rows, shape (B or 1, H, C/2), and columns, shape (B or 1, W, C/2).
            padding: Shape (B, T), bool, True for patches of padding; None if there is none.

        Returns:
            Shape (B, N, C), after the last projection.
        """
        half = self.channels // 2
        weight = self.qkv.weight[self.channels :]
        rows = F.linear(sine[0].to(weight.dtype), weight[:, :half])
        columns = F.linear(sine[1].to(weight.dtype), weight[:, half:])
        position = (rows[:, :, None] + columns[:, None]).flatten(1, 2)
        query, key, value = self.qkv(det).split(self.channels, 2)
        patch_key, patch_value = (patch_qkv[:, :, self.channels :] + position).split(self.channels, 2)
        key, value = torch.cat([patch_key, key], 1), torch.cat([patch_value, value], 1)
        mask = None
        if padding is not None:
            mask = F.pad(padding.to(query.dtype) * HIDDEN, (0, det.shape[1]))[:, None, None]
        out = F.scaled_dot_product_attention(*(self._heads(part) for part in (query, key, value)), attn_mask=mask)
        return self.proj(_merge(out))

    def _heads(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def _split(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return qkv.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)

    def _attend_windows(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor, batch: int) -> Tensor:
        """Attend with a bias of shape (1 or windows of an image, heads, 49, 49)."""
        score = (query * self.scale) @ key.transpose(2, 3)
        score = (score.unflatten(0, (batch, -1)) + bias).flatten(0, 1)
        return _merge(score.softmax(3) @ value)


def _merge(heads: Tensor) -> Tensor:
    return heads.transpose(1, 2).flatten(2)
