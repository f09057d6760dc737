"""Deformable attention over several maps (arXiv 2010.04159), for few queries.

The published way projects every place of every map and then samples a few of them. Sampling is linear, so here the maps
are sampled first and only the samples are projected: 100 queries then cost a tenth of the projection of 8,500 places.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEADS = 8
LEVELS = 4
POINTS = 4
CORNERS = 4


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

    def forward(
        self,
        query: Tensor,
        reference: Tensor,
        memory: Tensor,
        shapes: Sequence[tuple[int, int]],
        padding: Tensor | None,
    ) -> Tensor:
        """Attend.

        Args:
            query: Shape (B, N, C).
            reference: Shape (B, N, 4 levels, 2 or 4): centre, or centre, width and height of a box, as parts of each
                padded map, x before y.
            memory: Shape (B, S, C): the places of all maps, map by map and row by row.
            shapes: Rows and columns of each map.
            padding: Shape (B, S), bool, True on padding; None if there is none.

        Returns:
            Shape (B, N, C).
        """
        batch, number, channels = query.shape
        offsets = self.sampling_offsets(query).view(batch, number, HEADS, LEVELS, POINTS, 2)
        attention = self.attention_weights(query).view(batch, number, HEADS, LEVELS * POINTS)
        attention = attention.float().softmax(3) if attention.dtype != torch.float64 else attention.softmax(3)
        sizes = reference.new_tensor([[width, height] for height, width in shapes])
        # Places in pixels of each map; the centre of the first pixel is at 0.
        centre = (reference[:, :, None, :, None, :2] * sizes[:, None]) - 0.5
        if reference.shape[3] == 2:
            places = centre + offsets
        else:
            extent = reference[:, :, None, :, None, 2:] * sizes[:, None]
            places = centre + offsets / POINTS * extent * 0.5
        index, weight = _corners(places, attention.view_as(places[..., 0]), shapes)
        index = index.view(batch, -1, CORNERS * LEVELS * POINTS)
        weight = weight.view_as(index)
        if padding is not None:
            hidden = padding.gather(1, index.flatten(1)).view_as(index)
            weight = weight.masked_fill(hidden, 0)
        samples = _weighted_sum(memory, index, weight).view(batch, number, HEADS, channels)
        # Per head its rows of the projection; the bias counts as far as the points lie within the maps.
        per_head = self.value_proj.weight.view(HEADS, channels // HEADS, channels)
        out = torch.einsum('bnhc,hdc->bnhd', samples, per_head)
        share = weight.sum(2).view(batch, number, HEADS, 1)
        return self.output_proj((out + share * self.value_proj.bias.view(HEADS, -1)).flatten(2))


def _corners(places: Tensor, attention: Tensor, shapes: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """Find the four pixels around each place and what each counts, as bilinear sampling with zeros outside does.

    Args:
        places: Shape (B, N, heads, levels, points, 2), x and y in pixels of the level.
        attention: Shape (B, N, heads, levels, points).
        shapes: Rows and columns of each level.

    Returns:
        Index into the places of all maps, int64, and weight, 0 for pixels outside, both with a last dimension of 4.
    """
    height, width = (places.new_tensor([float(shape[axis]) for shape in shapes])[:, None, None] for axis in (0, 1))
    starts = [0]
    for rows, columns in shapes[:-1]:
        starts.append(starts[-1] + rows * columns)
    start = torch.tensor(starts, device=places.device)[:, None, None]
    low = places.detach().floor()
    part = places - low
    # Corners in the order left top, right top, left bottom, right bottom
    part_x, part_y = part.unbind(-1)
    weight_x, weight_y = torch.stack([1 - part_x, part_x], -1), torch.stack([1 - part_y, part_y], -1)
    weight = (weight_y[..., :, None] * weight_x[..., None, :]).flatten(-2) * attention[..., None]
    step = torch.arange(CORNERS, device=places.device)
    x, y = low[..., :1] + step % 2, low[..., 1:] + step // 2
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = x.clamp(min=0).minimum(width - 1), y.clamp(min=0).minimum(height - 1)
    index = (y * width + x).long() + start
    return index, weight.masked_fill(~inside, 0)


def _weighted_sum(memory: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """Sum places of the memory, each with its weight.

    Args:
        memory: Shape (B, S, C).
        index: Shape (B, Q, K), int64.
        weight: Shape (B, Q, K).

    Returns:
        Shape (B, Q, C).
    """
    batch, length, channels = memory.shape
    index = index + torch.arange(batch, device=index.device)[:, None, None] * length
    return F.embedding_bag(
        index.flatten(0, 1), memory.flatten(0, 1), mode='sum', per_sample_weights=weight.flatten(0, 1).to(memory.dtype)
    ).view(batch, -1, channels)
