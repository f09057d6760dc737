"""Swin Transformer whose detection tokens attend inside the backbone: the body of ViDT."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from .padding import Valid
from .parts import parts
from .ram_attention import RAMAttention
from .sinusoid import sinusoid
from .windows import Windows, make_windows

# Width of the first stage, blocks of each stage, heads of each stage, largest rate of stochastic depth
ARCHS: dict[str, tuple[int, tuple[int, ...], tuple[int, ...], float]] = {
    'nano': (48, (2, 2, 6, 2), (3, 6, 12, 24), 0.0),
    'tiny': (96, (2, 2, 6, 2), (3, 6, 12, 24), 0.2),
    'small': (96, (2, 2, 18, 2), (3, 6, 12, 24), 0.3),
    'base': (128, (2, 2, 18, 2), (4, 8, 16, 32), 0.3),
    'large': (192, (2, 2, 18, 2), (6, 12, 24, 48), 0.3),
}
LAST_MAP_CHANNELS = 256
PATCH = 4
TOKENS_AT_ONCE = 2048
TOKEN_STD = 0.02
MASK_DIVISOR = 8  # the grid of the last stage is this much smaller than that of the first


class BackboneOutput(NamedTuple):
    """What the backbone gives.

    Args:
        maps: Four maps of strides 8, 16, 32 and 64, or the first two without last merge, shape (B, C, H, W).
        tokens: Detection tokens of the last stage, shape (B, N, C).
        positions: Their positions, shape (1, N, position channels).
    """

    maps: list[Tensor]
    tokens: Tensor
    positions: Tensor


class PatchEmbed(nn.Module):
    """Patches of 4 x 4 pixels to tokens."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, PATCH, PATCH)
        self.norm = nn.LayerNorm(channels)

    def forward(self, images: Tensor) -> tuple[Tensor, int, int]:
        """Return tokens of shape (B, T, C), and the rows and columns of their map."""
        height, width = images.shape[2:]
        out = self.proj(F.pad(images, (0, -width % PATCH, 0, -height % PATCH)))
        return self.norm(out.flatten(2).transpose(1, 2)), out.shape[2], out.shape[3]


class PatchMerging(nn.Module):
    """Four neighbours to one token of the next stage, and each detection token to the width of that stage.

    Args:
        channels: Width of a token.
        out_channels: Width of a token of the next stage.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * channels, out_channels, bias=False)
        self.norm = nn.LayerNorm(4 * channels)
        # Nothing uses these two; the published files hold them.
        self.expansion = nn.Linear(channels, out_channels, bias=False).requires_grad_(False)
        self.norm2 = nn.LayerNorm(channels).requires_grad_(False)

    def patches(self, patch: Tensor, height: int, width: int) -> Tensor:
        """Merge patches of shape (B, height * width, C); the map is padded with zeros to even sides."""
        patch = patch.view(patch.shape[0], height, width, -1)
        if torch.jit.is_tracing() or height % 2 or width % 2:
            patch = F.pad(patch, (0, 0, 0, width % 2, 0, height % 2))
        batch, height, width, channels = patch.shape
        patch = patch.view(batch, height // 2, 2, width // 2, 2, channels).permute(0, 1, 3, 4, 2, 5)
        return self.reduction(self.norm(patch.reshape(batch, -1, 4 * channels)))

    def tokens(self, det: Tensor) -> Tensor:
        """Widen detection tokens of shape (B, N, C)."""
        return self.reduction(self.norm(det.repeat(1, 1, 4)))


class Mlp(nn.Module):
    """The two layers after each attention."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, 4 * channels)
        self.fc2 = nn.Linear(4 * channels, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the same shape."""
        out = [self.fc2(F.gelu(self.fc1(tokens[:, part]))) for part in parts(tokens.shape[1], TOKENS_AT_ONCE, tokens)]
        return out[0] if len(out) == 1 else torch.cat(out, 1)


class Block(nn.Module):
    """A pre-norm block over patches and detection tokens.

    Args:
        channels: Width of a token.
        heads: Number of heads.
        position_channels: Width of the positions of detection tokens.
        drop_path: Rate of stochastic depth in training.
    """

    def __init__(self, channels: int, heads: int, position_channels: int, drop_path: float) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(channels)
        self.attn = RAMAttention(channels, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = Mlp(channels)
        self.det_pos_linear = nn.Linear(position_channels, channels)

    def forward(
        self,
        patch: Tensor,
        det: Tensor,
        positions: Tensor,
        windows: Windows,
        sine: tuple[Tensor, Tensor] | None = None,
        padding: Tensor | None = None,
        only_tokens: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Let patches and tokens attend.

        Args:
            patch: Shape (B, T, C).
            det: Shape (B or 1, N, C).
            positions: Shape (1, N, position channels).
            windows: Where the patches go.
            sine: Positions of rows and columns, where tokens attend to patches too.
            padding: Shape (B, T), bool, True on padding, for those; None if there is none.
            only_tokens: Whether nobody needs the patches after this block.

        Returns:
            Patches and detection tokens of the same shapes.
        """
        y = self.norm1(patch)
        token = self.norm1(det) + self.det_pos_linear(positions)
        attended, patch_qkv = None, None
        if only_tokens:
            patch_qkv = self.attn.qkv(y)
        else:
            attended, patch_qkv = self.attn.patches(y, windows, sine is not None)
        if sine is None:
            token = self.attn.tokens(token)
        else:
            token = self.attn.tokens_and_patches(token, patch_qkv, sine, padding)
        first, second = self._keep(patch), self._keep(patch)
        det = _add(det, token, first)
        det = _add(det, self.mlp(self.norm2(det)), second)
        if not only_tokens:
            patch = _add(patch, attended, first)
            patch = _add(patch, self.mlp(self.norm2(patch)), second)
        return patch, det

    def _keep(self, patch: Tensor) -> Tensor | None:
        """One draw per image of what its residual branch is multiplied with, shape (B, 1, 1); None if it is kept."""
        if not self.training or self.drop_path == 0:
            return None
        keep = 1 - self.drop_path
        return patch.new_empty(len(patch), 1, 1).bernoulli_(keep).div_(keep)


def _add(tokens: Tensor, branch: Tensor, keep: Tensor | None) -> Tensor:
    return tokens + (branch if keep is None else branch * keep)


class Stage(nn.Module):
    """The blocks of one scale, and the merge after them."""

    def __init__(
        self, channels: int, heads: int, position_channels: int, drop_paths: Sequence[float], merged: int | None
    ) -> None:
        super().__init__()
        self.channels = channels
        self.blocks = nn.ModuleList(Block(channels, heads, position_channels, rate) for rate in drop_paths)
        self.downsample = None if merged is None else PatchMerging(channels, merged)


@MODELS.register_module()
class SwinWithRAM(BaseModule):
    """Backbone of ViDT (arXiv 2110.03921): a Swin Transformer with detection tokens and reconfigured attention.

    Args:
        arch: A key of `ARCHS`, or a dict of embed_dims, depths, num_heads and, if not 0, drop_path_rate.
        num_det_tokens: How many detection tokens there are; so many boxes at most an image can have.
        position_channels: Width of their positions, which is that of the decoder.
        last_merge: Whether the map of the last stage is merged to one of stride 64 (not in the detector without neck).
        drop_path_rate: Stochastic depth of the last block, falling linearly to 0; None for that of `arch`.
        token_std: Standard deviation of the initial tokens and positions, before values beyond 2 are drawn again.
        init_cfg: dict(type='Pretrained', checkpoint=FILE) to start from weights of a Swin of ImageNet or of a detector.
    """

    def __init__(
        self,
        arch: str | dict = 'nano',
        num_det_tokens: int = 100,
        position_channels: int = 256,
        last_merge: bool = True,
        drop_path_rate: float | None = None,
        token_std: float = TOKEN_STD,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        embed, depths, heads, rate = _read_arch(arch)
        if drop_path_rate is not None:
            rate = drop_path_rate
        self.widths = [embed * 2**stage for stage in range(len(depths))]
        self.out_channels = [*self.widths[1:], LAST_MAP_CHANNELS] if last_merge else self.widths[1:-1]
        self.det_token = nn.Parameter(torch.zeros(1, num_det_tokens, embed))
        self.det_pos_embed = nn.Parameter(torch.zeros(1, num_det_tokens, position_channels))
        self.patch_embed = PatchEmbed(embed)
        rates = [rate * block / max(sum(depths) - 1, 1) for block in range(sum(depths))]
        last = LAST_MAP_CHANNELS if last_merge else None
        self.layers = nn.ModuleList()
        for stage, (width, depth, count) in enumerate(zip(self.widths, depths, heads)):
            merged = 2 * width if stage + 1 < len(depths) else last
            self.layers.append(Stage(width, count, position_channels, [rates.pop(0) for _ in range(depth)], merged))
        for stage, width in enumerate(self.widths[1:], 1):  # nothing uses these; the published files hold them
            self.add_module(f'norm{stage}', nn.LayerNorm(width).requires_grad_(False))
        if not last_merge:  # nor do the patches after the last attention, which leaves no gradient for this
            self.layers[-1].blocks[-1].attn.relative_position_bias_table.requires_grad_(False)
        nn.init.trunc_normal_(self.det_token, std=token_std)
        nn.init.trunc_normal_(self.det_pos_embed, std=token_std)
        self._windows: dict[tuple, Windows] = {}

    def init_weights(self) -> None:
        """Load the weights of `init_cfg`; all else is initialised already.

        Raises:
            ValueError: If they are those of another backbone.
        """
        file = (self.init_cfg or {}).get('checkpoint')
        if self.is_init or file is None:
            return
        from ..checkpoint import from_public, read_file  # which knows the backbones

        state = {name.removeprefix('backbone.'): value for name, value in from_public(read_file(file)).items()}
        own = self.state_dict()
        wrong = [
            name
            for name in own
            if '.blocks.' in name and '.det_pos_linear.' not in name and not _fits(name, own, state)
        ]
        if wrong:
            raise ValueError(
                f'{file} does not hold the weights of this backbone: {wrong[0]} is missing or has another shape'
            )
        self.load_state_dict({name: value for name, value in state.items() if _fits(name, own, state)}, strict=False)
        self._is_init = True

    def forward(self, images: Tensor, valid: Valid | None = None) -> BackboneOutput:
        """Compute maps and detection tokens.

        Args:
            images: Shape (B, 3, H, W), normalised, zeros on padding.
            valid: Which rows and columns belong to each image; None if all do.

        Returns:
            Maps, detection tokens and their positions.
        """
        patch, height, width = self.patch_embed(images)
        positions = self.det_pos_embed
        # Until they attend to patches, the tokens are the same for all images unless their residuals are dropped.
        dropping = self.training and any(block.drop_path for stage in self.layers for block in stage.blocks)
        det = self.det_token.expand(images.shape[0] if dropping else 1, -1, -1)
        if valid is not None:
            valid = valid.resized(max(height // MASK_DIVISOR, 1), max(width // MASK_DIVISOR, 1))
        maps = []
        for index, stage in enumerate(self.layers):
            last = index + 1 == len(self.layers)
            sine, padding = None, None
            if last:
                det = det.expand(images.shape[0], -1, -1)
                sine, padding = self._positions(height, width, stage.channels, valid, images.device)
            for number, block in enumerate(stage.blocks):
                windows = self._make_windows(height, width, number % 2 == 1, images.device)
                only_tokens = last and stage.downsample is None and number + 1 == len(stage.blocks)
                patch, det = block(patch, det, positions, windows, sine, padding, only_tokens)
            if stage.downsample is not None:
                if index:
                    maps.append(_as_map(patch, height, width))
                patch = stage.downsample.patches(patch, height, width)
                height, width = (height + 1) // 2, (width + 1) // 2
                if last:
                    maps.append(_as_map(patch, height, width))
                else:
                    det = stage.downsample.tokens(det)
        return BackboneOutput(maps, det, positions)

    def _positions(
        self, height: int, width: int, channels: int, valid: Valid | None, device: torch.device
    ) -> tuple[tuple[Tensor, Tensor], Tensor | None]:
        """Return positions of the rows and columns of the last stage, and the mask of its padding, shape (B, T)."""
        if valid is None:
            rows = torch.ones(1, height, dtype=torch.bool, device=device)
            valid, padding = Valid(rows, rows.new_ones(1, width)), None
        else:
            valid = valid.resized(height, width)
            padding = valid.padding().flatten(1)
        return (sinusoid(valid.rows, channels // 2), sinusoid(valid.columns, channels // 2)), padding

    def _make_windows(self, height: int, width: int, shifted: bool, device: torch.device) -> Windows:
        """Return the windows of a map, made once per size."""
        if torch.jit.is_tracing():  # the size stays variable
            return make_windows(height, width, shifted, device)
        key = (height, width, shifted, device)
        windows = self._windows.get(key)
        if windows is None:
            with torch.inference_mode(False):
                windows = make_windows(height, width, shifted, device)
            if not torch.compiler.is_compiling():  # else it is a symbol of the compiler
                self._windows[key] = windows
        return windows


def _as_map(patch: Tensor, height: int, width: int) -> Tensor:
    return patch.view(patch.shape[0], height, width, -1).permute(0, 3, 1, 2)


def _fits(name: str, own: dict[str, Tensor], state: dict[str, Tensor]) -> bool:
    return name in own and name in state and own[name].shape == state[name].shape


def _read_arch(arch: str | dict) -> tuple[int, Sequence[int], Sequence[int], float]:
    if isinstance(arch, str):
        if arch not in ARCHS:
            raise ValueError(f'arch={arch!r} of the backbone is unknown; allowed are {", ".join(ARCHS)} or a dict')
        return ARCHS[arch]
    return arch['embed_dims'], arch['depths'], arch['num_heads'], arch.get('drop_path_rate', 0.0)
