"""ViDT computed as its description says, step by step and with nothing left out: what `vidt_speed.py` measures against.

Weights are a dict with the names of public files. Only the plain detector is written here: box refinement, losses on
every level, none of the options of ViDT+.
"""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW, SHIFT, HEADS, POINTS = 7, 3, 8, 4
Weights = Mapping[str, Tensor]


def linear(w: Weights, name: str, x: Tensor) -> Tensor:
    """Apply a linear layer."""
    return F.linear(x, w[name + '.weight'], w.get(name + '.bias'))


def norm(w: Weights, name: str, x: Tensor) -> Tensor:
    """Apply a layer norm."""
    return F.layer_norm(x, x.shape[-1:], w[name + '.weight'], w[name + '.bias'])


def mlp(w: Weights, name: str, x: Tensor) -> Tensor:
    """Apply a head of three layers."""
    for layer in range(2):
        x = F.relu(linear(w, f'{name}.layers.{layer}', x))
    return linear(w, f'{name}.layers.2', x)


def projection(w: Weights, name: str, x: Tensor) -> Tensor:
    """Apply a 1x1 convolution and a group norm to (B, C, H, W)."""
    x = F.conv2d(x, w[name + '.0.weight'], w[name + '.0.bias'])
    return F.group_norm(x, 32, w[name + '.1.weight'], w[name + '.1.bias'])


def inverse_sigmoid(x: Tensor) -> Tensor:
    """Return the logit, bounded."""
    x = x.clamp(0, 1)
    return torch.log(x.clamp(min=1e-5) / (1 - x).clamp(min=1e-5))


def partition(x: Tensor) -> Tensor:
    """(B, H, W, C) to windows of (B * n, 49, C)."""
    b, h, w, c = x.shape
    x = x.view(b, h // WINDOW, WINDOW, w // WINDOW, WINDOW, c)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, WINDOW * WINDOW, c)


def unpartition(windows: Tensor, h: int, w: int) -> Tensor:
    """Windows of (B * n, 49, C) to (B, H, W, C)."""
    c = windows.shape[-1]
    x = windows.view(-1, h // WINDOW, w // WINDOW, WINDOW, WINDOW, c)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, h, w, c)


def shift_mask(h: int, w: int) -> Tensor:
    """(windows, 49, 49): -100 between tokens that only the shift brought together."""
    regions, count = torch.zeros(1, h, w, 1), 0
    cuts = (slice(0, -WINDOW), slice(-WINDOW, -SHIFT), slice(-SHIFT, None))
    for rows in cuts:
        for columns in cuts:
            regions[:, rows, columns] = count
            count += 1
    regions = partition(regions).squeeze(2)
    return (regions[:, None] - regions[:, :, None]).ne(0).float() * -100


def sinusoid(mask: Tensor, channels: int) -> Tensor:
    """(B, H, W) mask of padding to (B, H, W, channels)."""
    n = channels // 2
    index = torch.arange(n, dtype=torch.float32)
    dim = 10000 ** (2 * torch.div(index, 2, rounding_mode='floor') / n)
    out = []
    for axis in (1, 2):
        place = (~mask).float().cumsum(axis)
        last = place[:, -1:] if axis == 1 else place[:, :, -1:]
        angle = (place / (last + 1e-6) * 2 * math.pi)[..., None] / dim
        out.append(torch.stack([angle[..., 0::2].sin(), angle[..., 1::2].cos()], -1).flatten(3))
    return torch.cat(out, 3)


def attention(
    w: Weights, name: str, patch: Tensor, det: Tensor, heads: int, mask: Tensor | None, cross: tuple | None
) -> tuple[Tensor, Tensor]:
    """Attend within windows of `patch` (B, H, W, C, padded and rolled), and from the tokens `det` (B, N, C)."""
    b, h, wd, c = patch.shape
    n = det.shape[1]
    qkv = linear(w, name + '.qkv', torch.cat([patch.flatten(1, 2), det], 1))
    scale = (c // heads) ** -0.5

    def split(x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], 3, heads, c // heads).permute(2, 0, 3, 1, 4)

    q, k, v = split(partition(qkv[:, : h * wd].reshape(b, h, wd, 3 * c)))
    bias = w[name + '.relative_position_bias_table'][w[name + '.relative_position_index'].flatten()]
    score = (q * scale) @ k.transpose(-2, -1) + bias.view(WINDOW**2, WINDOW**2, heads).permute(2, 0, 1)[None]
    if mask is not None:
        windows = mask.shape[0]
        score = (score.view(b, windows, heads, WINDOW**2, WINDOW**2) + mask[None, :, None]).view_as(score)
    out = unpartition((score.softmax(-1) @ v).transpose(1, 2).reshape(-1, WINDOW**2, c), h, wd).flatten(1, 2)
    q, k, v = split(qkv[:, h * wd :])
    hidden = None
    if cross is not None:
        plain, sine, padding = cross
        _, patch_k, patch_v = split(linear(w, name + '.qkv', plain + sine.flatten(1, 2)))
        k, v = torch.cat([patch_k, k], 2), torch.cat([patch_v, v], 2)
        hidden = torch.cat([padding.flatten(1).float() * -100, torch.zeros(b, n)], 1)[:, None, None]
    score = (q * scale) @ k.transpose(-2, -1)
    if hidden is not None:
        score = score + hidden
    det = (score.softmax(-1) @ v).transpose(1, 2).reshape(b, n, c)
    out = linear(w, name + '.proj', torch.cat([out, det], 1))
    return out[:, : h * wd].view(b, h, wd, c), out[:, h * wd :]


def block(w: Weights, name: str, x: Tensor, h: int, wd: int, heads: int, shifted: bool, cross: tuple | None) -> Tensor:
    """One block over patches and tokens, (B, H * W + N, C)."""
    c = x.shape[2]
    y = norm(w, name + '.norm1', x)
    plain, det = y[:, : h * wd], y[:, h * wd :]
    det = det + linear(w, name + '.det_pos_linear', w['backbone.det_pos_embed'])
    patch = F.pad(plain.reshape(-1, h, wd, c), (0, 0, 0, -wd % WINDOW, 0, -h % WINDOW))
    mask = None
    if shifted:
        mask = shift_mask(*patch.shape[1:3])
        patch = patch.roll((-SHIFT, -SHIFT), (1, 2))
    cross = None if cross is None else (plain, *cross)
    patch, det = attention(w, name + '.attn', patch, det, heads, mask, cross)
    if shifted:
        patch = patch.roll((SHIFT, SHIFT), (1, 2))
    x = x + torch.cat([patch[:, :h, :wd].flatten(1, 2), det], 1)
    y = norm(w, name + '.norm2', x)
    return x + linear(w, name + '.mlp.fc2', F.gelu(linear(w, name + '.mlp.fc1', y)))


def merge(w: Weights, name: str, patch: Tensor, det: Tensor) -> Tensor:
    """Merge patches (B, H, W, C), and widen tokens."""
    patch = F.pad(patch, (0, 0, 0, patch.shape[2] % 2, 0, patch.shape[1] % 2))
    patch = torch.cat([patch[:, r::2, c::2] for r, c in ((0, 0), (1, 0), (0, 1), (1, 1))], 3)
    x = torch.cat([patch.flatten(1, 2), det.repeat(1, 1, 4)], 1)
    return linear(w, name + '.reduction', norm(w, name + '.norm', x))


def backbone(w: Weights, images: Tensor, mask: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
    """Four maps, tokens (B, N, C) and their positions."""
    b = len(images)
    images = F.pad(images, (0, -images.shape[3] % 4, 0, -images.shape[2] % 4))
    x = F.conv2d(images, w['backbone.patch_embed.proj.weight'], w['backbone.patch_embed.proj.bias'], 4)
    h, wd = x.shape[2:]
    patch = norm(w, 'backbone.patch_embed.norm', x.flatten(2).transpose(1, 2))
    det = w['backbone.det_token'].expand(b, -1, -1)
    n = det.shape[1]
    mask = F.interpolate(mask[None].float(), (h // 8, wd // 8))
    x, maps = torch.cat([patch, det], 1), []
    for stage in range(4):
        name = f'backbone.layers.{stage}'
        cross = None
        if stage == 3:
            padding = F.interpolate(mask, (h, wd))[0].bool()
            cross = (sinusoid(padding, x.shape[2]), padding)
        number = 0
        while f'{name}.blocks.{number}.norm1.weight' in w:
            heads = w[f'{name}.blocks.{number}.attn.relative_position_bias_table'].shape[1]
            x = block(w, f'{name}.blocks.{number}', x, h, wd, heads, number % 2 == 1, cross)
            number += 1
        patch, det = x[:, : h * wd].reshape(b, h, wd, -1), x[:, h * wd :]
        if stage:
            maps.append(patch.permute(0, 3, 1, 2).contiguous())
        x = merge(w, name + '.downsample', patch, det)
        h, wd = (h + 1) // 2, (wd + 1) // 2
    maps.append(x[:, :-n].reshape(b, h, wd, -1).permute(0, 3, 1, 2).contiguous())
    return maps, det, w['backbone.det_pos_embed']


def deformable_attention(
    w: Weights, name: str, query: Tensor, reference: Tensor, memory: Tensor, shapes: list, padding: Tensor
) -> Tensor:
    """Attend to points of each map; reference (B, N, levels, 4)."""
    b, n, c = query.shape
    value = linear(w, name + '.value_proj', memory).masked_fill(padding[..., None], 0)
    value = value.view(b, -1, HEADS, c // HEADS)
    offset = linear(w, name + '.sampling_offsets', query).view(b, n, HEADS, len(shapes), POINTS, 2)
    weight = linear(w, name + '.attention_weights', query).view(b, n, HEADS, -1).softmax(-1)
    weight = weight.view(b, n, HEADS, len(shapes), POINTS)
    place = reference[:, :, None, :, None, :2] + offset / POINTS * reference[:, :, None, :, None, 2:] * 0.5
    grid, sampled = 2 * place - 1, []
    for level, part in enumerate(value.split([h * wd for h, wd in shapes], 1)):
        part = part.flatten(2).transpose(1, 2).reshape(b * HEADS, c // HEADS, *shapes[level])
        where = grid[:, :, :, level].transpose(1, 2).flatten(0, 1)
        sampled.append(F.grid_sample(part, where, mode='bilinear', padding_mode='zeros', align_corners=False))
    weight = weight.transpose(1, 2).reshape(b * HEADS, 1, n, -1)
    out = (torch.stack(sampled, -2).flatten(-2) * weight).sum(-1).view(b, c, n)
    return linear(w, name + '.output_proj', out.transpose(1, 2))


def dropout(x: Tensor, training: bool) -> Tensor:
    """Drop a tenth."""
    return F.dropout(x, 0.1, training)


def decoder_layer(
    w: Weights, name: str, x: Tensor, positions: Tensor, reference: Tensor, memory: tuple, training: bool
) -> Tensor:
    """One layer of the decoder over the tokens (B, N, C)."""
    q = (x + positions).transpose(0, 1)
    out, _ = F.multi_head_attention_forward(
        q, q, x.transpose(0, 1), x.shape[2], HEADS,
        w[name + '.self_attn.in_proj_weight'], w[name + '.self_attn.in_proj_bias'], None, None, False, 0.1,
        w[name + '.self_attn.out_proj.weight'], w[name + '.self_attn.out_proj.bias'], training,
    )  # fmt: skip
    x = norm(w, name + '.norm2', x + dropout(out.transpose(0, 1), training))
    out = deformable_attention(w, name + '.cross_attn', x + positions, reference, *memory)
    x = norm(w, name + '.norm1', x + dropout(out, training))
    out = linear(w, name + '.linear2', dropout(F.relu(linear(w, name + '.linear1', x)), training))
    return norm(w, name + '.norm3', x + dropout(out, training))


def forward(w: Weights, images: Tensor, mask: Tensor, training: bool = False) -> dict:
    """Compute the outputs of every level, as `vidt.models.ViDT.forward_levels` gives them.

    Args:
        w: Weights with public names.
        images: Shape (B, 3, H, W), normalised.
        mask: Shape (B, H, W), True on padding.
        training: Whether the decoder drops a tenth.
    """
    maps, det, det_pos = backbone(w, images, mask)
    x = projection(w, 'tgt_proj', det.transpose(1, 2)[..., None])[..., 0].transpose(1, 2)
    positions = projection(w, 'query_pos_proj', det_pos.transpose(1, 2)[..., None])[..., 0].transpose(1, 2)
    maps = [projection(w, f'input_proj.{level}', one) for level, one in enumerate(maps)]
    masks = [F.interpolate(mask[None].float(), one.shape[2:])[0].bool() for one in maps]
    shapes = [tuple(one.shape[2:]) for one in maps]
    memory = torch.cat([one.flatten(2).transpose(1, 2) for one in maps], 1)
    padding = torch.cat([one.flatten(1) for one in masks], 1)
    ratios = torch.stack(
        [torch.stack([(~m[:, 0]).float().mean(1), (~m[:, :, 0]).float().mean(1)], 1) for m in masks], 1
    )
    points = inverse_sigmoid(linear(w, 'transformer.reference_points', positions).sigmoid()).expand(len(x), -1, -1)
    reference = (mlp(w, 'bbox_embed.0', x) + F.pad(points, (0, 2))).sigmoid().detach()
    tokens, references, layer = [x], [None, reference], 0
    while f'transformer.decoder.layers.{layer}.norm1.weight' in w:
        name = f'transformer.decoder.layers.{layer}'
        scaled = reference[:, :, None] * ratios.repeat(1, 1, 2)[:, None]
        x = decoder_layer(w, name, x, positions, scaled, (memory, shapes, padding), training)
        layer += 1
        reference = (mlp(w, f'bbox_embed.{layer}', x) + inverse_sigmoid(reference)).sigmoid().detach()
        tokens.append(x)
        references.append(reference)
    levels = []
    for level, x in enumerate(tokens):
        start = F.pad(points, (0, 2)) if level == 0 else inverse_sigmoid(references[level])
        boxes = (mlp(w, f'bbox_embed.{level}', x) + start).sigmoid()
        levels.append({'pred_logits': linear(w, f'class_embed.{level}', x), 'pred_boxes': boxes})
    return {**levels[-1], 'aux': levels[:-1]}
