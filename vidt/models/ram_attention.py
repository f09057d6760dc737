"""Reconfigured attention of ViDT: patches attend in windows, detection tokens to each other and at last to all."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .parts import parts
from .windows import TOKENS, WINDOW, Windows, relative_position_index

WINDOWS_AT_ONCE = 40
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
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * WINDOW - 1) ** 2, heads))
        self.register_buffer('relative_position_index', relative_position_index())
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def patches(self, patch: Tensor, windows: Windows, want_qkv: bool) -> tuple[Tensor, Tensor | None]:
        """Let the patches attend within their windows.

        Args:
            patch: Shape (B, T, C), normalised patches of a map.
            windows: Where each goes.
            want_qkv: Whether to give queries, keys and values as well.

        Returns:
            Shape (B, T, C), after the last projection, and queries, keys and values, shape (B, T, 3C), or None.
        """
        padded = F.pad(patch, (0, 0, 1, 0))
        bias = self.relative_position_bias_table[self.relative_position_index.flatten()]
        bias = bias.view(1, TOKENS, TOKENS, self.heads).permute(0, 3, 1, 2).contiguous()
        places = windows.tokens.view(-1, TOKENS)
        out = []
        for part in parts(places.shape[0], WINDOWS_AT_ONCE, patch):
            qkv = self.qkv(padded.index_select(1, places[part].flatten()))
            part_bias = bias if windows.mask is None else bias + windows.mask[part].to(bias.dtype)
            out.append(self.proj(self._attend_windows(qkv, part_bias)))
        out = out[0] if len(out) == 1 else torch.cat(out, 1)
        return out.index_select(1, windows.places), qkv.index_select(1, windows.places) if want_qkv else None

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

    def _attend_windows(self, qkv: Tensor, bias: Tensor) -> Tensor:
        """Attend within windows.

        Args:
            qkv: Shape (B, windows * 49, 3C).
            bias: Shape (1 or windows, heads, 49, 49).

        Returns:
            Shape (B, windows * 49, C).
        """
        batch, length, _ = qkv.shape
        query, key, value = self._split(qkv.view(-1, TOKENS, 3 * self.channels))
        if torch.jit.is_tracing() or (bias.requires_grad and bias.device.type == 'cpu'):
            # ONNX has no such operator, and where the bias learns there is no fused kernel: this is shorter
            score = (query * query.shape[3] ** -0.5) @ key.transpose(2, 3)
            score = (score.view(-1, *bias.shape) + bias).view_as(score)
            out = score.softmax(3) @ value
        else:
            if bias.shape[0] > 1 and batch > 1:
                bias = bias.repeat(batch, 1, 1, 1)
            bias = bias.to(query.dtype).expand(query.shape[0], -1, -1, -1)
            out = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return _merge(out).view(batch, length, -1)


def _merge(heads: Tensor) -> Tensor:
    return heads.transpose(1, 2).flatten(2)
