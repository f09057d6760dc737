"""Deformable attention over several maps (arXiv 2010.04159), for few queries.

The published way projects every place of every map and then samples a few of them. Sampling is linear, so here the maps
are sampled first and only the samples are projected: 100 queries then cost a tenth of the projection of 8,500 places.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEADS = 8
LEVELS = 4
POINTS = 4
CORNERS = 4


class Memory(NamedTuple):
    """What the decoder looks at.

    Args:
        values: Shape (B, S, C), the places of all maps, map by map and row by row.
        shapes: Rows and columns of each map.
        sizes: Shape (levels, 2), columns and rows of each map, as numbers of the same kind as the values.
        starts: Shape (levels,), int64, the first place of each map.
        padding: Shape (B, S), bool, True on padding; None if there is none.
        ratios: Shape (B, levels, 2), which part of width and height of each map is image; None if all.
    """

    values: Tensor
    shapes: list[tuple[int, int]]
    sizes: Tensor
    starts: Tensor
    padding: Tensor | None
    ratios: Tensor | None


class DeformableAttention(nn.Module):
    """Attention to a few points of each map, whose places follow from the query.

    Args:
        channels: Width of queries and maps.
    """

    def __init__(self, channels: int = 256) -> None:
        super().__init__()
        self.channels = channels
        self.sampling_offsets = nn.Linear(channels, HEADS * LEVELS * POINTS * 2)
        self.attention_weights = nn.Linear(channels, HEADS * LEVELS * POINTS)
        self.value_proj = nn.Linear(channels, channels)
        self.output_proj = nn.Linear(channels, channels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Let each head look into a direction of its own at first, each point a step farther."""
        angle = torch.arange(HEADS) * (2 * math.pi / HEADS)
        direction = torch.stack([angle.cos(), angle.sin()], 1)
        direction = direction / direction.abs().amax(1, keepdim=True)
        step = torch.arange(1, POINTS + 1)
        offsets = (direction[:, None, None] * step[:, None]).expand(-1, LEVELS, -1, -1)
        nn.init.zeros_(self.sampling_offsets.weight)
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(offsets.flatten())
        for linear in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, query: Tensor, reference: Tensor, memory: Memory) -> Tensor:
        """Attend.

        Args:
            query: Shape (B, N, C).
            reference: Shape (B, N, levels, 2 or 4): centre, or centre, width and height of a box, as parts of each
                padded map, x before y.
            memory: The maps.

        Returns:
            Shape (B, N, C).
        """
        batch, number, channels = query.shape
        offsets = self.sampling_offsets(query).view(batch, number, HEADS, LEVELS, POINTS, 2).to(reference.dtype)
        attention = self.attention_weights(query).view(batch, number, HEADS, LEVELS * POINTS).to(reference.dtype)
        attention = attention.softmax(3).view(batch, number, HEADS, LEVELS, POINTS)
        # Places in pixels of each map; the centre of the first pixel is at 0.
        sizes = memory.sizes[:, None]
        places = reference[:, :, None, :, None, :2] * sizes - 0.5
        if reference.shape[3] == 2:
            places = places + offsets
        else:
            places = places + offsets / POINTS * (reference[:, :, None, :, None, 2:] * sizes) * 0.5
        # Query after query: with a dimension more OpenVINO multiplies wrongly
        index, weight = _corners(places.flatten(0, 1), attention.flatten(0, 1), memory)
        index, weight = (value.view(batch, number * HEADS, LEVELS * POINTS * CORNERS) for value in (index, weight))
        if memory.padding is not None:
            hidden = memory.padding.gather(1, index.flatten(1)).view_as(index)
            weight = weight.masked_fill(hidden, 0)
        samples = _weighted_sum(memory.values, index, weight).view(batch, number, HEADS, channels)
        # Per head its rows of the projection; the bias counts as far as the points lie within the maps.
        per_head = self.value_proj.weight.view(HEADS, channels // HEADS, channels)
        out = torch.einsum('bnhc,hdc->bnhd', samples, per_head)
        share = weight.sum(2).view(batch, number, HEADS, 1).to(out.dtype)
        return self.output_proj((out + share * self.value_proj.bias.view(HEADS, -1)).flatten(2))


def _corners(places: Tensor, attention: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
    """Find the four pixels around each place and what each counts, as bilinear sampling with zeros outside does.

    Args:
        places: Shape (queries, heads, levels, points, 2), x and y in pixels of the level.
        attention: Shape (queries, heads, levels, points).
        memory: The maps.

    Returns:
        Index into the places of all maps, int64, and weight, 0 for pixels outside, both with a last dimension of 4.
    """
    low = places.detach().floor()
    part = places - low
    # Corners in the order left top, right top, left bottom, right bottom
    sides = torch.stack([1 - part, part], -2)  # (..., points, 2 sides, 2 axes)
    weight = (sides[..., :, None, 1] * sides[..., None, :, 0]).flatten(-2) * attention[..., None]
    step = torch.arange(CORNERS, device=places.device)
    x, y = low[..., :1] + step % 2, low[..., 1:] + step // 2
    columns, rows = memory.sizes[:, None].unbind(-1)
    columns, rows = columns[..., None], rows[..., None]
    inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    x, y = x.clamp(min=0).minimum(columns - 1), y.clamp(min=0).minimum(rows - 1)
    index = (y * columns + x).long() + memory.starts[:, None, None]
    return index, weight.masked_fill(~inside, 0)


def _weighted_sum(values: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """Sum places of the maps, each with its weight.

    Args:
        values: Shape (B, S, C).
        index: Shape (B, Q, K), int64.
        weight: Shape (B, Q, K).

    Returns:
        Shape (B, Q, C).
    """
    batch, length, channels = values.shape
    index = (index + torch.arange(batch, device=index.device)[:, None, None] * length).flatten(0, 1)
    values, weight = values.flatten(0, 1), weight.flatten(0, 1).to(values.dtype)
    if torch.jit.is_tracing():  # ONNX has no such operator
        out = weight[:, None] @ values[index]
    else:
        out = F.embedding_bag(index, values, mode='sum', per_sample_weights=weight)
    return out.view(batch, -1, channels)
