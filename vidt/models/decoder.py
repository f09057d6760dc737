"""The deformable decoder of ViDT, and how boxes are refined from layer to layer."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .deformable_attention import LEVELS, DeformableAttention, Memory
from .denoising import NoisedQueries
from .heads import PRIOR_BIAS, inverse_sigmoid
from .padding import Valid

HEADS = 8
DROPOUT = 0.1
EDGE = 0.01  # patches whose centre is nearer to the edge than this part of the image get no label


class SelfAttention(nn.Module):
    """Attention among the queries, with the parameters of nn.MultiheadAttention.

    Args:
        channels: Width of a query.
        dropout: Share of the attention that is left out in training.
    """

    def __init__(self, channels: int, dropout: float = DROPOUT) -> None:
        super().__init__()
        self.channels = channels
        self.dropout = dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * channels))
        self.out_proj = nn.Linear(channels, channels)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, query: Tensor, value: Tensor) -> Tensor:
        """Let queries with positions attend to values without, both of shape (B, N, C)."""
        channels, weight, bias = self.channels, self.in_proj_weight, self.in_proj_bias
        query, key = F.linear(query, weight[: 2 * channels], bias[: 2 * channels]).split(channels, 2)
        value = F.linear(value, weight[2 * channels :], bias[2 * channels :])
        heads = [part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in (query, key, value)]
        out = F.scaled_dot_product_attention(*heads, dropout_p=self.dropout if self.training else 0.0)
        return self.out_proj(out.transpose(1, 2).flatten(2))


class DecoderLayer(nn.Module):
    """Attention among the queries, attention to the maps, and two layers.

    Args:
        channels: Width of a query.
        hidden: Width between the two layers.
        dropout: Share of the numbers that is left out in training.
    """

    def __init__(self, channels: int, hidden: int, dropout: float = DROPOUT) -> None:
        super().__init__()
        self.cross_attn = DeformableAttention(channels)
        self.dropout1 = nn.Dropout(dropout)
        self.norm1 = nn.LayerNorm(channels)
        self.self_attn = SelfAttention(channels, dropout)
        self.dropout2 = nn.Dropout(dropout)
        self.norm2 = nn.LayerNorm(channels)
        self.linear1 = nn.Linear(channels, hidden)
        self.dropout3 = nn.Dropout(dropout)
        self.linear2 = nn.Linear(hidden, channels)
        self.dropout4 = nn.Dropout(dropout)
        self.norm3 = nn.LayerNorm(channels)

    def forward(self, tokens: Tensor, positions: Tensor, reference: Tensor, memory: Memory, groups: int = 1) -> Tensor:
        """Return the tokens after this layer.

        Args:
            tokens: Shape (B, N, C).
            positions: Shape (B or 1, N, C).
            reference: Shape (B, N, levels, 2 or 4), as parts of the padded maps.
            memory: The maps.
            groups: Parts of the tokens, equally long, that do not attend to each other.
        """
        parts = [x.unflatten(1, (groups, -1)).flatten(0, 1) for x in (tokens + positions, tokens)]
        attended = self.self_attn(*parts).unflatten(0, (-1, groups)).flatten(1, 2)
        tokens = self.norm2(tokens + self.dropout2(attended))
        seen = self.cross_attn(tokens + positions, reference, memory)
        tokens = self.norm1(tokens + self.dropout1(seen))
        out = self.linear2(self.dropout3(F.relu(self.linear1(tokens))))
        return self.norm3(tokens + self.dropout4(out))


class Decoder(nn.Module):
    """The layers of the decoder.

    Args:
        channels: Width of a query.
        hidden: Width between the two last layers of each.
        number: How many layers there are.
        dropout: Share of the numbers that is left out in training.
    """

    def __init__(self, channels: int, hidden: int, number: int, dropout: float = DROPOUT) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(channels, hidden, dropout) for _ in range(number))


class DeformableTransformer(nn.Module):
    """Decoder without an encoder, as the backbone has mixed tokens and patches already.

    Args:
        num_layers: Layers of the decoder.
        channels: Width of a query.
        hidden: Width between the two last layers of each.
        token_classes: Classes of the label of each patch in training; 0 for none.
        dropout: Share of the numbers that the layers leave out in training.
    """

    def __init__(
        self,
        num_layers: int = 6,
        channels: int = 256,
        hidden: int = 1024,
        token_classes: int = 0,
        dropout: float = DROPOUT,
    ) -> None:
        super().__init__()
        self.level_embed = nn.Parameter(torch.empty(LEVELS, channels), requires_grad=False)  # published, but unused
        self.decoder = Decoder(channels, hidden, num_layers, dropout)
        if token_classes:
            self.enc_output = nn.Linear(channels, channels)
            self.enc_output_norm = nn.LayerNorm(channels)
            self.token_embed = nn.Linear(channels, token_classes)
        self.reference_points = nn.Linear(channels, 2)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise as published; the two last layers of all decoder layers start with the same biases."""
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1 and '.cross_attn.' not in name:
                nn.init.xavier_uniform_(parameter)
        nn.init.normal_(self.level_embed)
        first = self.decoder.layers[0]
        with torch.no_grad():
            for layer in self.decoder.layers:
                layer.linear1.bias.copy_(first.linear1.bias)
                layer.linear2.bias.copy_(first.linear2.bias)
        if hasattr(self, 'token_embed'):
            nn.init.constant_(self.token_embed.bias, PRIOR_BIAS)

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor,
        memory: Memory,
        box_heads: Sequence[nn.Module],
        refine: bool,
        every_level: bool = True,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Compute tokens and boxes of every level; level 0 is before the first layer.

        Args:
            tokens: Shape (B, N, C).
            positions: Shape (1, N, C).
            memory: The maps.
            box_heads: Head of each level, or one for all.
            refine: Whether each layer looks around the boxes of the level before; else around the initial points.
            every_level: Whether all boxes are wanted, or only those of the last level.

        Returns:
            Tokens of each level, shape (B, N, C), and boxes of each level or of the last, shape (B, N, 4), cxcywh in
            0..1 of the image without padding.
        """
        points = self.reference_points(positions)
        points = points.to(torch.promote_types(points.dtype, torch.float32)).sigmoid()
        reference, levels, boxes = points, [tokens], []
        for number, head in enumerate(
            box_heads[min(i, len(box_heads) - 1)] for i in range(len(self.decoder.layers) + 1)
        ):
            if number:
                layer = self.decoder.layers[number - 1]
                levels.append(layer(levels[-1], positions, self._in_maps(reference, memory, tokens.shape[0]), memory))
            if refine or every_level or number == len(self.decoder.layers):
                boxes.append(refine_boxes(head(levels[-1]), reference))
            if refine:
                reference = boxes[-1].detach()
        return levels, boxes

    def denoise(
        self, queries: NoisedQueries, memory: Memory, box_heads: Sequence[nn.Module]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Compute tokens and boxes of noised queries at every level but the first, which has seen no boxes.

        Args:
            queries: From which the layers begin; no other query knows of them.
            memory: The maps.
            box_heads: Head of each level.

        Returns:
            Tokens, shape (B, Q, C), and boxes, shape (B, Q, 4), as of `forward`.
        """
        tokens, reference, levels, boxes = queries.tokens, queries.boxes, [], []
        for layer, head in zip(self.decoder.layers, box_heads[1:]):
            places = self._in_maps(reference, memory, len(tokens))
            tokens = layer(tokens, queries.positions, places, memory, queries.groups)
            levels.append(tokens)
            boxes.append(refine_boxes(head(tokens), reference))
            reference = boxes[-1].detach()
        return levels, boxes

    def label_patches(self, memory: Memory, valid: Sequence[Valid] | None) -> list[Tensor]:
        """Classify the patches, which only training needs (token labels of ViDT+, arXiv 2204.07962).

        Args:
            memory: The maps.
            valid: Which rows and columns of each map belong to the image; None if all do.

        Returns:
            Logits per map, shape (B, H, W, token classes).
        """
        inside = []
        for level, (height, width) in enumerate(memory.shapes):
            axes = []
            for axis, size in enumerate((height, width)):
                place = torch.arange(size, device=memory.values.device) + 0.5
                place = place / (size if valid is None else valid[level][axis].sum(1, keepdim=True))
                axes.append((place > EDGE) & (place < 1 - EDGE))
            rows, columns = (flags.view(-1, flags.shape[-1]) for flags in axes)
            inside.append((rows[:, :, None] & columns[:, None]).flatten(1))
        shown = torch.cat(inside, 1)
        if memory.padding is not None:
            shown = shown & ~memory.padding
        values = memory.values.masked_fill(~shown[..., None], 0)
        logits = self.token_embed(self.enc_output_norm(self.enc_output(values)))
        parts = logits.split([height * width for height, width in memory.shapes], 1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, memory.shapes)]

    def _in_maps(self, reference: Tensor, memory: Memory, batch: int) -> Tensor:
        """Turn parts of the image into parts of each padded map, shape (B, N, levels, 2 or 4)."""
        reference = reference[:, :, None].expand(batch, -1, LEVELS, -1)
        if memory.ratios is None:
            return reference
        return reference * memory.ratios[:, None].repeat(1, 1, 1, reference.shape[3] // 2)


def refine_boxes(change: Tensor, reference: Tensor) -> Tensor:
    """Move boxes.

    Args:
        change: Shape (B, N, 4), what a head gives.
        reference: Shape (B or 1, N, 2 or 4), points or boxes in 0..1.

    Returns:
        Shape (B, N, 4), cxcywh in 0..1.
    """
    start = inverse_sigmoid(reference)
    if start.shape[2] == 2:
        start = F.pad(start, (0, 2))
    return (change.to(start.dtype) + start).sigmoid()
