"""A student that learns the tokens of a larger ViDT besides the objects (2110.03921, section 3.4)."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from torch import Tensor

from .checkpoint import from_public
from .models.detector import ViDT


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


@MODELS.register_module()
class DistilledViDT(ViDT):
    """A ViDT with a teacher, which is no part of its files of weights.

    Args:
        teacher: Config of the teacher, a larger ViDT with as many detection tokens and decoder layers.
        teacher_checkpoint: File with its weights, ours or a public one; nothing that its pickle may hold is run.
        kwargs: Of `ViDT`.
    """

    def __init__(self, teacher: dict[str, Any], teacher_checkpoint: str | Path | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        model = MODELS.build(teacher)
        if teacher_checkpoint is not None:
            with torch.serialization.safe_globals([Namespace]):  # of the options in public files
                state = torch.load(teacher_checkpoint, map_location='cpu', weights_only=True)
            model.load_state_dict(from_public(state.get('state_dict', state.get('model', state))))
        self._teacher = (model.eval().requires_grad_(False),)  # in a tuple, so that it is no submodule

    def loss(self, batch_inputs: Tensor, batch_data_samples: list[DetDataSample]) -> dict[str, Tensor]:
        """Return the weighted losses, and numbers for the log, of a batch from the data preprocessor."""
        outputs, losses = self._losses(batch_inputs, batch_data_samples, features=True)
        valid = self._valid(batch_inputs, batch_data_samples)
        teacher = self._teacher[0].to(batch_inputs.device)
        with torch.no_grad():
            wanted = teacher.forward_levels(batch_inputs, valid, 'last', features=True)
        losses['loss_distil'] = distillation_loss(outputs['features'], wanted['features'])
        return self.criterion.weighted(losses)
