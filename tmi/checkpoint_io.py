"""Reading checkpoints as data, and fitting their weights to a model of other classes."""

import logging
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from mmyolo.utils.checkpoint import CheckpointError, read_as_data
from mmyolo.utils.checkpoint_content import clean_checkpoint
from tmi.errors import ModelError

logger = logging.getLogger('tmi')

StateDict = dict[str, Tensor]
WEIGHT_KEYS = ('model', 'model_state_dict')  # under which other projects than OpenMMLab keep the weights
LARGEST_WEIGHT = 1e18  # products of two such numbers still fit into a float32


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Load a checkpoint to the CPU without running any code of it.

    Args:
        path: A `.pth` or `.pt` file with a mapping in it.

    Returns:
        Its content: `state_dict` (a bare state dict is wrapped, one under `WEIGHT_KEYS` renamed) and, if it was there,
        `meta` and more.

    Raises:
        TaskError: 300004 if it is broken, holds other objects, or no weights.
    """
    try:
        content = read_as_data(path)
        if isinstance(content, dict) and 'state_dict' not in content:
            key = next((key for key in WEIGHT_KEYS if isinstance(content.get(key), Mapping)), None)
            weights = content.pop(key) if key else content
            content = {**content, 'state_dict': weights} if key else {'state_dict': weights}
        content = clean_checkpoint(content, path)
    except (CheckpointError, OSError) as error:
        raise ModelError(f'Cannot load the weights: {error}') from error
    content['state_dict'] = {name.removeprefix('module.'): value for name, value in content['state_dict'].items()}
    return content


def check_finite(state: Mapping[str, Tensor], path: Path) -> None:
    """Reject weights with which no network can compute.

    Args:
        state: Weights that are going to be used.
        path: Where they come from, for messages.

    Raises:
        TaskError: 300004 if one is not a number, infinite, or so large that its square is.
    """
    for name, value in state.items():
        if not (value.is_floating_point() and value.numel()):
            continue
        low, high = value.detach().aminmax()
        extreme = max(abs(low.item()), abs(high.item()))
        if not extreme < LARGEST_WEIGHT:  # NaN is not less than anything
            what = (
                f'the value {extreme:g}'
                if math.isfinite(extreme)
                else 'values that are not finite numbers (NaN or inf)'
            )
            raise ModelError(
                f'The weights {path} cannot be used: {name} holds {what}. The training that wrote them had failed; '
                'choose an earlier stage of it, or another model.'
            )


def class_names_of(checkpoint: Mapping[str, Any]) -> list[str] | None:
    """Return the class names that a checkpoint was trained with, in the order of its outputs, or None."""
    meta = checkpoint.get('meta') or {}
    dataset_meta = meta.get('dataset_meta') or {}
    names = meta.get('class_names') or dataset_meta.get('classes') or dataset_meta.get('CLASSES') or meta.get('CLASSES')
    return list(names) if names else None


@dataclass(frozen=True)
class Adaptation:
    """What became of a checkpoint's weights.

    Args:
        state_dict: All weights of the model.
        loaded: Names taken over whole.
        remapped: Names whose rows were taken over class by class.
        fresh: Names that keep their initial values.
        shared_classes: Classes that both know.
    """

    state_dict: StateDict
    loaded: list[str]
    remapped: list[str]
    fresh: list[str]
    shared_classes: list[str]

    def summary(self) -> str:
        """One sentence for the log."""
        text = f'{len(self.loaded)} of {len(self.state_dict)} tensors loaded'
        if self.remapped:
            text += (
                f', {len(self.remapped)} mapped class by class ({", ".join(self.shared_classes) or "no class shared"})'
            )
        if self.fresh:
            text += (
                f', {len(self.fresh)} start fresh ({", ".join(self.fresh[:4])}{", ..." if len(self.fresh) > 4 else ""})'
            )
        return text


def adapt_state_dict(
    source: StateDict,
    initial: StateDict,
    rows_per_class: Mapping[str, int],
    source_classes: Sequence[str] | None,
    target_classes: Sequence[str],
    others_last: Collection[str] = (),
) -> Adaptation:
    """Take over what fits from a checkpoint, the outputs of classes by their names.

    The outputs of a head are blocks of `k + num_classes` rows: one block and k = 0 in a head with its own branch for
    classes, one block per anchor and k = 5 (box, objectness) in YOLOv5's.

    Args:
        source: Weights of the checkpoint.
        initial: Weights of the new model as initialised.
        rows_per_class: For each tensor of the new model whose first dimension depends on the number of classes, by how
            many rows it grows per class.
        source_classes: Classes of the checkpoint, None if unknown.
        target_classes: Classes of the new model.
        others_last: Names of tensors whose k other rows stand behind those of the classes, not before.

    Returns:
        Weights for the new model, and what they come from.
    """
    result = {name: value.clone() for name, value in initial.items()}
    loaded, remapped, fresh = [], [], []
    pairs = _shared_rows(source_classes, target_classes)
    same_order = source_classes is None or [_key(n) for n in source_classes] == [_key(n) for n in target_classes]
    for name, target in result.items():
        value = source.get(name)
        if value is not None and value.shape == target.shape and (same_order or name not in rows_per_class):
            result[name] = value.to(target.dtype)
            loaded.append(name)
        elif (
            value is not None
            and name in rows_per_class
            and source_classes is not None
            and _map_rows(
                value,
                target,
                rows_per_class[name],
                len(source_classes),
                len(target_classes),
                pairs,
                name in others_last,
            )
        ):
            remapped.append(name)
        else:
            fresh.append(name)
    return Adaptation(result, loaded, remapped, fresh, [target_classes[row] for _, row in pairs])


def _key(name: str) -> str:
    return name.strip().lower()


def _shared_rows(source: Sequence[str] | None, target: Sequence[str]) -> list[tuple]:
    """Pairs (index in source, index in target) of equal class names."""
    positions = {_key(name): index for index, name in enumerate(source or ())}
    return [(positions[_key(name)], index) for index, name in enumerate(target) if _key(name) in positions]


def _map_rows(
    source: Tensor,
    target: Tensor,
    blocks: int,
    num_source: int,
    num_target: int,
    pairs: Sequence[tuple],
    others_last: bool,
) -> bool:
    """Copy the rows of shared classes and those of no class into `target`, in place; False if the shapes do not fit."""
    others = target.shape[0] // blocks - num_target
    if source.shape[1:] != target.shape[1:] or source.shape[0] != blocks * (others + num_source):
        return False
    old = source.reshape(blocks, others + num_source, *source.shape[1:])
    new = target.view(blocks, others + num_target, *target.shape[1:])
    first = 0 if others_last else others  # row of the first class
    old_others, new_others = (num_source, num_target) if others_last else (0, 0)
    new[:, new_others : new_others + others] = old[:, old_others : old_others + others]
    for old_class, new_class in pairs:
        new[:, first + new_class] = old[:, first + old_class]
    return True
