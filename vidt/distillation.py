"""A student that learns the tokens of a larger ViDT besides the objects (2110.03921, section 3.4)."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .checkpoint import describe, from_public, read_file

SAME = ('num_decoder_layers', 'channels', 'epff')  # in teacher and student, besides the number of tokens


def distillation_loss(student: dict[str, Any], teacher: dict[str, Any]) -> Tensor:
    """Return how far the tokens of the student are from those of the teacher.

    Args:
        student: `maps`, a list of (B, d, h, w) that the decoder reads, `body_tokens` (B, N, d) that it starts from, and
            `levels`, a list of (B, N, d) that it gives, the first of which is what it starts from.
        teacher: The same, of the same shapes.

    Returns:
        A scalar: the root of the mean distances of all maps and of the body's tokens plus, once for each level, that of
        all levels.

    Raises:
        ValueError: The shapes differ.
    """
    patches = sum(_distance(*pair, dim=1) for pair in _pairs(student, teacher, 'maps'))
    levels = [_distance(*pair, dim=-1) for pair in _pairs(student, teacher, 'levels')]
    (body,) = _pairs({'tokens': [student['body_tokens']]}, {'tokens': [teacher['body_tokens']]}, 'tokens')
    return (patches + _distance(*body, dim=-1) + sum(levels)).sqrt()


def _pairs(student: dict[str, Any], teacher: dict[str, Any], key: str) -> list[tuple[Tensor, Tensor]]:
    mine, wanted = student[key], teacher[key]
    shapes = [[tuple(tokens.shape) for tokens in part] for part in (mine, wanted)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f'the teacher has other {key} than the student, {shapes[1]} instead of {shapes[0]}: both need the same '
            'number of detection tokens, decoder layers and channels'
        )
    return list(zip(mine, wanted))


def _distance(mine: Tensor, wanted: Tensor, dim: int) -> Tensor:
    """Return the mean length of the differences along a dimension."""
    return torch.linalg.vector_norm(mine.float() - wanted.detach().float(), dim=dim).mean()


def load_teacher(file: str | Path, student: nn.Module) -> nn.Module:
    """Build the teacher that weights belong to, which may have other classes and a larger backbone.

    Args:
        file: Weights of a ViDT, ours or a public file; nothing that its pickle may hold is run.
        student: The `ViDT` that learns from it.

    Returns:
        The teacher, a `ViDT` too, in eval mode and without gradients.

    Raises:
        ValueError: The weights are those of another model, or of one whose tokens the student cannot learn; the message
            says how they differ.
    """
    state = read_file(file)
    try:
        config = describe(state)
    except ValueError as error:
        raise ValueError(f'the teacher {file}: {error}') from error
    theirs, mine = {key: config.get(key) for key in SAME}, {key: getattr(student, key) for key in SAME}
    theirs['num_det_tokens'] = config['backbone']['num_det_tokens']
    mine['num_det_tokens'] = student.backbone.det_token.shape[1]
    if theirs != mine:
        raise ValueError(
            f'the teacher {file} has {_listed(theirs, mine)}, the model that learns from it {_listed(mine, theirs)}: '
            'both need the same'
        )
    backbone = {**config.pop('backbone'), 'type': 'mmdet.SwinWithRAM'}
    del config['type']
    teacher = type(student)(backbone, **config)
    teacher.load_state_dict(from_public(state))
    return teacher.eval().requires_grad_(False)


def _listed(values: dict[str, Any], others: dict[str, Any]) -> str:
    return ', '.join(f'{key}={value}' for key, value in values.items() if value != others[key])
