"""training-summary.json: what a training did and how far it came, for reports and programs.

It lies in ``/out``, not in ``/out/models``: it is about a run, and a new training that fails leaves the model of an
earlier one as it was. The platform neither reads nor packs it; the report of an executor without it lacks some tables.
It is replaced whole, when the preparation ends and after each validation, and a training that is resumed goes on with
it. The text is ASCII, so that any class name survives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .atomic import PathLike
from .summary_file import Checks, is_list, is_number, is_row, is_text, read_summary, write_summary

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
        samples_per_gpu: images a step and process, as set or chosen; 0: unknown.
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
        throughput: ``images_per_second``, ``model_images_per_second`` (had it never waited for data),
            ``worker_images_per_second`` of one loader worker, ``waiting_share`` of the time spent waiting for data,
            ``workers`` and ``workers_needed``; empty until measured.
    """

    model: str = ''
    config: str = ''
    class_names: list[str] = field(default_factory=list)
    input_size: list[int] = field(default_factory=list)
    device: str = ''
    processes: int = 1
    samples_per_gpu: int = 0
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
    throughput: dict[str, float] = field(default_factory=dict)


def _is_numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(map(is_number, value.values()))


_CHECKS: Checks = {
    **dict.fromkeys(('model', 'config', 'device', 'precision'), (is_text, 'text')),
    **dict.fromkeys(('processes', 'samples_per_gpu', 'epochs', 'epoch', 'best_epoch'), (is_number, 'a number')),
    **dict.fromkeys(('started', 'updated', 'seconds'), (is_number, 'a number')),
    'class_names': (is_list(is_text), 'a list of texts'),
    'input_size': (is_list(is_number), 'a list of numbers'),
    'recipe': (is_list(is_row(2)), 'a list of pairs: name and value'),
    'data': (is_list(is_row(3)), 'a list of rows: name, training, validation'),
    'class_objects': (is_list(is_row(2, is_number)), 'a list of pairs of numbers'),
    'environment': (is_list(is_row(2)), 'a list of pairs: name and version'),
    **dict.fromkeys(('best_metrics', 'throughput'), (_is_numbers, 'numbers by name')),
    'best_class_ap': (is_list(lambda item: item is None or is_number(item)), 'a list of numbers, null for none'),
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
    return read_summary(directory, TRAINING_SUMMARY_FILE, TrainingSummary, _CHECKS)


def write_training_summary(directory: PathLike, summary: TrainingSummary) -> None:
    """Replace the file.

    Args:
        directory: the task's output folder.
        summary: what to write.

    Raises:
        ValueError: a number in it is not finite.
        OSError: it cannot be written; the old one is untouched.
    """
    write_summary(directory, TRAINING_SUMMARY_FILE, summary)
