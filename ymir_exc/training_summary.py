"""training-summary.json: what a training did and how far it came, for reports and programs.

It lies in ``/out``, not in ``/out/models``: it is about a run, and a new training that fails leaves the model of an
earlier one as it was. The platform neither reads nor packs it; the report of an executor without it lacks some tables.
It is replaced whole, when the preparation ends and after each validation, and a training that is resumed goes on with
it. The text is ASCII, so that any class name survives.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Callable

from .atomic import PathLike, write_text_atomically
from .errors import ResultError
from .reading import read_text

TRAINING_SUMMARY_FILE = 'training-summary.json'  # in the task's output folder


@dataclass
class TrainingSummary:
    """What a training did; times are in seconds since 1970.

    Attributes:
        model: the name by which the user chose the model.
        config: the name of its config.
        class_names: in the order of the class indices.
        input_size: width and height in pixels.
        device: ``cuda`` or ``cpu``.
        processes: how many train together.
        precision: for example ``float32`` or ``bfloat16``.
        recipe: name and value of what is done, in words.
        data: name, number or text for the training images, the same for the validation images.
        class_objects: for each class the objects to train on and to validate on.
        environment: name and version of hardware and packages.
        started: when the training began, before any resumption.
        updated: when this was written.
        seconds: spent on training, over all resumptions.
        epochs: that were asked for.
        epoch: that was validated last; 0: none yet.
        best_epoch: of the best stage; 0: none yet.
        best_metrics: of the best stage; ``mAP`` and others, from 0 to 1.
        best_class_ap: average precision of each class in the best stage; None where no object was to be found.
    """

    model: str = ''
    config: str = ''
    class_names: list[str] = field(default_factory=list)
    input_size: list[int] = field(default_factory=list)
    device: str = ''
    processes: int = 1
    precision: str = ''
    recipe: list[list[str]] = field(default_factory=list)
    data: list[list[Any]] = field(default_factory=list)
    class_objects: list[list[int]] = field(default_factory=list)
    environment: list[list[str]] = field(default_factory=list)
    started: float = 0.0
    updated: float = 0.0
    seconds: float = 0.0
    epochs: int = 0
    epoch: int = 0
    best_epoch: int = 0
    best_metrics: dict[str, float] = field(default_factory=dict)
    best_class_ap: list[float | None] = field(default_factory=list)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300


def _is_list(is_item: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(is_item, value))


def _is_cell(value: Any) -> bool:
    return _is_text(value) or _is_number(value)


def _is_row(length: int, is_cell: Callable[[Any], bool] = _is_cell) -> Callable[[Any], bool]:
    return lambda value: _is_list(is_cell)(value) and len(value) == length


_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(('model', 'config', 'device', 'precision'), (_is_text, 'text')),
    **dict.fromkeys(('processes', 'epochs', 'epoch', 'best_epoch'), (_is_number, 'a number')),
    **dict.fromkeys(('started', 'updated', 'seconds'), (_is_number, 'a number')),
    'class_names': (_is_list(_is_text), 'a list of texts'),
    'input_size': (_is_list(_is_number), 'a list of numbers'),
    'recipe': (_is_list(_is_row(2)), 'a list of pairs: name and value'),
    'data': (_is_list(_is_row(3)), 'a list of rows: name, training, validation'),
    'class_objects': (_is_list(_is_row(2, _is_number)), 'a list of pairs of numbers'),
    'environment': (_is_list(_is_row(2)), 'a list of pairs: name and version'),
    'best_metrics': (lambda value: isinstance(value, dict) and all(map(_is_number, value.values())), 'numbers by name'),
    'best_class_ap': (_is_list(lambda item: item is None or _is_number(item)), 'a list of numbers, null for none'),
}


def read_training_summary(directory: PathLike) -> TrainingSummary | None:
    """Read the file; fields that it lacks have their defaults, and unknown ones are left out.

    Args:
        directory: the task's output folder.

    Returns:
        What it says; None if there is no such file.

    Raises:
        ResultError: it cannot be read, is not a JSON object, or a field is of the wrong kind.
    """
    path = os.path.join(directory, TRAINING_SUMMARY_FILE)
    try:
        content = json.loads(read_text(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise ResultError(f'{path} cannot be read as JSON: {error}') from error
    if not isinstance(content, dict):
        raise ResultError(f'{path} holds no JSON object')
    known = {item.name: content[item.name] for item in fields(TrainingSummary) if item.name in content}
    for name, value in known.items():
        is_valid, kind = _CHECKS[name]
        if not is_valid(value):
            raise ResultError(f'{path}: {name} must be {kind}')
    return TrainingSummary(**known)


def write_training_summary(directory: PathLike, summary: TrainingSummary) -> None:
    """Replace the file.

    Args:
        directory: the task's output folder.
        summary: what to write.

    Raises:
        ValueError: a number in it is not finite.
        OSError: it cannot be written; the old one is untouched.
    """
    text = json.dumps(asdict(summary), indent=1, allow_nan=False)
    write_text_atomically(os.path.join(directory, TRAINING_SUMMARY_FILE), text + '\n')
