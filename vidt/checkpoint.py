"""Public files of ViDT and of Swin: their names in ours and back, and the architecture that names and shapes tell."""

import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .models.deformable_attention import HEADS, LEVELS
from .models.swin_ram import ARCHS

StateDict = dict[str, Tensor]

BACKBONE = 'backbone.'
DECODER_BOXES = 'transformer.decoder.bbox_embed.'  # a second name of bbox_embed
LEVEL_HEADS = re.compile(r'^(class_embed|bbox_embed|iou_embed|vector_embed)\.(\d+)\.')
# What a Swin classifier has for a detector's backbone; the rest of it (head, norm, masks of windows) is of no use.
SWIN = re.compile(
    r'patch_embed\.|layers\.\d+\.blocks\.\d+\.(norm1|norm2|mlp|attn\.(?!attn_mask))|layers\.\d+\.downsample\.(reduction|norm)\.'
)
TOKENS = (BACKBONE + 'det_token', BACKBONE + 'det_pos_embed')
# Where files keep the weights: those of OpenMMLab, public ones. Else they are the whole content.
WEIGHT_KEYS = ('state_dict', 'model')
OFFSETS = re.compile(r'\.cross_attn\.(sampling_offsets|attention_weights)\.(weight|bias)$')


class Options:
    """Options that public files hold besides; nothing of them is needed."""

    def __setstate__(self, state: Any) -> None:
        """Forget them."""


# Classes that public files name, and what is made of them instead.
KNOWN_CLASSES = [(Options, 'argparse.Namespace'), (OrderedDict, 'yacs.config.CfgNode')]


def read_file(file: str | Path) -> StateDict:
    """Read the weights of a file, a public one or ours; nothing that its pickle may hold is run.

    Args:
        file: Written by torch.save.

    Returns:
        Names with tensors, as they stand there.

    Raises:
        pickle.UnpicklingError: It holds other things than data.
    """
    with torch.serialization.safe_globals(KNOWN_CLASSES):
        content = torch.load(file, map_location='cpu', weights_only=True)
    return next((content[key] for key in WEIGHT_KEYS if key in content), content)


def from_public(state: Mapping[str, Tensor]) -> StateDict:
    """Turn the weights of a public file into ours.

    Public files of detectors hold some tensors under several names. Those of Swin trained on ImageNet (as in
    arXiv 2103.14030) become weights of the backbone alone.

    Args:
        state: Names with tensors; our own names stay as they are.

    Returns:
        The same tensors, each once, under our names.
    """
    if 'patch_embed.proj.weight' in state:
        return {BACKBONE + key: value for key, value in state.items() if SWIN.match(key)}
    refined = _is_refined(state)
    return {
        key: value
        for key, value in state.items()
        if not key.startswith(DECODER_BOXES) and not (_level(key) and _is_shared(key, refined))
    }


def to_public(state: Mapping[str, Tensor]) -> StateDict:
    """Turn our weights into those of a public file, with the second names of tensors.

    Args:
        state: The state_dict of `ViDT` or `ViDTWithoutNeck`.

    Returns:
        Public names with the same tensors.
    """
    refined = 'bbox_embed.1.layers.2.bias' in state
    levels = range(_count(state, 'transformer.decoder.layers.') + 1)
    out: StateDict = {}
    for key, value in state.items():
        head = LEVEL_HEADS.match(key)
        if head and _is_shared(key, refined):
            out.update((f'{head[1]}.{level}.{key[head.end() :]}', value) for level in levels)
        else:
            out[key] = value
    if refined:
        out.update(
            (f'transformer.decoder.{key}', value) for key, value in state.items() if key.startswith('bbox_embed.')
        )
    return out


def describe(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the config of the detector that weights belong to.

    Only names and shapes are read. They do not tell whether every level was trained (`aux_loss`).

    Args:
        state: Public names or ours, with tensors.

    Returns:
        Config of `ViDT` or `ViDTWithoutNeck`, without data_preprocessor and criterion.

    Raises:
        ValueError: If the weights are those of another model; the message says what is missing.
    """
    try:
        return _describe(state)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        name = error.args[0] if isinstance(error, KeyError) else 'a tensor'
        raise ValueError(f'these weights are not those of a ViDT: {name} is missing or has another shape') from error


def _describe(state: Mapping[str, Tensor]) -> dict[str, Any]:
    tokens, embed = state[TOKENS[0]].shape[1:]
    stages = _count(state, BACKBONE + 'layers.')
    depths = tuple(_count(state, f'{BACKBONE}layers.{stage}.blocks.') for stage in range(stages))
    table = BACKBONE + 'layers.{}.blocks.0.attn.relative_position_bias_table'
    heads = tuple(state[table.format(stage)].shape[1] for stage in range(stages))
    arch = next((name for name, known in ARCHS.items() if known[:3] == (embed, depths, heads)), None)
    neck = 'transformer.reference_points.weight' in state
    backbone = dict(
        type='SwinWithRAM',
        arch=arch or dict(embed_dims=embed, depths=depths, num_heads=heads),
        num_det_tokens=tokens,
        position_channels=state[TOKENS[1]].shape[2],
        last_merge=neck,
    )
    if not neck:
        head = state['class_embed.layers.2.weight']
        return dict(type='ViDTWithoutNeck', backbone=backbone, num_classes=len(head) - 1, channels=head.shape[1])
    classes, channels = state['class_embed.0.weight'].shape
    labels, vectors = state.get('transformer.token_embed.weight'), state.get('vector_embed.0.layers.2.weight')
    config = dict(
        type='ViDT',
        backbone=backbone,
        num_classes=classes,
        num_decoder_layers=_count(state, 'transformer.decoder.layers.'),
        box_refine=_is_refined(state),
        epff='fusion.multi_scaler.layer_0_rn.weight' in state,
        iou_aware='iou_embed.0.layers.0.weight' in state,
        token_label=labels is not None,
        mask_vectors=vectors is not None,
        channels=channels,
        feedforward_channels=len(state['transformer.decoder.layers.0.linear1.weight']),
    )
    if labels is not None:
        config['token_classes'] = len(labels)
    if vectors is not None:
        config.update(vector_length=vectors.shape[0], vector_channels=vectors.shape[1])
    return config


class Fitted(NamedTuple):
    """Weights for a model of other options.

    Args:
        state: What can be used, in the shapes of the model.
        notes: For each change a sentence for the log.
    """

    state: StateDict
    notes: list[str]


def fit(state: Mapping[str, Tensor], initial: Mapping[str, Tensor]) -> Fitted:
    """Fit weights to a model with other detection tokens, its maps in another order, or a head for each level.

    What has another shape for other reasons (classes, widths) is left as it is.

    Args:
        state: Weights in our names.
        initial: The model's weights at its start, in our names.

    Returns:
        The weights and what was changed.
    """
    out, notes = dict(state), []
    for key in TOKENS:
        old, new = out.get(key), initial.get(key)
        if old is None or new is None or old.shape[2:] != new.shape[2:] or old.shape == new.shape:
            continue
        kept = min(old.shape[1], new.shape[1])
        out[key] = torch.cat([old[:, :kept].to(new.dtype), new[:, kept:]], 1)
        notes.append(f'{key}: the first {kept} of {new.shape[1]} tokens are taken over from {old.shape[1]}')
    if _map_order(state) and _map_order(initial) and _map_order(state) != _map_order(initial):
        for key in filter(OFFSETS.search, out):
            rows = out[key].unflatten(0, (HEADS, LEVELS, -1))
            out[key] = rows.flip(1).flatten(0, 2)
        notes.append('the attention of the decoder is taken over with its maps in the opposite order, as EPFF has them')
    if not _is_refined(state):
        levels = [key for key in initial if _level(key) and key not in state and _first_level(key) in state]
        out.update((key, state[_first_level(key)]) for key in levels)
        if levels:
            notes.append('the heads that all levels of the file share are the first weights of the heads of each level')
    return Fitted(out, notes)


def _map_order(state: Mapping[str, Tensor]) -> int:
    """1 if the decoder's maps go from fine to coarse, -1 if from coarse to fine, 0 if there are none."""
    if 'fusion.multi_scaler.layer_0_rn.weight' in state:
        return -1
    return int('input_proj.1.0.weight' in state)


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    return len({key[len(prefix) :].partition('.')[0] for key in state if key.startswith(prefix)})


def _level(key: str) -> int:
    """Return the level of a head, 0 for what is none."""
    head = LEVEL_HEADS.match(key)
    return int(head[2]) if head else 0


def _first_level(key: str) -> str:
    """Return the name of the same weights in the head of the first level."""
    return LEVEL_HEADS.sub(r'\1.0.', key)


def _is_shared(key: str, refined: bool) -> bool:
    """Whether all levels share this head."""
    return not refined or key.startswith('vector_embed.')


def _is_refined(state: Mapping[str, Tensor]) -> bool:
    """Whether each level has a head of its own. Public files of shared heads hold the one under all names."""
    if any(key.startswith(DECODER_BOXES) for key in state):
        return True
    first, second = (state.get(f'bbox_embed.{level}.layers.2.bias') for level in (0, 1))
    return second is not None and not torch.equal(first, second)
